package redisstore_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/authcode-go/authcode/redisstore"
)

// TestListNamesAKeyOnceThoughTheServerNamesItTwice has a server that does, as SCAN may while its table shrinks.
func TestListNamesAKeyOnceThoughTheServerNamesItTwice(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: scanning(t, []string{"a", "b"}, []string{"b", "c", "a"}), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	var listed []string
	if err := redisstore.New(client, nil).List(t.Context(), "", func(key string) bool { listed = append(listed, key); return true }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(listed, want) {
		t.Errorf("listed %q, want %q", listed, want)
	}
}

// scanning is a server that knows SCAN, which gives one page after the other, and to which every key is a record.
func scanning(t *testing.T, pages ...[]string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				reader := bufio.NewReader(conn)
				for {
					command, err := readCommand(reader)
					if err != nil {
						return
					}
					_, _ = io.WriteString(conn, answerScan(command, pages))
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func answerScan(command []string, pages [][]string) string {
	switch strings.ToLower(command[0]) {
	case "scan":
		page, err := strconv.Atoi(command[1])
		if err != nil || page >= len(pages) {
			return "-ERR invalid cursor\r\n"
		}
		next := strconv.Itoa((page + 1) % len(pages))
		answer := fmt.Sprintf("*2\r\n$%d\r\n%s\r\n*%d\r\n", len(next), next, len(pages[page]))
		for _, key := range pages[page] {
			key = "authcode:" + key
			answer += fmt.Sprintf("$%d\r\n%s\r\n", len(key), key)
		}
		return answer
	case "eval":
		return ":1\r\n"
	}
	return "-ERR unknown command\r\n"
}

// readCommand reads an array of texts.
func readCommand(reader *bufio.Reader) (command []string, err error) {
	var count int
	if _, err := fmt.Fscanf(reader, "*%d\r\n", &count); err != nil {
		return nil, err
	}
	for range count {
		var length int
		if _, err := fmt.Fscanf(reader, "$%d\r\n", &length); err != nil {
			return nil, err
		}
		text := make([]byte, length+len("\r\n"))
		if _, err := io.ReadFull(reader, text); err != nil {
			return nil, err
		}
		command = append(command, string(text[:length]))
	}
	return command, nil
}
