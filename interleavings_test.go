package authcode_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// hookedStore runs something after a read, before or after a write, as a slow connection lets it come between.
type hookedStore struct {
	*testStore
	afterGet, beforeDelete, afterSwap, onLease atomic.Pointer[func()]
}

func runHook(hook *atomic.Pointer[func()]) {
	if f := hook.Load(); f != nil {
		(*f)()
	}
}

// once is a hook that runs one time.
func once(hook *atomic.Pointer[func()], f func()) {
	hook.Store(new(func() { hook.Store(nil); f() }))
}

func (s *hookedStore) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	data, version, found, err := s.testStore.Get(ctx, key)
	runHook(&s.afterGet)
	return data, version, found, err
}

func (s *hookedStore) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	swapped, err := s.testStore.Swap(ctx, key, oldVersion, newVersion, data, ttl)
	if swapped {
		runHook(&s.afterSwap)
	}
	return swapped, err
}

func (s *hookedStore) Delete(ctx context.Context, key string) error {
	runHook(&s.beforeDelete)
	return s.testStore.Delete(ctx, key)
}

func (s *hookedStore) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	runHook(&s.onLease)
	return s.testStore.Lease(ctx, key, owner, ttl)
}

func newHookedStore() *hookedStore { return &hookedStore{testStore: newTestStore()} }

func wantUnknown(t *testing.T, c *authcode.AuthorizationCodeCredential) {
	t.Helper()
	if _, err := c.GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrUnknownAccount) {
		t.Errorf("the forgotten account gave %v", err)
	}
}

// TestForgetDuringALoad: the record was read before the Forget removed it.
func TestForgetDuringALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newHookedStore()
		e.signIn(e.replica(store), alice, graphScope)
		app := e.replica(store)
		held := app.Credential(e.aliceID())
		once(&store.afterGet, func() {
			if err := app.Forget(t.Context(), e.aliceID()); err != nil {
				t.Error(err)
			}
		})
		_, _ = held.GetToken(t.Context(), tokenFor(graphScope))
		wantUnknown(t, held)
	})
}

// TestALoadDuringAForget: the record was read between the Forget's two steps.
func TestALoadDuringAForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newHookedStore()
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		once(&store.beforeDelete, func() { _, _ = held.GetToken(t.Context(), tokenFor(graphScope)) })
		if err := app.Forget(t.Context(), e.aliceID()); err != nil {
			t.Error(err)
		}
		wantUnknown(t, held)
	})
}

// TestForgetDuringALook: the same while the grant is compared with the store.
func TestForgetDuringALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newHookedStore()
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		time.Sleep(6 * time.Minute)
		once(&store.afterGet, func() {
			if err := app.Forget(t.Context(), e.aliceID()); err != nil {
				t.Error(err)
			}
		})
		mustToken(t, held, tokenFor(graphScope)) // begins the look
		synctest.Wait()
		wantUnknown(t, held)
	})
}

// TestForgetWhileARefreshWaits: the store can be read and not written, so that the record is there until the backlog removes it.
func TestForgetWhileARefreshWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newHookedStore()
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		expire()
		once(&store.onLease, func() {
			store.readOnly.Store(true)
			if err := app.Forget(t.Context(), e.aliceID()); !errors.Is(err, authcode.ErrStoreUnavailable) {
				t.Error(err)
			}
		})
		_, _ = held.GetToken(t.Context(), tokenFor(graphScope))
		wantUnknown(t, held)
		e.wantRequests(1, 0)
	})
}

// TestKeepAliveLeavesTheForgottenAlone: a removal that the store could not be told of yet.
func TestKeepAliveLeavesTheForgottenAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		time.Sleep(31 * 24 * time.Hour)
		store.readOnly.Store(true)
		_ = app.Forget(t.Context(), e.aliceID())
		go func() { _ = app.KeepAlive(t.Context(), nil) }()
		time.Sleep(13 * time.Hour)
		e.wantRequests(1, 0)
		wantUnknown(t, app.Credential(e.aliceID()))
		_ = app.Close()
	})
}

// TestASignInDuringALook: what was read before the sign-in was stored is older than it.
func TestASignInDuringALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newHookedStore()
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		time.Sleep(6 * time.Minute)
		once(&store.afterGet, func() { e.signIn(app, alice, graphScope) })
		old := mustToken(t, held, tokenFor(graphScope)) // begins the look
		synctest.Wait()
		if got := mustToken(t, held, tokenFor(graphScope)); got.Token == old.Token {
			t.Error("the look brought back what the sign-in replaced")
		}
	})
}

// TestTheBacklogWritesDuringAReread: the refresh that follows uses the newest refresh token, not the record's of a moment ago.
func TestTheBacklogWritesDuringAReread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newHookedStore()
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		expire()
		store.readOnly.Store(true)
		mustToken(t, held, tokenFor(graphScope))
		once(&store.afterGet, func() {
			store.readOnly.Store(false)
			time.Sleep(6 * time.Second) // the backlog is worked off
		})
		mustToken(t, held, tokenFor(mailScope))
		expire()
		mustToken(t, held, tokenFor(graphScope))
	})
}

// TestForgetDuringASignInWhoseRemovalFails: the record that came after the Forget is removed as soon as the store can be told.
func TestForgetDuringASignInWhoseRemovalFails(t *testing.T) {
	for name, fault := range map[string]func(*hookedStore){
		"the removal fails":  func(s *hookedStore) { s.readOnly.Store(true) },
		"the answer is lost": func(s *hookedStore) { s.loseAnswer.Store(1) },
		"both":               func(s *hookedStore) { s.readOnly.Store(true); s.loseAnswer.Store(1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, store := newEntra(t, nil), newHookedStore()
				app := e.replica(store)
				var begun sync.Once
				store.onSwap.Store(new(func(string, string, string) {
					begun.Do(func() {
						if err := app.Forget(t.Context(), e.aliceID()); err != nil {
							t.Error(err)
						}
						fault(store)
					})
				}))
				e.signIn(app, alice, graphScope)
				time.Sleep(time.Minute)
				store.readOnly.Store(false)
				time.Sleep(time.Minute)
				synctest.Wait()
				if keys := store.keys(t); len(keys) != 0 {
					t.Error("the record outlived the Forget")
				}
			})
		})
	}
}

// TestForgetDuringASignInThatCloseWaitsFor: the same while the App is closed.
func TestForgetDuringASignInThatCloseWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		var begun sync.Once
		store.onSwap.Store(new(func(string, string, string) {
			begun.Do(func() {
				if err := app.Forget(t.Context(), e.aliceID()); err != nil {
					t.Error(err)
				}
				go func() { _ = app.Close() }()
				time.Sleep(time.Second)
			})
		}))
		flow, callback := e.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
		_, _ = app.Redeem(t.Context(), flow, callback)
		time.Sleep(time.Minute)
		if keys := store.keys(t); len(keys) != 0 {
			t.Error("the record outlived the Forget")
		}
	})
}

// TestASignInReplacesARecordUnderARetiredKey: or the user could never sign in for the other replicas again.
func TestASignInReplacesARecordUnderARetiredKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		e.signIn(e.replica(store), alice, graphScope)
		app := e.newApp(&authcode.AppOptions{Sealer: testSealer(t, 2), Store: store})
		e.signIn(app, alice, graphScope)
		time.Sleep(time.Minute)
		if err := e.askAlone(store, 2); err != nil {
			t.Error(err)
		}
	})
}

// TestADeadTokenBesideABrokenRecord: the user is asked to sign in, which mends both.
func TestADeadTokenBesideABrokenRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		if err := e.RevokeSessions(alice); err != nil {
			t.Fatal(err)
		}
		expire()
		key, _, _ := store.only(t)
		store.put(t, key, "cut", []byte("cut off"))
		for range 2 {
			_, err := held.GetToken(t.Context(), tokenFor(graphScope))
			if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); !required {
				t.Errorf("got %v", err)
			}
		}
		e.wantRequests(1, 1)
		e.signIn(app, alice, graphScope)
		if err := e.askAlone(store, 1); err != nil {
			t.Error(err)
		}
	})
}

// panickyStore panics in writes for a while.
type panickyStore struct {
	*testStore
	panics atomic.Bool
}

func (s *panickyStore) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if s.panics.Load() {
		panic("a fault of the store's")
	}
	return s.testStore.Lease(ctx, key, owner, ttl)
}

func (s *panickyStore) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	if s.panics.Load() {
		panic("a fault of the store's")
	}
	return s.testStore.Swap(ctx, key, oldVersion, newVersion, data, ttl)
}

// TestAStoreThatPanics: it is a store that fails.
func TestAStoreThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), &panickyStore{testStore: newTestStore()}
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 7 * time.Second, Times: 1})
		time.AfterFunc(time.Second, func() { store.panics.Store(true) }) // the lease's renewal, the write, the backlog
		want := mustToken(t, held, tokenFor(graphScope))
		time.Sleep(time.Minute)
		store.panics.Store(false)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := mustToken(t, e.replica(store).Credential(e.aliceID()), tokenFor(graphScope)); got.Token != want.Token {
			t.Error("what was refreshed was not written")
		}
	})
}

// TestAnAccountIDHasNoCase: Entra's IDs are GUIDs; however they are written there is one grant.
func TestAnAccountIDHasNoCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		shouted := app.Credential(strings.ToUpper(e.aliceID()))
		mustToken(t, shouted, tokenFor(graphScope))
		if shouted != app.Credential(e.aliceID()) {
			t.Error("two credentials of one account")
		}
		if err := app.Forget(t.Context(), e.aliceID()); err != nil {
			t.Error(err)
		}
		wantUnknown(t, shouted)
	})
}

// TestARemovalThatFailsHoldsUpNobody: as where one shard of the store is away.
func TestARemovalThatFailsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(undeletable{store})
		held := e.signIn(app, alice, graphScope)
		e.signIn(app, bob, graphScope)
		_ = app.Forget(t.Context(), e.Directory().User("bob").HomeAccountID())
		expire()
		store.readOnly.Store(true)
		want := mustToken(t, held, tokenFor(graphScope))
		store.readOnly.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := mustToken(t, e.replica(store).Credential(e.aliceID()), tokenFor(graphScope)); got.Token != want.Token {
			t.Error("what was refreshed was not written")
		}
	})
}

type undeletable struct{ *testStore }

func (undeletable) Delete(context.Context, string) error { return errStoreDown }

// blockingSealer blocks without heeding its context.
type blockingSealer struct {
	authcode.Sealer
	blocks atomic.Pointer[chan struct{}] // nil: it does not
}

func (s *blockingSealer) EncryptWithContext(ctx context.Context, plaintext, data []byte) ([]byte, error) {
	if blocks := s.blocks.Load(); blocks != nil {
		<-*blocks
	}
	return s.Sealer.EncryptWithContext(ctx, plaintext, data)
}

// TestCloseIsBounded: whatever the callbacks do.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		sealer := &blockingSealer{Sealer: testSealer(t, 1)}
		app := e.newApp(&authcode.AppOptions{Sealer: sealer, Store: store})
		held := e.signIn(app, alice, graphScope)
		expire()
		store.readOnly.Store(true)
		mustToken(t, held, tokenFor(graphScope)) // in the backlog
		blocks := make(chan struct{})
		sealer.blocks.Store(&blocks)
		go func() { // for a Close that does not return
			time.Sleep(time.Hour)
			close(blocks)
		}()
		time.Sleep(10 * time.Second)
		began := time.Now()
		_ = app.Close()
		if took := time.Since(began); took > 22*time.Second {
			t.Errorf("Close took %v", took)
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestAnOldRefreshDoesNotOverwriteASignInElsewhere: the backlog adopted the sign-in while the refresh was under way.
func TestAnOldRefreshDoesNotOverwriteASignInElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}}
		first, second := e.replica(cut), e.replica(store)
		held := e.signIn(first, alice, graphScope)
		expire()
		cut.readOnly.Store(true)
		mustToken(t, held, tokenFor(graphScope)) // unsaved
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 10 * time.Second, Times: 1})
		var wg sync.WaitGroup
		wg.Go(func() { mustToken(t, held, tokenFor(mailScope)) })
		time.Sleep(time.Second)
		e.signIn(second, alice, graphScope)
		want := mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		_, version, _ := store.only(t)
		cut.readOnly.Store(false)
		wg.Wait()
		synctest.Wait()
		if _, now, _ := store.only(t); now != version {
			t.Error("the refresh overwrote the sign-in")
		}
		if got := mustToken(t, held, tokenFor(graphScope)); got.Token != want.Token {
			t.Error("the sign-in's token is gone")
		}
	})
}

// TestAMarkDoesNotOverwriteASignInElsewhere: the sign-in that died had not been written when its user signed in elsewhere.
func TestAMarkDoesNotOverwriteASignInElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}}
		cut.readOnly.Store(true)
		first, second := e.replica(cut), e.replica(store)
		held := e.signIn(first, alice, graphScope)
		if err := e.RevokeSessions(alice); err != nil {
			t.Fatal(err)
		}
		expire()
		if _, err := held.GetToken(t.Context(), tokenFor(graphScope)); err == nil {
			t.Fatal("a revoked session gave a token")
		}
		e.signIn(second, alice, graphScope)
		cut.readOnly.Store(false)
		time.Sleep(time.Minute)
		if err := e.askAlone(store, 1); err != nil {
			t.Errorf("the sign-in is gone: %v", err)
		}
		mustToken(t, held, tokenFor(graphScope))
	})
}

// TestLooksAreRareWhileTheGrantIsUnsaved: a store that takes no writes is not asked at each call.
func TestLooksAreRareWhileTheGrantIsUnsaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		expire()
		store.readOnly.Store(true)
		mustToken(t, held, tokenFor(graphScope))
		time.Sleep(6 * time.Minute)
		gets := store.count("get")
		for range 100 {
			mustToken(t, held, tokenFor(graphScope))
			synctest.Wait()
		}
		if n := store.count("get") - gets; n > 2 {
			t.Errorf("%d reads for 100 calls", n)
		}
	})
}

// TestASignInTakesBackARemoval: the store takes writes again before it takes the removal.
func TestASignInTakesBackARemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newHookedStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		store.readOnly.Store(true)
		if err := app.Forget(t.Context(), e.aliceID()); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Error(err)
		}
		store.readOnly.Store(false) // and the sign-in is faster than the backlog
		e.signIn(app, alice, graphScope)
		time.Sleep(time.Minute)
		if err := e.askAlone(store, 1); err != nil {
			t.Error(err)
		}
	})
}

// TestASignInDuringARemoval: the one under way comes before the sign-in, the one behind it is taken back. It is in no bubble, whose
// clock stands still while somebody waits for a lock.
func TestASignInDuringARemoval(t *testing.T) {
	e, store := newEntra(t, nil), newHookedStore()
	app := e.replica(store)
	e.signIn(app, alice, graphScope)
	e.signIn(app, bob, graphScope)
	store.readOnly.Store(true)
	_ = app.Forget(t.Context(), e.aliceID())
	_ = app.Forget(t.Context(), e.Directory().User("bob").HomeAccountID())
	begun, written := make(chan struct{}, 20), make(chan struct{}, 20)
	store.afterSwap.Store(new(func() { written <- struct{}{} }))
	store.beforeDelete.Store(new(func() {
		begun <- struct{}{}
		select {
		case <-written: // too early
		case <-time.After(200 * time.Millisecond):
		}
	}))
	store.readOnly.Store(false)
	<-begun
	var wg sync.WaitGroup
	for _, user := range []string{alice, bob} {
		wg.Go(func() { e.signIn(app, user, graphScope) })
	}
	wg.Wait()
	_ = app.Close() // works off what is left
	if keys := store.keys(t); len(keys) != 2 {
		t.Errorf("%d records, want 2", len(keys))
	}
}

// TestARefreshOnTopOfALostAnswer: what the store has is our own earlier attempt, and gives way.
func TestARefreshOnTopOfALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		expire()
		store.loseAnswer.Store(1)
		mustToken(t, held, tokenFor(graphScope))
		mustToken(t, held, tokenFor(mailScope)) // before the backlog is worked off
		expire()
		mustToken(t, held, tokenFor(graphScope))
	})
}

// TestAnUnwrittenSignInStaysOne: a refresh on top of it does not make it give way to what it replaces.
func TestAnUnwrittenSignInStaysOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}}
		first, second := e.replica(cut), e.replica(store)
		held := e.signIn(first, alice, graphScope)
		cut.readOnly.Store(true)
		e.signIn(first, alice, graphScope)
		want := mustToken(t, held, tokenFor(graphScope))
		mustToken(t, second.Credential(e.aliceID()), tokenFor(mailScope)) // of the first sign-in
		mustToken(t, held, tokenFor(mailScope))
		cut.readOnly.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := mustToken(t, e.replica(store).Credential(e.aliceID()), tokenFor(graphScope)); got.Token != want.Token {
			t.Error("the sign-in was lost")
		}
	})
}

// TestASignInDuringALostSwap: what the backlog read before it is older.
func TestASignInDuringALostSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		cut := &hookedStore{testStore: &testStore{inner: store.inner, ops: map[string]int{}}}
		first, second := e.replica(cut), e.replica(store)
		held := e.signIn(first, alice, graphScope)
		cut.readOnly.Store(true)
		mustToken(t, held, tokenFor(mailScope)) // unsaved
		e.signIn(second, alice, graphScope)
		once(&cut.afterGet, func() { e.signIn(first, alice, graphScope) })
		cut.readOnly.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		old := mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		if got := mustToken(t, held, tokenFor(graphScope)); got.Token == old.Token {
			t.Error("the sign-in gave way to an older one")
		}
	})
}

// boundToNothing is a Sealer that ignores the associated data.
type boundToNothing struct{ authcode.Sealer }

func (s boundToNothing) EncryptWithContext(ctx context.Context, plaintext, _ []byte) ([]byte, error) {
	return s.Sealer.EncryptWithContext(ctx, plaintext, nil)
}

func (s boundToNothing) DecryptWithContext(ctx context.Context, ciphertext, _ []byte) ([]byte, error) {
	return s.Sealer.DecryptWithContext(ctx, ciphertext, nil)
}

// TestAMovedRecordThatOpens: with such a Sealer the record itself says whose it is.
func TestAMovedRecordThatOpens(t *testing.T) {
	e, store := newEntra(t, nil), newTestStore()
	options := &authcode.AppOptions{Sealer: boundToNothing{testSealer(t, 1)}, Store: store}
	app := e.newApp(options)
	e.signIn(app, alice, graphScope)
	alices, _, data := store.only(t)
	e.signIn(app, bob, graphScope)
	for _, key := range store.keys(t) {
		if key == alices {
			continue
		}
		store.put(t, key, "moved", data)
		_, err := e.newApp(options).Credential(e.Directory().User("bob").HomeAccountID()).GetToken(t.Context(), tokenFor(graphScope))
		wantSignIn(t, err, key)
	}
}

// TestARefusalIsNotBelievedBlindly: while the store cannot be read another replica may know better.
func TestARefusalIsNotBelievedBlindly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		held := e.signIn(e.replica(store), alice, graphScope)
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Error: "invalid_grant", AADSTS: 70000, Latency: 2 * time.Second, Times: 1})
		time.AfterFunc(time.Second, func() { store.down.Store(true) })
		_, err := held.GetToken(t.Context(), tokenFor(graphScope))
		if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); required || !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("got %v", err)
		}
		store.down.Store(false)
		mustToken(t, held, tokenFor(graphScope))
	})
}

// TestALeaseIsHeldAndGivenBack: for as long as the work takes, a slow store's part included, and no longer.
func TestALeaseIsHeldAndGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newHookedStore()
		first, second := e.replica(store), e.replica(store.testStore)
		held := e.signIn(first, alice, graphScope)
		key, _, _ := store.only(t)
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 11 * time.Second, Times: 1})
		store.onSwap.Store(new(func(string, string, string) {
			store.onSwap.Store(nil)
			time.Sleep(4900 * time.Millisecond)
			if granted, err := store.inner.Lease(t.Context(), key, "another", time.Second); granted || err != nil {
				t.Errorf("another was granted the lease: %v, %v", granted, err)
			}
		}))
		mustToken(t, held, tokenFor(graphScope))
		began := time.Now()
		mustToken(t, second.Credential(e.aliceID()), tokenFor(mailScope))
		if took := time.Since(began); took > time.Second {
			t.Errorf("the lease was not given back for %v", took)
		}
	})
}

// TestLooksAreRareWhileTheStoreIsDown: it is asked every 30 seconds, not at each call.
func TestLooksAreRareWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		held := e.signIn(e.replica(store), alice, graphScope)
		store.down.Store(true)
		time.Sleep(6 * time.Minute)
		gets := store.count("get")
		for range 100 {
			mustToken(t, held, tokenFor(graphScope))
			synctest.Wait()
		}
		if n := store.count("get") - gets; n != 1 {
			t.Errorf("%d reads for 100 calls", n)
		}
	})
}

// roundless is a store whose rounds of KeepAlive another replica has.
type roundless struct{ *testStore }

func (s roundless) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if strings.HasPrefix(key, "keepalive:") {
		return false, nil
	}
	return s.testStore.Lease(ctx, key, owner, ttl)
}

// TestKeepAliveLeavesTheRoundToItsHolder: who is refused the round looks at nothing.
func TestKeepAliveLeavesTheRoundToItsHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(roundless{store})
		e.signIn(app, alice, graphScope)
		go func() { _ = app.KeepAlive(t.Context(), nil) }()
		time.Sleep(10 * 24 * time.Hour)
		if n := store.count("list"); n != 0 {
			t.Errorf("listed %d times", n)
		}
		_ = app.Close()
	})
}
