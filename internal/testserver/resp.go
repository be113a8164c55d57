package testserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// redisConnection speaks as much RESP as it takes to set servers up.
type redisConnection struct {
	net.Conn
	reader *bufio.Reader
}

func dialRedis(address, password string) (*redisConnection, error) {
	conn, err := net.DialTimeout("tcp", address, startTime)
	if err != nil {
		return nil, err
	}
	c := &redisConnection{Conn: conn, reader: bufio.NewReader(conn)}
	if _, err := c.do("AUTH", password); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *redisConnection) close() { _ = c.Close() }

func (c *redisConnection) do(arguments ...string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(startTime)); err != nil {
		return "", err
	}
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(arguments))
	for _, a := range arguments {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c, request.String()); err != nil {
		return "", err
	}
	line, err := c.reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '-':
		return "", errors.New(rest)
	case '$':
		return c.bulk(rest)
	}
	return rest, nil
}

func (c *redisConnection) bulk(length string) (string, error) {
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 {
		return "", err
	}
	text := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(c.reader, text); err != nil {
		return "", err
	}
	return string(text[:n]), nil
}

// waitFor asks until the answer matches.
func (r *Redis) waitFor(pattern string, arguments ...string) error {
	want := regexp.MustCompile(pattern)
	answer := ""
	for end := time.Now().Add(startTime); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		var err error
		if answer, err = r.Do(arguments...); err == nil && want.MatchString(answer) {
			return nil
		}
	}
	return fmt.Errorf("%s at %s did not become %q within %s: %s", strings.Join(arguments, " "), r.Address, pattern, startTime, answer)
}
