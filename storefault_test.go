package authcode_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
)

// slowStore answers after a while; one that is silent never does, as behind a network that drops what is sent.
type slowStore struct {
	*testStore
	takes  atomic.Int64 // time.Duration of one call
	silent atomic.Bool
}

func (s *slowStore) wait(ctx context.Context) error {
	if s.silent.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case <-time.After(time.Duration(s.takes.Load())):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slowStore) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	if err := s.wait(ctx); err != nil {
		return nil, "", false, err
	}
	return s.testStore.Get(ctx, key)
}

func (s *slowStore) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	if err := s.wait(ctx); err != nil {
		return false, err
	}
	return s.testStore.Swap(ctx, key, oldVersion, newVersion, data, ttl)
}

func (s *slowStore) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if err := s.wait(ctx); err != nil {
		return false, err
	}
	return s.testStore.Lease(ctx, key, owner, ttl)
}

func (s *slowStore) Delete(ctx context.Context, key string) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.testStore.Delete(ctx, key)
}

// TestASilentStore: one caller waits five seconds for it, those who come next one second for each call, and what was refreshed is
// written when it is back.
func TestASilentStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		store := &slowStore{testStore: newTestStore()}
		app, other := e.replica(store), e.replica(store)
		e.signIn(app, alice, graphScope)
		bobs, err := e.signIn(app, bob, graphScope).Account(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		expire()
		store.silent.Store(true)
		for _, call := range []struct {
			who   string
			id    string
			least time.Duration
			most  time.Duration
		}{{"the first caller", e.aliceID(), 5 * time.Second, 7 * time.Second}, {"the next", bobs.ID, 0, 3 * time.Second}} {
			began := time.Now()
			mustToken(t, app.Credential(call.id), tokenFor(graphScope))
			if took := time.Since(began); took < call.least || took > call.most {
				t.Errorf("%s waited %v", call.who, took)
			}
		}
		store.silent.Store(false)
		time.Sleep(5 * time.Second)
		e.wantRequests(2, 2)
		for _, id := range []string{e.aliceID(), bobs.ID} {
			if mustToken(t, other.Credential(id), tokenFor(graphScope)).Token != mustToken(t, app.Credential(id), tokenFor(graphScope)).Token {
				t.Error("what was refreshed was not written")
			}
		}
		e.wantRequests(2, 2)
	})
}

// TestASlowStoreAfterASilence: one that takes longer than it is given after a silence is not shut out by that.
func TestASlowStoreAfterASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		store := &slowStore{testStore: newTestStore()}
		e.signIn(e.replica(store), alice, graphScope)
		app := e.replica(store)
		ask := func() error {
			_, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
			return err
		}
		store.silent.Store(true)
		began := time.Now()
		if err := ask(); !errors.Is(err, authcode.ErrStoreUnavailable) || time.Since(began) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		store.silent.Store(false)
		store.takes.Store(int64(2 * time.Second))
		began = time.Now()
		if err := ask(); !errors.Is(err, authcode.ErrStoreUnavailable) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		for time.Since(began) < 10*time.Second { // asking on puts nothing off
			if ask() == nil {
				break
			}
		}
		if err := ask(); err != nil || time.Since(began) > 12*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestAnAnswerEndsTheSilence: from then on a call has its whole time.
func TestAnAnswerEndsTheSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		store := &slowStore{testStore: newTestStore()}
		e.signIn(e.replica(store), alice, graphScope)
		app := e.replica(store)
		store.silent.Store(true)
		if _, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Error(err)
		}
		store.silent.Store(false)
		if err := app.Forget(t.Context(), "nobody"); err != nil {
			t.Error(err)
		}
		store.takes.Store(int64(2 * time.Second))
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// TestACallerWhoLeavesSaysNothingOfTheStore: the next one gives it its whole time.
func TestACallerWhoLeavesSaysNothingOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		store := &slowStore{testStore: newTestStore()}
		e.signIn(e.replica(store), alice, graphScope)
		app := e.replica(store)
		store.takes.Store(int64(2 * time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := app.Forget(ctx, "nobody"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Forget gave %v", err)
		}
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// TestEventsOfTheStore: what cannot be written is told when it fails, and when it was written after all.
func TestEventsOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		var mu sync.Mutex
		var told []authcode.EventOutcome
		app := e.newApp(&authcode.AppOptions{Sealer: testSealer(t, 1), Store: store, OnEvent: func(_ context.Context, event authcode.Event) {
			mu.Lock()
			defer mu.Unlock()
			if event.Kind == authcode.EventStore && event.Account != "" {
				told = append(told, event.Outcome)
				if failed := errors.Is(event.Err, authcode.ErrStoreUnavailable); failed != (event.Outcome == authcode.OutcomeFailed) {
					t.Errorf("%s with %v", event.Outcome, event.Err)
				}
			}
		}})
		e.signIn(app, alice, graphScope)
		expire()
		store.down.Store(true)
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		time.Sleep(time.Minute)
		store.down.Store(false)
		time.Sleep(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 2 || told[0] != authcode.OutcomeFailed || told[1] != authcode.OutcomeOK {
			t.Errorf("told %v", told)
		}
	})
}

// TestASilentStoreWithItsOwnTimeout: its client gives up before we do.
func TestASilentStoreWithItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		store := &ownTimeout{testStore: newTestStore()}
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		bobs, _ := e.signIn(app, bob, graphScope).Account(t.Context())
		expire()
		store.silent.Store(true)
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		began := time.Now()
		mustToken(t, app.Credential(bobs.ID), tokenFor(graphScope))
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the second caller waited %v", took)
		}
		store.silent.Store(false)
	})
}

// TestOneCallTriesWhetherTheSilenceIsOver: the others wait a second.
func TestOneCallTriesWhetherTheSilenceIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		store := &slowStore{testStore: newTestStore()}
		app := e.replica(store)
		store.silent.Store(true)
		_, _ = app.Credential("nobody").GetToken(t.Context(), tokenFor(graphScope))
		time.Sleep(10 * time.Second)
		var wg sync.WaitGroup
		var long atomic.Int64
		for i := range 20 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 200 * time.Millisecond)
				began := time.Now()
				_, _ = app.Credential(string(rune('a'+i))).GetToken(t.Context(), tokenFor(graphScope))
				if time.Since(began) >= 5*time.Second {
					long.Add(1)
				}
			})
		}
		wg.Wait()
		if n := long.Load(); n > 1 {
			t.Errorf("%d of 20 callers waited five seconds", n)
		}
	})
}

// TestNoWriteIsToldOfAForgottenGrant: there was none.
func TestNoWriteIsToldOfAForgottenGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		var ok atomic.Int64
		app := e.newApp(&authcode.AppOptions{Sealer: testSealer(t, 1), Store: store, OnEvent: func(_ context.Context, event authcode.Event) {
			if event.Kind == authcode.EventStore && event.Outcome == authcode.OutcomeOK {
				ok.Add(1)
			}
		}})
		e.signIn(app, alice, graphScope)
		expire()
		store.noSwaps.Store(true)
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		if err := app.Forget(t.Context(), e.aliceID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := ok.Load(); n != 0 {
			t.Errorf("%d writes are told of, and nothing was written", n)
		}
	})
}

// ownTimeout is a silent store whose client gives up by itself after three seconds.
type ownTimeout struct {
	*testStore
	silent atomic.Bool
}

func (s *ownTimeout) wait(ctx context.Context) error {
	if !s.silent.Load() {
		return nil
	}
	select {
	case <-time.After(3 * time.Second):
		return errors.New("i/o timeout")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *ownTimeout) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	if err := s.wait(ctx); err != nil {
		return nil, "", false, err
	}
	return s.testStore.Get(ctx, key)
}

func (s *ownTimeout) Swap(ctx context.Context, key, a, b string, data []byte, ttl time.Duration) (bool, error) {
	if err := s.wait(ctx); err != nil {
		return false, err
	}
	return s.testStore.Swap(ctx, key, a, b, data, ttl)
}

func (s *ownTimeout) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if err := s.wait(ctx); err != nil {
		return false, err
	}
	return s.testStore.Lease(ctx, key, owner, ttl)
}
