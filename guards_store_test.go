package authcode

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// guardedStore counts leases, and can lose what it has.
type guardedStore struct {
	*memoryStore
	leased      atomic.Int64
	leaseFaults atomic.Bool
	noDeletes   atomic.Bool
	slow        time.Duration // of a reading
	vanishes    bool          // records, once they are listed
	beforeSwap  func()        // the next one; nil: nothing
}

func newGuardedStore() *guardedStore {
	return &guardedStore{memoryStore: NewMemoryStore().(*memoryStore)}
}

var errGuarded = errors.New("connection refused")

func (s *guardedStore) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	time.Sleep(s.slow)
	return s.memoryStore.Get(ctx, key)
}

func (s *guardedStore) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	if before := s.beforeSwap; before != nil {
		s.beforeSwap = nil
		before()
	}
	return s.memoryStore.Swap(ctx, key, oldVersion, newVersion, data, ttl)
}

func (s *guardedStore) Delete(ctx context.Context, key string) error {
	if s.noDeletes.Load() {
		return errGuarded
	}
	return s.memoryStore.Delete(ctx, key)
}

func (s *guardedStore) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if s.leaseFaults.Load() {
		return false, errGuarded
	}
	s.leased.Add(1)
	return s.memoryStore.Lease(ctx, key, owner, ttl)
}

func (s *guardedStore) List(ctx context.Context, prefix string, yield func(string) bool) error {
	var keys []string
	err := s.memoryStore.List(ctx, prefix, func(key string) bool { keys = append(keys, key); return true })
	for _, key := range keys {
		if s.vanishes {
			_ = s.memoryStore.Delete(ctx, key)
		}
		yield(key)
	}
	return err
}

// stored is a grant in memory and in the store.
func stored(t *testing.T, app *App, accountID string) *grant {
	t.Helper()
	c := app.registry.find(app, accountID)
	g := &c.grant
	g.signedIn(accountID)
	if err := g.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	app.registry.keep(app, accountID)
	return g
}

// signedIn is a sign-in that is not written yet.
func (g *grant) signedIn(accountID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := &holding{account: Account{ID: accountID}, refreshToken: newRandom(), tenant: "tenant"}
	if before := g.current.Load(); before != nil {
		held.version = before.version
	}
	g.generation++
	g.publish(&snapshot{holding: held}, time.Now())
	g.owe(unsaved{base: held.version, signIn: true})
}

func scopeQuery(app *App) query {
	return query{key: app.keyFor("tenant", []string{"scope"}, false)}
}

// endedContext is one in which nothing is waited for.
func endedContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestASecondRemovalOutlivesTheFirst: the user signed in, and out again, while the first was under way.
func TestASecondRemovalOutlivesTheFirst(t *testing.T) {
	var r removals
	first := r.begin("key")
	_ = r.takeBack(endedContext(t), "key")
	second := r.begin("key")
	r.end("key", first, true)
	if !r.isMarked("key") {
		t.Error("the second is not to be made any more")
	}
	r.end("key", second, true)
	if r.isMarked("key") {
		t.Error("it is to be made again")
	}
}

// TestASignInWaitsForEveryRemovalUnderWay: any of them could come after it.
func TestASignInWaitsForEveryRemovalUnderWay(t *testing.T) {
	var r removals
	one := r.begin("key")
	if r.begin("key") != one {
		t.Fatal("two marks")
	}
	r.end("key", one, false)
	if r.takeBack(endedContext(t), "key") == nil {
		t.Error("it did not wait for the other")
	}
	r.end("key", one, true)
	if err := r.takeBack(endedContext(t), "key"); err != nil {
		t.Errorf("it waited for none: %v", err)
	}
}

// TestWhoComesInMakesRoomOfOthers: not of themselves.
func TestWhoComesInMakesRoomOfOthers(t *testing.T) {
	app := storeApp(t, NewMemoryStore())
	for i := range 64 { // where the map is ranged over from is random
		accountID := strconv.Itoa(i)
		app.registry.mu.Lock()
		app.registry.keepLocked(app, accountID, newCredential(app, accountID))
		_, stayed := app.registry.known[accountID]
		n := len(app.registry.known)
		app.registry.mu.Unlock()
		if !stayed || n != 1 {
			t.Fatalf("account %d stayed: %v, and %d are in memory", i, stayed, n)
		}
	}
}

// TestARecordThatVanishesFromAList is one that another replica removed before it was read.
func TestARecordThatVanishesFromAList(t *testing.T) {
	store := newGuardedStore()
	app := storeApp(t, store)
	stored(t, app, "id")
	store.vanishes = true
	for account, err := range app.Accounts(t.Context()) {
		t.Errorf("got %v, %v", account, err)
	}
}

// TestKeepAliveLeasesNothingForTheForgotten: a removal is queued, and the record is there until then.
func TestKeepAliveLeasesNothingForTheForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGuardedStore()
		app := storeApp(t, store)
		stored(t, app, "id")
		store.noDeletes.Store(true)
		if err := app.Forget(t.Context(), "id"); !errors.Is(err, ErrStoreUnavailable) {
			t.Fatal(err)
		}
		app.keepOneAlive(t.Context(), "id")
		if n := store.leased.Load(); n != 0 {
			t.Errorf("%d leases", n)
		}
		_ = app.Close()
	})
}

// TestKeepAliveGoesOnWithoutARoundsLease: a store that fails at leases would else keep every replica from its grants, until the server
// forgets them.
func TestKeepAliveGoesOnWithoutARoundsLease(t *testing.T) {
	store := newGuardedStore()
	app := storeApp(t, store)
	store.leaseFaults.Store(true)
	if !app.isMyRound(t.Context(), time.Hour) {
		t.Error("the round is left to nobody")
	}
}

// TestAFailedForgetIsTriedAgain though nothing else is in the backlog.
func TestAFailedForgetIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGuardedStore()
		app := storeApp(t, store)
		stored(t, app, "id")
		store.noDeletes.Store(true)
		_ = app.Forget(t.Context(), "id")
		store.noDeletes.Store(false)
		time.Sleep(longBacklog)
		synctest.Wait()
		if keys := store.keys(""); len(keys) != 0 {
			t.Error("the record is there still")
		}
		_ = app.Close()
	})
}

// TestAKeptLeaseIsTakenOver: its own renewals would take it back from whoever got it after the refresh.
func TestAKeptLeaseIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGuardedStore()
		app := storeApp(t, store)
		g := stored(t, app, "id")
		kept, _, _ := app.tryLease(app.flying, app.recordKey("id"))
		g.mu.Lock()
		g.kept = kept
		g.mu.Unlock()
		held, _, err := g.takeLease(app.flying, scopeQuery(app), nil)
		if err != nil {
			t.Fatal(err)
		}
		held.release(t.Context())
		before := store.leased.Load()
		time.Sleep(2 * leaseRenew)
		synctest.Wait()
		if n := store.leased.Load() - before; n != 0 || g.hasKept() {
			t.Errorf("leased %d times after it was given back", n)
		}
		_ = app.Close()
	})
}

// silentServer answers nothing.
type silentServer struct{ requests atomic.Int64 }

func (s *silentServer) Do(r *http.Request) (*http.Response, error) {
	s.requests.Add(1)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestALostAnswerIsNotSentForAgain: the lease was over by the time that it was given up, but the request had been sent.
func TestALostAnswerIsNotSentForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, server := newGuardedStore(), &silentServer{}
		app := storeApp(t, store)
		app.pipeline = newPipeline(azcore.ClientOptions{Transport: server})
		g := stored(t, app, "id")
		store.slow = 4 * time.Second
		time.AfterFunc(time.Second, func() { store.leaseFaults.Store(true) }) // it is not renewed
		time.AfterFunc(18*time.Second, func() { store.leaseFaults.Store(false) })
		_, err := g.refresh(t.Context(), scopeQuery(app))
		if err == nil || errors.Is(err, ErrStoreUnavailable) {
			t.Errorf("got %v", err)
		}
		if n := server.requests.Load(); n != 1 {
			t.Errorf("%d requests", n)
		}
		_ = app.Close()
	})
}

// TestAMarkThatLostItsSwapIsNone: the user signed in at another replica after the record was read.
func TestAMarkThatLostItsSwapIsNone(t *testing.T) {
	store := newGuardedStore()
	app, other := storeApp(t, store), storeApp(t, store)
	g := stored(t, app, "id")
	now, generation := g.state()
	store.beforeSwap = func() { stored(t, other, "id") }
	err := g.believe(t.Context(), now.holding, generation, scopeQuery(app), &AuthenticationFailedError{Code: "invalid_grant"})
	if !errors.Is(err, errMovedOn) {
		t.Errorf("got %v", err)
	}
	if g.current.Load().mark != nil {
		t.Error("it is marked")
	}
}

// TestASignInIsWrittenThoughTheRecordIsGone: what was forgotten elsewhere is the grant that it replaces.
func TestASignInIsWrittenThoughTheRecordIsGone(t *testing.T) {
	store := newGuardedStore()
	app := storeApp(t, store)
	g := stored(t, app, "id")
	g.signedIn("id")
	if err := store.Delete(t.Context(), app.recordKey("id")); err != nil {
		t.Fatal(err)
	}
	if err := g.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(store.keys("")) != 1 || g.current.Load() == nil {
		t.Error("the sign-in is gone")
	}
}

// TestALeaseThatIsNeverGivenBack: who waits for it gives up when that of a replica that died would be over.
func TestALeaseThatIsNeverGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGuardedStore()
		app := storeApp(t, store)
		g := stored(t, app, "id")
		if granted, err := store.Lease(t.Context(), app.recordKey("id"), "another", time.Hour); !granted || err != nil {
			t.Fatal(granted, err)
		}
		began := time.Now()
		_, _, err := g.takeLease(app.flying, scopeQuery(app), nil)
		if took := time.Since(began); !errors.Is(err, errLeased) || took > leasePatience+time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		_ = app.Close()
	})
}

// TestARefreshDuringTheBacklogStaysInIt: it came after the write, and before the grant was taken off the list.
func TestARefreshDuringTheBacklogStaysInIt(t *testing.T) {
	app := storeApp(t, newGuardedStore())
	g := stored(t, app, "id")
	g.signedIn("id")
	b := &backlog{grants: map[*grant]struct{}{g: {}}, working: make(chan struct{})}
	b.mu.Lock()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = b.saveNow(t.Context(), app, g)
	}()
	for g.isUnsaved() {
		runtime.Gosched()
	}
	for range 1000 { // until it waits for the list
		runtime.Gosched()
	}
	g.signedIn("id")
	b.mu.Unlock()
	<-over
	if _, listed := b.grants[g]; !listed && g.isUnsaved() {
		t.Error("it is not to be written any more")
	}
}

// storeApp is an App that keeps one account in memory in front of a store.
func storeApp(tb testing.TB, store Store) *App {
	tb.Helper()
	sealer, err := NewSealer(make([]byte, 32))
	if err != nil {
		tb.Fatal(err)
	}
	app, err := NewApp("tenant", "client", "https://app.example.com/cb", PublicAuth(), &AppOptions{MaxAccountsInMemory: 1, Sealer: sealer, Store: store})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = app.Close() })
	return app
}

// TestAClosingAppKeepsTheLeaseOfAnUnwrittenGrant: a refresh came between the backlog's write and its giving back of the lease.
func TestAClosingAppKeepsTheLeaseOfAnUnwrittenGrant(t *testing.T) {
	store := newGuardedStore()
	app := storeApp(t, store)
	app.site.own = &Endpoints{}
	g := stored(t, app, "id")
	g.signedIn("id")
	held, _, _ := app.tryLease(app.flying, app.recordKey("id"))
	b := &backlog{grants: map[*grant]struct{}{g: {}}, working: make(chan struct{})}
	app.stop(ErrClosed) // Close has begun
	b.mu.Lock()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = b.saveNow(t.Context(), app, g)
	}()
	for g.isUnsaved() {
		runtime.Gosched()
	}
	for range 1000 {
		runtime.Gosched()
	}
	g.signedIn("id")              // what a refresh in flight brought, and could not write
	g.giveBack(t.Context(), held) // its lease is kept
	b.mu.Unlock()
	<-over
	if granted, _ := store.memoryStore.Lease(t.Context(), app.recordKey("id"), "another", time.Second); granted && g.isUnsaved() {
		t.Error("the lease was given back though the grant is unwritten")
	}
}

// TestAForgetBesideALostSwapIsCarriedOut: a sign-in took the removal back, the account was forgotten, and another replica had won the swap.
func TestAForgetBesideALostSwapIsCarriedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGuardedStore()
		app, other := storeApp(t, store), storeApp(t, store)
		g := stored(t, app, "id")
		key := app.recordKey("id")
		g.signedIn("id")
		stored(t, other, "id")
		one := app.backlog.removals.begin(key) // Forget
		done := make(chan error)
		go func() { done <- g.trySave(t.Context()) }() // the sign-in's
		synctest.Wait()
		g.drop()
		app.backlog.removals.end(key, one, false) // the store did not take it
		app.backlog.enter(app, func() {})
		if err := <-done; err != nil {
			t.Log(err)
		}
		time.Sleep(time.Minute)
		if keys := store.keys(""); len(keys) != 0 {
			t.Error("forgotten, and the record is there still")
		}
		_ = app.Close()
		_ = other.Close()
	})
}

// TestALeaseThatEndsIsNoCancellation: nobody cancelled, and no caller is to think so.
func TestALeaseThatEndsIsNoCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, server := newGuardedStore(), &silentServer{}
		app := storeApp(t, store)
		app.pipeline = newPipeline(azcore.ClientOptions{Transport: server})
		g := stored(t, app, "id")
		store.slow = 4 * time.Second
		time.AfterFunc(time.Second, func() { store.leaseFaults.Store(true) }) // it is not renewed
		time.AfterFunc(18*time.Second, func() { store.leaseFaults.Store(false) })
		_, err := g.refresh(t.Context(), scopeQuery(app))
		if errors.Is(err, context.Canceled) {
			t.Errorf("nobody cancelled: %v", err)
		}
		_ = app.Close()
	})
}

// TestKeepAliveMeetsARecordThatVanishes between the list and the reading.
func TestKeepAliveMeetsARecordThatVanishes(t *testing.T) {
	store := newGuardedStore()
	app := storeApp(t, store)
	stored(t, app, "id")
	store.vanishes = true
	app.keepAliveOnce(t.Context(), time.Hour, time.Millisecond)
}

// TestWhatWasTakenBackIsRead while the store is still being asked to remove it: it is written again when that is over.
func TestWhatWasTakenBackIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r removals
		one := r.begin("key")
		go func() { _ = r.takeBack(t.Context(), "key") }()
		synctest.Wait()
		if r.isMarked("key") {
			t.Error("it is to be removed still")
		}
		r.end("key", one, true)
	})
}

// TestALeaseThatWasOverInBetween is not the one that the record was read under.
func TestALeaseThatWasOverInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := storeApp(t, slowLeases{newGuardedStore()})
		l := &lease{app: app, key: "key"}
		for left, want := range map[time.Duration]bool{time.Second: false, 5 * time.Second: true} {
			over := momentAt(time.Now().Add(left))
			l.over.Store(&over)
			if got := l.lasts(t.Context(), refreshWindow); got != want {
				t.Errorf("with %v left, and a store that takes three seconds: %t", left, got)
			}
		}
		_ = app.Close()
	})
}

// slowLeases takes three seconds for a lease.
type slowLeases struct{ *guardedStore }

func (s slowLeases) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	time.Sleep(3 * time.Second)
	return s.guardedStore.Lease(ctx, key, owner, ttl)
}
