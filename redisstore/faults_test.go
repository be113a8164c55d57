package redisstore_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/authcode-go/authcode/internal/testserver"
	"github.com/authcode-go/authcode/redisstore"
)

func TestReplicaRefusesEveryMethod(t *testing.T) {
	primary, err := testserver.StartRedis()
	testserver.Need(t, err)
	t.Cleanup(primary.Stop)
	put(t, redisstore.New(connect(t, primary), nil), "key", "v1", time.Hour)
	replica, err := primary.StartReplica()
	testserver.Need(t, err)
	t.Cleanup(replica.Stop)

	client := connect(t, replica)
	if n := client.Exists(t.Context(), "authcode:key").Val(); n != 1 {
		t.Fatal("the replica has not the record that the store must not read there")
	}
	store := redisstore.New(client, nil)
	_, _, _, err = store.Get(t.Context(), "key")
	wantAdvice(t, "Get", err, "READONLY", "connect to the primary")
	_, err = store.Swap(t.Context(), "key", "v1", "v2", nil, time.Hour)
	wantAdvice(t, "Swap", err, "READONLY", "connect to the primary")
	_, err = store.Swap(t.Context(), "other", "", "v1", nil, time.Hour)
	wantAdvice(t, "Swap from no version", err, "READONLY", "connect to the primary")
	wantAdvice(t, "Delete", store.Delete(t.Context(), "key"), "READONLY", "connect to the primary")
	_, err = store.Lease(t.Context(), "key", "alice", time.Hour)
	wantAdvice(t, "Lease", err, "READONLY", "connect to the primary")
}

func TestFullMemoryRefusesWritesAndIsRead(t *testing.T) {
	server, err := testserver.StartRedis()
	testserver.Need(t, err)
	t.Cleanup(server.Stop)
	store := redisstore.New(connect(t, server), nil)
	put(t, store, "key", "v1", time.Hour)
	if _, err := server.Do("CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	_, err = store.Swap(t.Context(), "key", "v1", "v2", []byte("two"), time.Hour)
	wantAdvice(t, "Swap", err, "OOM", "raise maxmemory")
	if data, version, found, err := store.Get(t.Context(), "key"); string(data) != "data" || version != "v1" || !found || err != nil {
		t.Errorf("Get = %q, %q, %t, %v; want the record as it was", data, version, found, err)
	}
	if err := store.Delete(t.Context(), "key"); err != nil {
		t.Errorf("Delete: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	server, err := single()
	testserver.Need(t, err)
	servers, err := cluster()
	testserver.Need(t, err)
	if _, err := server.Do("ACL", "SETUSER", "reader", "on", ">password", "~*", "+get"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Do("SET", "authcode:a text", "text"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Do("HSET", "authcode:halves", "v", "v1", "e", "9999999999999"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, key  string
		options    redis.Options
		code, says string
	}{
		{"no password", "key", redis.Options{Addr: server.Address}, "NOAUTH", "have no password"},
		{"a wrong password", "key", redis.Options{Addr: server.Address, Password: "wrong"}, "WRONGPASS", "Password"},
		{"a user without rights", "key", redis.Options{Addr: server.Address, Username: "reader", Password: "password"}, "NOPERM", "which commands"},
		{"a key of something else", "a text", redis.Options{Addr: server.Address, Password: server.Password}, "WRONGTYPE", "choose another one"},
		{"a hash of something else", "halves", redis.Options{Addr: server.Address, Password: server.Password}, "", "something else writes"},
		{"one node of a cluster", keyOnAnother, redis.Options{Addr: servers.Masters[0].Address, Password: servers.Password}, "MOVED", "NewClusterClient"},
		{"LOADING", "key", redis.Options{Addr: answering(t, "-LOADING Redis is loading the dataset in memory")}, "LOADING", "has just started"},
		{"MISCONF", "key", redis.Options{Addr: answering(t, "-MISCONF Redis is configured to save RDB snapshots")}, "MISCONF", "to disk"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.MaxRetries = -1
			client := redis.NewClient(&test.options)
			t.Cleanup(func() { _ = client.Close() })
			_, _, found, err := redisstore.New(client, nil).Get(t.Context(), test.key)
			if found {
				t.Error("found a record")
			}
			wantAdvice(t, "Get", err, test.code, test.says)
		})
	}
}

const keyOnAnother = "foo" // whose slot, with the prefix, is not the first master's

// TestALostAnswerOfASwap has a Swap done whose answer is lost: the client asks again.
func TestALostAnswerOfASwap(t *testing.T) {
	server, err := single()
	testserver.Need(t, err)
	direct := redisstore.New(connect(t, server), nil)
	for _, test := range []struct {
		name       string
		oldVersion string
		after      func(t *testing.T, key string) // the Swap, and before its repetition
		swapped    bool
		fails      bool
		stays      string
	}{
		{name: "a repetition gives true", oldVersion: "v1", swapped: true, stays: "v2"},
		{name: "one after somebody else's Swap gives false", oldVersion: "v1", stays: "v3", after: func(t *testing.T, key string) {
			if swapped, err := direct.Swap(t.Context(), key, "v2", "v3", nil, time.Hour); !swapped || err != nil {
				t.Error(swapped, err)
			}
		}},
		{name: "one after a Delete gives false", oldVersion: "v1", after: func(t *testing.T, key string) {
			if err := direct.Delete(t.Context(), key); err != nil {
				t.Error(err)
			}
		}},
		{name: "none brings back what was deleted", fails: true, after: func(t *testing.T, key string) {
			if err := direct.Delete(t.Context(), key); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			key := t.Name()
			if test.oldVersion != "" {
				put(t, direct, key, test.oldVersion, time.Hour)
			}
			if err := direct.Release(t.Context(), key, "nobody"); err != nil {
				t.Fatal(err)
			}
			proxy := startLossyProxy(t, server.Address, func() {
				if test.after != nil {
					test.after(t, key)
				}
			})
			client := redis.NewClient(&redis.Options{Addr: proxy.address, Password: server.Password, PoolSize: 1})
			t.Cleanup(func() { _ = client.Close() })
			store := redisstore.New(client, nil)
			if _, _, _, err := store.Get(t.Context(), "anything"); err != nil { // so that the scripts are known
				t.Fatal(err)
			}
			proxy.loseOne.Store(true)
			swapped, err := store.Swap(t.Context(), key, test.oldVersion, "v2", []byte("data"), time.Hour)
			if proxy.loseOne.Load() {
				t.Fatal("no answer was lost")
			}
			if swapped != test.swapped || (err != nil) != test.fails {
				t.Errorf("Swap = %t, %v; want %t, an error: %t", swapped, err, test.swapped, test.fails)
			}
			if _, version, _, err := direct.Get(t.Context(), key); version != test.stays || err != nil {
				t.Errorf("version %q stays, %v; want %q", version, err, test.stays)
			}
		})
	}
}

// lossyProxy passes bytes on, and loses the answer to one script that has "v2" in it: the connection breaks.
type lossyProxy struct {
	address string
	loseOne atomic.Bool
}

func startLossyProxy(t *testing.T, server string, lost func()) *lossyProxy {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	p := &lossyProxy{address: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client, server, lost)
		}
	}()
	return p
}

func (p *lossyProxy) serve(client net.Conn, address string, lost func()) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp4", address)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var lose atomic.Bool // the answers from now on
	go func() {
		request := make([]byte, 1<<16)
		for {
			n, err := client.Read(request)
			if err != nil {
				_ = server.Close()
				return
			}
			if strings.Contains(string(request[:n]), "v2") && strings.Contains(string(request[:n]), "evalsha") && p.loseOne.Load() {
				lose.Store(true)
			}
			_, _ = server.Write(request[:n])
		}
	}()
	answer := make([]byte, 1<<16)
	for {
		n, err := server.Read(answer)
		if err != nil {
			return
		}
		if lose.Load() && !strings.HasPrefix(string(answer[:n]), "-NOSCRIPT") {
			lost()
			p.loseOne.Store(false)
			return
		}
		_, _ = client.Write(answer[:n])
	}
}

// answering is a server that gives one answer to all that it is asked.
func answering(t *testing.T, answer string) (address string) {
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
				lines := bufio.NewScanner(conn)
				for lines.Scan() {
					if strings.HasPrefix(lines.Text(), "*") {
						_, _ = io.WriteString(conn, answer+"\r\n")
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func wantAdvice(t *testing.T, method string, err error, code, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) || code != "" && !redis.HasErrorPrefix(errors.Unwrap(err), code) {
		t.Errorf("%s gives %v, want %s and %q", method, err, code, says)
	}
	if err != nil && (strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "redisstore: ")) {
		t.Errorf("the error is not one line of this package: %q", err)
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name      string
		arguments []string
		says      []string
	}{
		{"nothing to say", []string{"--appendonly", "yes"}, nil},
		{"snapshots are enough", []string{"--save", "60 1"}, nil},
		{"nothing on disk", nil, []string{"keeps nothing on disk"}},
		{"evicts all", []string{"--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, []string{"instead of allkeys-lru"}},
		{"evicts what has a time to live", []string{"--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"}, []string{"instead of volatile-ttl"}},
		{"has no limit to evict at", []string{"--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"}, nil},
		{"CONFIG is not there", []string{"--rename-command", "CONFIG", ""}, []string{"does not say whether it keeps snapshots"}},
		{"both", []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-random"}, []string{"allkeys-random", "keeps nothing on disk"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, err := testserver.StartRedis(test.arguments...)
			testserver.Need(t, err)
			t.Cleanup(server.Stop)
			wantWarnings(t, connect(t, server), test.says...)
		})
	}
}

func TestCheckOfAReplica(t *testing.T) {
	primary, err := testserver.StartRedis()
	testserver.Need(t, err)
	t.Cleanup(primary.Stop)
	replica, err := primary.StartReplica()
	testserver.Need(t, err)
	t.Cleanup(replica.Stop)
	wantWarnings(t, connect(t, replica), "is a replica", "keeps nothing on disk")
}

func TestCheckOfAClusterAsksEveryPrimary(t *testing.T) {
	servers, err := cluster()
	testserver.Need(t, err)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: servers.Addresses(), Password: servers.Password})
	t.Cleanup(func() { _ = client.Close() })
	var says []string
	for _, master := range servers.Masters {
		says = append(says, master.Address+" keeps nothing on disk")
	}
	wantWarnings(t, client, says...)
}

func TestRing(t *testing.T) {
	server, err := testserver.StartRedis("--appendonly", "yes")
	testserver.Need(t, err)
	t.Cleanup(server.Stop)
	client := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": server.Address}, Password: server.Password})
	t.Cleanup(func() { _ = client.Close() })
	wantWarnings(t, client, "redis.Ring")
	store := redisstore.New(client, nil)
	put(t, store, "key", "v1", time.Hour)
	var listed []string
	if err := store.List(t.Context(), "", func(key string) bool { listed = append(listed, key); return true }); err != nil {
		t.Error(err)
	}
	if !slices.Equal(listed, []string{"key"}) {
		t.Errorf("listed %q", listed)
	}
}

func TestCheckGivesAnErrorWhenNobodyAnswers(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	if warnings, err := redisstore.New(client, nil).Check(t.Context()); err == nil || len(warnings) > 0 {
		t.Errorf("Check = %q, %v", warnings, err)
	}
}

// wantWarnings wants one with each text, in any order, and no others.
func wantWarnings(t *testing.T, client redis.UniversalClient, says ...string) {
	t.Helper()
	warnings, err := redisstore.New(client, nil).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != len(says) {
		t.Errorf("Check warns of %q, want %d warnings", warnings, len(says))
	}
	for _, s := range says {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, s) }) {
			t.Errorf("Check warns of %q, want %q", warnings, s)
		}
	}
}
