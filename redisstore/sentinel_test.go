package redisstore_test

import (
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/internal/testserver"
	"github.com/authcode-go/authcode/redisstore"
	"github.com/authcode-go/authcode/storetest"
)

var sentinel = sync.OnceValues(testserver.StartRedisSentinel)

// behindSentinel is a client that asks the sentinels who the primary is; one that spreads what only reads is a *ClusterClient.
func behindSentinel(t testing.TB, servers *testserver.RedisSentinel, spread bool) owned {
	return own(t, redis.NewUniversalClient(&redis.UniversalOptions{
		MasterName: servers.Name, Addrs: servers.Addresses(), RouteRandomly: spread,
		Password: servers.Password, SentinelPassword: servers.Password,
	}))
}

// TestStoreBehindSentinel has as the other handle one whose client reads from replicas, of what the store asks.
func TestStoreBehindSentinel(t *testing.T) {
	servers, err := sentinel()
	testserver.Need(t, err)
	open := func(t testing.TB) authcode.Store { return behindSentinel(t, servers, false) }
	storetest.Run(t, open, &storetest.Options{
		Another: func(t testing.TB, _ authcode.Store) authcode.Store { return behindSentinel(t, servers, true) },
		Reopen:  reopen(open),
	})
}

func TestCheckBehindSentinelAsksThePrimary(t *testing.T) {
	servers, err := sentinel()
	testserver.Need(t, err)
	for _, spread := range []bool{false, true} {
		wantWarnings(t, behindSentinel(t, servers, spread).client, "keeps nothing on disk")
	}
}

// TestFailover kills the primary: until another server leads every call is an error, and then all is as it was.
func TestFailover(t *testing.T) {
	servers, err := testserver.StartRedisSentinel()
	testserver.Need(t, err)
	t.Cleanup(servers.Stop)
	stores := map[string]*redisstore.Store{ // by the key that each writes
		"simple": behindSentinel(t, servers, false).Store,
		"spread": behindSentinel(t, servers, true).Store,
	}
	for key, store := range stores {
		put(t, store, key, "v1", time.Hour)
		wantLease(t, store, key, "alice", true)
	}
	if err := servers.Replicate(); err != nil {
		t.Fatal(err)
	}

	servers.Primary.Kill()
	var calls sync.WaitGroup
	for key, store := range stores {
		for name, call := range methods(store, key) {
			calls.Go(func() {
				if call(t.Context()) == nil {
					t.Errorf("%s of %q gives no error though nobody leads", name, key)
				}
			})
		}
	}
	calls.Wait()

	if err := servers.Failover(); err != nil {
		t.Fatal(err)
	}
	for key, store := range stores {
		awaitRecord(t, store, key, "v1")
		wantLease(t, store, key, "bob", false)
		wantLease(t, store, key, "alice", true)
		if swapped, err := store.Swap(t.Context(), key, "v0", "late", nil, time.Hour); swapped || err != nil {
			t.Errorf("Swap of %q from a version that it has not = %t, %v", key, swapped, err)
		}
		if swapped, err := store.Swap(t.Context(), key, "v1", "v2", []byte("data"), time.Hour); !swapped || err != nil {
			t.Errorf("Swap of %q from its version = %t, %v", key, swapped, err)
		}
	}

	// Who led before comes back with nothing, and leads in its own eyes until a sentinel tells it otherwise.
	if err := servers.Primary.Restart(); err != nil {
		t.Fatal(err)
	}
	for key, store := range stores {
		awaitRecord(t, store, key, "v2")
		awaitRecord(t, behindSentinel(t, servers, false).Store, key, "v2")
		wantLease(t, store, key, "bob", false)
	}
}

// awaitRecord reads until there is an answer, and wants it to be the record.
func awaitRecord(t *testing.T, store *redisstore.Store, key, version string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		data, has, found, err := store.Get(t.Context(), key)
		switch {
		case err == nil && string(data) == "data" && has == version && found:
			return
		case err == nil:
			t.Fatalf("Get(%q) = %q, %q, %t; want version %q", key, data, has, found, version)
		case time.Now().After(end):
			t.Fatalf("Get(%q) still gives %v", key, err)
		}
	}
}

func wantLease(t *testing.T, store *redisstore.Store, key, owner string, granted bool) {
	t.Helper()
	if got, err := store.Lease(t.Context(), key, owner, time.Hour); got != granted || err != nil {
		t.Errorf("Lease of %q for %s = %t, %v; want %t", key, owner, got, err, granted)
	}
}
