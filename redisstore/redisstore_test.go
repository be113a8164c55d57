package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/internal/testserver"
	"github.com/authcode-go/authcode/redisstore"
	"github.com/authcode-go/authcode/storetest"
)

var (
	_ authcode.Store  = (*redisstore.Store)(nil)
	_ authcode.Leaser = (*redisstore.Store)(nil)
	_ authcode.Lister = (*redisstore.Store)(nil)
)

// The servers that tests share, started by the first that needs one.
var (
	single  = sync.OnceValues(func() (*testserver.Redis, error) { return testserver.StartRedis() })
	cluster = sync.OnceValues(testserver.StartRedisCluster)
)

func TestMain(m *testing.M) {
	logging.Disable() // each client behind Sentinel tells whom it found
	code := m.Run()
	testserver.StopAll()
	os.Exit(code)
}

// owned is a store with the client that it is on.
type owned struct {
	*redisstore.Store
	client redis.UniversalClient
}

func (o owned) Close() error { return o.client.Close() }

func own(t testing.TB, client redis.UniversalClient) owned {
	t.Cleanup(func() { _ = client.Close() })
	return owned{redisstore.New(client, nil), client}
}

func connect(t testing.TB, server *testserver.Redis) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: server.Address, Password: server.Password})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestStoreOnOneServer(t *testing.T) {
	server, err := single()
	testserver.Need(t, err)
	open := func(t testing.TB) authcode.Store { return own(t, connect(t, server)) }
	storetest.Run(t, open, &storetest.Options{
		Another: func(t testing.TB, _ authcode.Store) authcode.Store { return open(t) },
		Reopen:  reopen(open),
	})
}

func reopen(open func(testing.TB) authcode.Store) func(testing.TB, authcode.Store) authcode.Store {
	return func(t testing.TB, store authcode.Store) authcode.Store {
		if err := store.(owned).Close(); err != nil {
			t.Fatal(err)
		}
		return open(t)
	}
}

// TestStoreOnACluster has as the other handle one whose client reads from replicas, of what the store asks.
func TestStoreOnACluster(t *testing.T) {
	servers, err := cluster()
	testserver.Need(t, err)
	open := func(readOnly bool) func(t testing.TB) authcode.Store {
		return func(t testing.TB) authcode.Store {
			return own(t, redis.NewClusterClient(&redis.ClusterOptions{
				Addrs: servers.Addresses(), Password: servers.Password, ReadOnly: readOnly, RouteRandomly: readOnly,
			}))
		}
	}
	storetest.Run(t, open(false), &storetest.Options{
		Another: func(t testing.TB, _ authcode.Store) authcode.Store { return open(true)(t) },
		Reopen:  reopen(open(false)),
	})
}

// TestClusterHasKeysOnAllNodes guards the test above: a cluster of which one node has everything would pass anything.
func TestClusterHasKeysOnAllNodes(t *testing.T) {
	servers, err := cluster()
	testserver.Need(t, err)
	store := own(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: servers.Addresses(), Password: servers.Password}))
	for i := range 100 {
		put(t, store, fmt.Sprint("spread", i), "v1", time.Hour)
	}
	for _, master := range servers.Masters {
		if size, err := master.Do("DBSIZE"); err != nil || size == "0" {
			t.Errorf("%s has %s keys, %v", master.Address, size, err)
		}
	}
}

func TestNothingStaysForGood(t *testing.T) {
	server, err := testserver.StartRedis()
	testserver.Need(t, err)
	t.Cleanup(server.Stop)
	client := connect(t, server)
	store := redisstore.New(client, &redisstore.Options{Prefix: "app[1]:"})
	ctx := t.Context()
	lease := func(key string, ttl time.Duration) {
		t.Helper()
		if granted, err := store.Lease(ctx, key, "alice", ttl); !granted || err != nil {
			t.Fatal(granted, err)
		}
	}
	put(t, store, "record", "v1", time.Hour)
	lease("lease", time.Hour)
	put(t, store, "longer lease", "v1", time.Minute)
	lease("longer lease", time.Hour)
	put(t, store, "longer record", "v1", time.Hour)
	lease("longer record", time.Minute)
	put(t, store, "deleted", "v1", 2*time.Hour)
	lease("deleted", time.Hour)
	if err := store.Delete(ctx, "deleted"); err != nil {
		t.Fatal(err)
	}
	put(t, store, "released", "v1", time.Hour)
	lease("released", 2*time.Hour)
	put(t, store, "gone", "v1", time.Hour)
	lease("gone too", time.Hour)
	if err := store.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"released", "gone too"} {
		if err := store.Release(ctx, key, "alice"); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"gone", "never"} { // what looks leaves nothing
		if _, _, found, err := store.Get(ctx, key); found || err != nil {
			t.Fatal(found, err)
		}
	}

	keys := client.Keys(ctx, "*").Val()
	if want := 6; len(keys) != want {
		t.Errorf("the server has %q, want %d keys", keys, want)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "app[1]:") {
			t.Errorf("%q is without the prefix", key)
		}
		if ttl := client.PTTL(ctx, key).Val(); ttl <= 59*time.Minute || ttl > time.Hour {
			t.Errorf("%q ends in %s, want an hour", key, ttl)
		}
	}
}

func TestScriptsAreSentAgainAfterTheServerForgotThem(t *testing.T) {
	server, err := testserver.StartRedis()
	testserver.Need(t, err)
	t.Cleanup(server.Stop)
	store := redisstore.New(connect(t, server), nil)
	for i := range 3 {
		if _, err := server.Do("SCRIPT", "FLUSH"); err != nil {
			t.Fatal(err)
		}
		put(t, store, fmt.Sprint("key", i), "v1", time.Hour)
	}
}

func TestAMethodEndsWithItsContextThoughTheServerIsSilent(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	client := redis.NewClient(&redis.Options{Addr: listener.Addr().String()})
	t.Cleanup(func() { _ = client.Close() })
	for name, call := range methods(redisstore.New(client, nil), "key") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { cancel(nil) })
			began := time.Now()
			err := call(ctx)
			if took := time.Since(began); took > 2*time.Second || err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
				t.Errorf("%v after %s, want %v at once", err, took, context.Canceled)
			}
		})
	}
}

// methods are all calls that ask a server.
func methods(store *redisstore.Store, key string) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error { _, _, _, err := store.Get(ctx, key); return err },
		"Swap": func(ctx context.Context) error {
			_, err := store.Swap(ctx, key, "v1", "v2", nil, time.Hour)
			return err
		},
		"Swap 1": func(ctx context.Context) error {
			_, err := store.Swap(ctx, key, "", "v1", nil, time.Hour)
			return err
		},
		"Delete":  func(ctx context.Context) error { return store.Delete(ctx, key) },
		"Lease":   func(ctx context.Context) error { _, err := store.Lease(ctx, key, "alice", time.Hour); return err },
		"Release": func(ctx context.Context) error { return store.Release(ctx, key, "alice") },
		"List":    func(ctx context.Context) error { return store.List(ctx, "", func(string) bool { return true }) },
		"Check":   func(ctx context.Context) error { _, err := store.Check(ctx); return err },
	}
}

func put(t testing.TB, store authcode.Store, key, version string, ttl time.Duration) {
	t.Helper()
	if swapped, err := store.Swap(t.Context(), key, "", version, []byte("data"), ttl); !swapped || err != nil {
		t.Fatalf("Swap(%q) = %t, %v", key, swapped, err)
	}
}

func BenchmarkStore(b *testing.B) {
	server, err := single()
	testserver.Need(b, err)
	client := connect(b, server)
	storetest.Benchmark(b, func(testing.TB) authcode.Store { return redisstore.New(client, nil) })
}

func ExampleNew() {
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{"redis.example.com:6379"}})
	defer func() { _ = client.Close() }()
	var store authcode.Store = redisstore.New(client, &redisstore.Options{Prefix: "shop:"})
	fmt.Printf("%T\n", store)
	// Output: *redisstore.Store
}
