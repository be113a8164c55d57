package bench

import (
	"testing"
	"testing/synctest"
	"time"
)

// What each call asks the store. Round trips are what a store costs, so that one more is to be noticed.

func TestTripsToTheStore(t *testing.T) {
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
		{"a refresh where the record is an old one", func() error { return here.token(t.Context(), 1, renewing) }, "Lease Get Swap Release"},
		{"a stranger", func() error {
			if err := here.token(t.Context(), 2, ""); err == nil {
				t.Error("there is a token for a stranger")
			}
			return nil
		}, "Get"},
		{"a sign-out", func() error { return here.Forget(t.Context(), accountID(1)) }, "Delete"},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.what, err)
		}
		if got := store.asked(); got != step.want {
			t.Errorf("%s: the store was asked %q, want %q", step.what, got, step.want)
		}
	}
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
