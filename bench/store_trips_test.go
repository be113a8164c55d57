package bench

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
)

// What each call asks the store. Round trips are what a store costs, so that one more is to be noticed.

func TestTripsToTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStoreServer(t)
		store := &counting{fullStore: places[0].open(t)}
		here, there, elsewhere := newReplica(t, server, store), newReplica(t, server, store), newReplica(t, server, store)
		for _, step := range []struct {
			what string
			do   func() error
			want string
		}{
			{"a new user signs in", func() error { return here.signIn(t.Context(), 1) }, "Swap"},
			{"a cached token", func() error { return here.token(t.Context(), 1, "") }, ""},
			{"they sign in again, here", func() error { return here.signIn(t.Context(), 1) }, "Swap"},
			{"they sign in again, where nobody knows them", func() error { return there.signIn(t.Context(), 1) }, "Swap Get Swap"},
			{"a miss", func() error { return elsewhere.token(t.Context(), 1, "") }, "Get"},
			{"a cached token, after the miss", func() error { return elsewhere.token(t.Context(), 1, "") }, ""},
			{"a refresh", func() error { return elsewhere.token(t.Context(), 1, renewing) }, "Lease Get Swap Release"},
			{"what another replica has refreshed", func() error { return here.token(t.Context(), 1, renewing) }, "Lease Get Release"},
			{"a stranger", func() error {
				if err := here.token(t.Context(), 2, ""); err == nil {
					t.Error("there is a token for a stranger")
				}
				return nil
			}, "Get"},
			{"a sign-out", func() error { return here.Forget(t.Context(), accountID(1)) }, "Delete"},
		} {
			time.Sleep(time.Second) // so that one token is newer than another
			if err := step.do(); err != nil {
				t.Errorf("%s: %v", step.what, err)
			}
			if got := store.asked(); got != step.want {
				t.Errorf("%s: the store was asked %q, want %q", step.what, got, step.want)
			}
		}
	})
}

func TestTripsOfAnExpiredGrantThatIsNotInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStoreServer(t)
		store := &counting{fullStore: places[0].open(t)}
		if err := newReplica(t, server, store).signIn(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		store.asked()
		if err := newReplica(t, server, store).token(t.Context(), 1, ""); err != nil {
			t.Fatal(err)
		}
		if got, want := store.asked(), "Get Lease Get Swap Release"; got != want {
			t.Errorf("the store was asked %q, want %q", got, want)
		}
	})
}

func TestTripsOfCachedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newStoreServer(t)
		store := &counting{fullStore: places[0].open(t)}
		r := newReplica(t, server, store)
		if err := r.signIn(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		store.asked()
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{0, ""},
			{4 * time.Minute, ""},
			{2 * time.Minute, "Get"}, // behind the callers' backs, once in five minutes
		} {
			time.Sleep(step.after)
			for range 1_000 {
				if err := r.token(t.Context(), 1, ""); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if got := store.asked(); got != step.want {
				t.Errorf("after %v more: the store was asked %q, want %q", step.after, got, step.want)
			}
		}
	})
}

// TestACallOfAStoreIsOneRoundTrip counts what the clients send: a statement that was prepared first, or a script that was sent
// after its hash, would be two.
func TestACallOfAStoreIsOneRoundTrip(t *testing.T) {
	for _, p := range []struct {
		name string
		open func(*testing.T, dialer) fullStore
	}{
		{"redis", func(t *testing.T, d dialer) fullStore {
			return newRedisStoreOf(t, flushedRedis(t, redisServer), &redis.Options{Dialer: d})
		}},
		{"postgres", func(t *testing.T, d dialer) fullStore {
			return newPostgresStoreOf(t, newPool(t, "", pgconn.DialFunc(d)))
		}},
	} {
		t.Run(p.name, func(t *testing.T) {
			var sent atomic.Int64
			store := p.open(t, countingDialer(&sent))
			steps := []struct {
				what string
				do   func() error
			}{
				{"Lease", func() error { _, err := store.Lease(t.Context(), "key", "owner", time.Minute); return err }},
				{"Swap", func() error { _, err := store.Swap(t.Context(), "key", "", "v1", []byte("a"), time.Minute); return err }},
				{"Swap again", func() error {
					_, err := store.Swap(t.Context(), "key", "v1", "v2", []byte("b"), time.Minute)
					return err
				}},
				{"Get", func() error { _, _, _, err := store.Get(t.Context(), "key"); return err }},
				{"Release", func() error { return store.Release(t.Context(), "key", "owner") }},
				{"Delete", func() error { return store.Delete(t.Context(), "key") }},
			}
			for _, warm := range []bool{true, false} { // the first round connects, and Redis learns the scripts
				for _, step := range steps {
					before := sent.Load()
					if err := step.do(); err != nil {
						t.Fatalf("%s: %v", step.what, err)
					}
					if n := sent.Load() - before; !warm && n != 1 {
						t.Errorf("%s was sent in %d pieces, want 1", step.what, n)
					}
				}
			}
		})
	}
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func countingDialer(sent *atomic.Int64) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := new(net.Dialer).DialContext(ctx, network, address)
		return sender{connection, sent}, err
	}
}

// sender counts what is written to a connection: each time is the beginning of a round trip.
type sender struct {
	net.Conn
	sent *atomic.Int64
}

func (s sender) Write(p []byte) (int, error) {
	s.sent.Add(1)
	return s.Conn.Write(p)
}
