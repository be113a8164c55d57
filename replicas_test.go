package authcode_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

var errStoreDown = errors.New("connection refused")

// testStore is a store that can be down, slow, or watched.
type testStore struct {
	inner interface {
		authcode.Store
		authcode.Leaser
		authcode.Lister
	}
	down       atomic.Bool  // nothing is answered
	readOnly   atomic.Bool  // nothing is written
	noSwaps    atomic.Bool  // records are not written, leases are
	loseAnswer atomic.Int64 // so many writes are done and answered with an error
	onSwap     atomic.Pointer[func(key, oldVersion, newVersion string)]

	mu  sync.Mutex
	ops map[string]int
}

func newTestStore() *testStore {
	return &testStore{
		inner: authcode.NewMemoryStore().(interface {
			authcode.Store
			authcode.Leaser
			authcode.Lister
		}),
		ops: map[string]int{},
	}
}

func (s *testStore) begin(op string, write bool) error {
	s.mu.Lock()
	s.ops[op]++
	s.mu.Unlock()
	if s.down.Load() || write && s.readOnly.Load() {
		return errStoreDown
	}
	return nil
}

func (s *testStore) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ops[op]
}

func (s *testStore) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	if err := s.begin("get", false); err != nil {
		return nil, "", false, err
	}
	return s.inner.Get(ctx, key)
}

func (s *testStore) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	if err := s.begin("swap", true); err != nil || s.noSwaps.Load() {
		return false, cmp.Or(err, errStoreDown)
	}
	if hook := s.onSwap.Load(); hook != nil {
		(*hook)(key, oldVersion, newVersion)
	}
	swapped, err := s.inner.Swap(ctx, key, oldVersion, newVersion, data, ttl)
	if s.loseAnswer.Add(-1) >= 0 {
		return false, errStoreDown
	}
	return swapped, err
}

func (s *testStore) Delete(ctx context.Context, key string) error {
	if err := s.begin("delete", true); err != nil {
		return err
	}
	return s.inner.Delete(ctx, key)
}

func (s *testStore) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if err := s.begin("lease", true); err != nil {
		return false, err
	}
	return s.inner.Lease(ctx, key, owner, ttl)
}

func (s *testStore) Release(ctx context.Context, key, owner string) error {
	if err := s.begin("release", true); err != nil {
		return err
	}
	return s.inner.Release(ctx, key, owner)
}

func (s *testStore) List(ctx context.Context, prefix string, yield func(string) bool) error {
	if err := s.begin("list", false); err != nil {
		return err
	}
	return s.inner.List(ctx, prefix, yield)
}

// keys are those of all records.
func (s *testStore) keys(tb testing.TB) []string {
	tb.Helper()
	var keys []string
	if err := s.inner.List(context.Background(), "", func(key string) bool { keys = append(keys, key); return true }); err != nil {
		tb.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

func (s *testStore) versions(tb testing.TB) []string {
	tb.Helper()
	var versions []string
	for _, key := range s.keys(tb) {
		_, version, _, err := s.inner.Get(context.Background(), key)
		if err != nil {
			tb.Fatal(err)
		}
		versions = append(versions, version)
	}
	return versions
}

// only is the key, the version and the sealed bytes of the one record there is.
func (s *testStore) only(tb testing.TB) (key, version string, data []byte) {
	tb.Helper()
	keys := s.keys(tb)
	if len(keys) != 1 {
		tb.Fatalf("%d records, want 1", len(keys))
	}
	data, version, _, err := s.inner.Get(context.Background(), keys[0])
	if err != nil {
		tb.Fatal(err)
	}
	return keys[0], version, data
}

// put overwrites a record as somebody with access to the store can.
func (s *testStore) put(tb testing.TB, key, newVersion string, data []byte) {
	tb.Helper()
	_, old, _, err := s.inner.Get(context.Background(), key)
	if err == nil {
		var swapped bool
		if swapped, err = s.inner.Swap(context.Background(), key, old, newVersion, data, time.Hour); !swapped {
			tb.Fatal("not swapped")
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func testSealer(tb testing.TB, seeds ...byte) authcode.Sealer {
	tb.Helper()
	var keys [][]byte
	for _, seed := range seeds {
		keys = append(keys, bytes.Repeat([]byte{seed}, 32))
	}
	sealer, err := authcode.NewSealer(keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return sealer
}

// replica is an App on a store, as one more process would have it.
func (e *entra) replica(store authcode.Store) *authcode.App {
	e.tb.Helper()
	return e.newApp(&authcode.AppOptions{Sealer: testSealer(e.tb, 1), Store: store})
}

// ownReplica is the same at a server of one's own, which may rotate strictly.
func (e *entra) ownReplica(store authcode.Store) *authcode.App {
	e.tb.Helper()
	return e.newApp(e.ownOptions(store, e.client()))
}

func (e *entra) ownOptions(store authcode.Store, client azcore.ClientOptions) *authcode.AppOptions {
	e.tb.Helper()
	base := e.URL() + "/" + e.tenant.ID
	return &authcode.AppOptions{ClientOptions: client, Sealer: testSealer(e.tb, 1), Store: store, Endpoints: &authcode.Endpoints{
		Authorize: base + "/oauth2/v2.0/authorize", Token: base + "/oauth2/v2.0/token", Issuer: base + "/v2.0", JWKS: base + "/discovery/v2.0/keys",
	}}
}

// aliceID is her account's.
func (e *entra) aliceID() string { return e.Directory().User("alice").HomeAccountID() }

// expire lets the time of every access token pass, on the bubble's clock, which is the emulator's too.
func expire() { time.Sleep(61 * time.Minute) }

// TestAReplicaFindsTheGrant is B76 and B77: one user signs in at one replica, the others and those that start later have the grant.
func TestAReplicaFindsTheGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		account, err := e.signIn(first, alice, graphScope).Account(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := mustToken(t, first.Credential(account.ID), tokenFor(graphScope))
		if got := mustToken(t, second.Credential(account.ID), tokenFor(graphScope)); got.Token != want.Token || !got.ExpiresOn.Equal(want.ExpiresOn) {
			t.Error("the second replica has another token")
		}
		if found, err := second.Credential(account.ID).Account(t.Context()); err != nil || found.ID != account.ID || found.Name != account.Name || found.Username != alice {
			t.Errorf("account %v, %v", found, err)
		}
		e.wantRequests(1, 0)
		_ = first.Close()
		_ = second.Close()
		expire()
		restarted := e.replica(store)
		mustToken(t, restarted.Credential(account.ID), tokenFor(graphScope))
		e.wantRequests(1, 1)
		var claims struct{ Name string }
		if found, err := restarted.Credential(account.ID).Account(t.Context()); err != nil || found.Claims(&claims) != nil || claims.Name != account.Name {
			t.Errorf("claims %v, %v", claims, err)
		}
	})
}

// TestReplicasRefreshOnce is threats row 99: whatever the latency, one replica asks, and the others have what it got.
func TestReplicasRefreshOnce(t *testing.T) {
	for _, latency := range []time.Duration{10 * time.Millisecond, 3 * time.Second, 10 * time.Second} {
		for _, rotation := range []entratest.Rotation{entratest.RotationKeep, entratest.RotationRevokeFamily} {
			synctest.Test(t, func(t *testing.T) {
				e, store := newEntra(t, &entratest.Options{Rotation: rotation}), newTestStore()
				apps := make([]*authcode.App, 8)
				for i := range apps {
					apps[i] = e.replica(store)
				}
				e.signIn(apps[0], alice, graphScope)
				e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: latency})
				for range 3 {
					expire()
					before := len(e.tokenRequests("refresh_token"))
					var tokens sync.Map
					var wg sync.WaitGroup
					for _, app := range apps {
						for range 4 {
							wg.Go(func() {
								token, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
								if err != nil {
									t.Error(err)
									return
								}
								tokens.Store(token.Token, true)
							})
						}
					}
					wg.Wait()
					if posts := len(e.tokenRequests("refresh_token")) - before; posts != 1 {
						t.Errorf("latency %v, rotation %d: %d refreshes", latency, rotation, posts)
					}
					n := 0
					tokens.Range(func(any, any) bool { n++; return true })
					if n != 1 {
						t.Errorf("%d different tokens", n)
					}
				}
			})
		}
	}
}

// faultyLeases is a store whose leases cannot be had while it reads and writes.
type faultyLeases struct{ *testStore }

func (faultyLeases) Lease(context.Context, string, string, time.Duration) (bool, error) {
	return false, errStoreDown
}

// TestALeaseThatFaulted: at Entra a refresh goes on, since a refresh token that was used stays good there. At a server of one's own
// another replica may be using it, and the family of tokens would be revoked.
func TestALeaseThatFaulted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		first, second := e.ownReplica(store), e.ownReplica(faultyLeases{store})
		account, err := e.signIn(first, alice, graphScope, "offline_access").Account(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		accountID := account.ID
		mustToken(t, second.Credential(accountID), tokenFor(graphScope))
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 3 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { mustToken(t, first.Credential(accountID), tokenFor(graphScope)) })
		time.Sleep(time.Second)
		if _, err := second.Credential(accountID).GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("the other replica got %v", err)
		}
		wg.Wait()
		mustToken(t, second.Credential(accountID), tokenFor(graphScope)) // what the first has got
		e.wantRequests(1, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(faultyLeases{store})
		e.signIn(app, alice, graphScope)
		expire()
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// TestTheLeaseIsKeptWhileTheOutcomeIsUnwritten: another replica would spend the refresh token a second time, and lose the family.
func TestTheLeaseIsKeptWhileTheOutcomeIsUnwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		first, second := e.ownReplica(store), e.ownReplica(store)
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		expire()
		store.noSwaps.Store(true)
		want := mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		time.AfterFunc(8*time.Second, func() { store.noSwaps.Store(false) })
		if got := mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope)); got.Token != want.Token {
			t.Error("the other replica has another token")
		}
		e.wantRequests(1, 1)
		expire()
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope)) // the lease was given back in the end
		e.wantRequests(1, 2)
	})
}

// TestWhatIsOwedComesBeforeTheNextRefresh: at a server of one's own. It may have been written though its answer was lost, and another
// replica may have spent its refresh token.
func TestWhatIsOwedComesBeforeTheNextRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}} // the first replica's way to the store
		first, second := e.ownReplica(cut), e.ownReplica(store)
		e.signIn(first, alice, graphScope, "offline_access")
		expire()
		cut.loseAnswer.Store(1) // written, and not acknowledged
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		cut.down.Store(true)
		expire()
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope)) // goes on from there
		if _, err := first.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("cut off, the first replica got %v", err)
		}
		cut.down.Store(false)
		expire()
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		e.wantRequests(1, 3)
	})
}

// TestAMarkedGrantAndNoStore: whether its user has signed in elsewhere cannot be told, so nobody is asked to.
func TestAMarkedGrantAndNoStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		if err := e.RevokeSessions(alice); err != nil {
			t.Fatal(err)
		}
		expire()
		if _, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); err == nil {
			t.Fatal("revoked, and a token")
		}
		store.down.Store(true)
		_, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
		if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); required || !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

// leaseless is a store without leases.
type leaseless struct{ authcode.Store }

// TestWithoutLeasesTheSwapDecides: replicas then refresh side by side, and one record wins.
func TestWithoutLeasesTheSwapDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(leaseless{store}), e.replica(leaseless{store})
		e.signIn(first, alice, graphScope)
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: time.Second})
		for range 3 {
			expire()
			var wg sync.WaitGroup
			for _, app := range []*authcode.App{first, second} {
				wg.Go(func() { mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope)) })
			}
			wg.Wait()
		}
		e.wantRequests(1, 6)
		a, b := mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)), mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		if a.Token != b.Token {
			t.Error("the loser of the swap kept its own token")
		}
	})
}

// TestALeaseHolderDies is threats row 100: the next replica goes on within the lease's time and a second.
func TestALeaseHolderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		expire()
		key, _, _ := store.only(t)
		if granted, err := store.inner.Lease(t.Context(), key, "a process that was killed", 15*time.Second); !granted || err != nil {
			t.Fatal(granted, err)
		}
		began := time.Now()
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		if took := time.Since(began); took < 14*time.Second || took > 16*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestAValidTokenDoesNotWaitForALease: who has a token goes on with it while another replica refreshes.
func TestAValidTokenDoesNotWaitForALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		key, _, _ := store.only(t)
		time.Sleep(57 * time.Minute) // stale
		if granted, err := store.inner.Lease(t.Context(), key, "another", 15*time.Second); !granted || err != nil {
			t.Fatal(granted, err)
		}
		began := time.Now()
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		synctest.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		e.wantRequests(1, 0)
	})
}

// TestInvalidGrantIsBelievedAfterAnotherLook: another replica signed the user in while our refresh was refused.
func TestInvalidGrantIsBelievedAfterAnotherLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.signIn(first, alice, graphScope)
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Error: "invalid_grant", AADSTS: 70000, Latency: 2 * time.Second, Times: 1})
		var wg sync.WaitGroup
		wg.Go(func() { mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)) })
		time.Sleep(time.Second)
		e.signIn(second, alice, graphScope)
		wg.Wait()
		e.wantRequests(2, 1)
	})
}

// TestAMarkIsSeenEverywhere: a refresh token that is dead is sent once, by one replica, and the reason is kept.
func TestAMarkIsSeenEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.signIn(first, alice, graphScope)
		if err := e.RevokeSessions(alice); err != nil {
			t.Fatal(err)
		}
		expire()
		for _, app := range []*authcode.App{first, second, e.replica(store)} {
			_, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
			required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err)
			failed, told := errors.AsType[*authcode.AuthenticationFailedError](err)
			if !ok || required.LoginHint != alice || !told || failed.Code != "invalid_grant" || !slices.Equal(failed.STSCodes, []int{50173}) {
				t.Errorf("got %v", err)
			}
		}
		e.wantRequests(1, 1)
		e.signIn(second, alice, graphScope)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)) // at once, or they would be sent to sign in again
		e.wantRequests(2, 1)
	})
}

// TestASignInElsewhereIsSeenWithoutARefreshToken: the same where the server gave none.
func TestASignInElsewhereIsSeenWithoutARefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.Inject(entratest.Fault{Edit: func(answer map[string]any) { delete(answer, "refresh_token") }})
		e.signIn(first, alice, graphScope)
		expire()
		if _, err := first.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); err == nil {
			t.Fatal("a token without a refresh token")
		}
		e.signIn(second, alice, graphScope)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// mustTokenSoon allows for the one call that starts the look behind.
func mustTokenSoon(t *testing.T, c *authcode.AuthorizationCodeCredential) {
	t.Helper()
	if _, err := c.GetToken(t.Context(), tokenFor(graphScope)); err == nil {
		return
	}
	synctest.Wait()
	mustToken(t, c, tokenFor(graphScope))
}

// TestTheSuccessorOfADeadTokenReplacesItsMark: our rotation was not written yet when another replica used the token we had spent.
func TestTheSuccessorOfADeadTokenReplacesItsMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRefuse}), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}} // the first replica's way to the store
		first, second := e.replica(cut), e.replica(store)
		e.signIn(first, alice, graphScope)
		expire()
		cut.onSwap.Store(new(func(string, string, string) { cut.readOnly.Store(true) }))
		cut.loseAnswer.Store(0)
		cut.readOnly.Store(true)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		if _, err := second.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); err == nil {
			t.Fatal("the spent refresh token was of use")
		}
		cut.onSwap.Store(nil)
		cut.readOnly.Store(false)
		time.Sleep(10 * time.Second) // the backlog is worked off
		synctest.Wait()
		time.Sleep(6 * time.Minute)
		mustTokenSoon(t, second.Credential(e.aliceID()))
		expire()
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// TestTheStoreIsDown is threats row 97: what is valid is served, what is refreshed is written later, and nobody is signed out.
func TestTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.signIn(first, alice, graphScope)
		e.signIn(first, bob, graphScope)
		versions := store.versions(t)
		store.down.Store(true)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		_, err := second.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
		if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); !errors.Is(err, authcode.ErrStoreUnavailable) || !errors.Is(err, errStoreDown) || required {
			t.Errorf("a reader got %v", err)
		}
		expire()
		want := mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		if err := first.Forget(t.Context(), e.Directory().User("bob").HomeAccountID()); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("Forget gave %v", err)
		}
		if _, err := first.Credential(e.Directory().User("bob").HomeAccountID()).GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrUnknownAccount) {
			t.Errorf("the forgotten user got %v", err)
		}
		time.Sleep(time.Minute)
		store.down.Store(false)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if keys := store.keys(t); len(keys) != 1 {
			t.Errorf("%d records, want alice's alone", len(keys))
		}
		if _, version, _ := store.only(t); slices.Contains(versions, version) {
			t.Error("what was refreshed was not written")
		}
		if got := mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope)); got.Token != want.Token {
			t.Error("the other replica does not have what was refreshed")
		}
		e.wantRequests(2, 1)
	})
}

// TestALostAnswerOfTheStore: a write that was done and not acknowledged is found, not fought.
func TestALostAnswerOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		first, second := e.replica(store), e.replica(store)
		store.loseAnswer.Store(2)
		e.signIn(first, alice, graphScope)
		for range 4 {
			expire()
			store.loseAnswer.Store(2)
			mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			expire()
			store.loseAnswer.Store(1)
			mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		e.wantRequests(1, 8)
	})
}

// TestForgetDuringARefreshElsewhere is threats row 106.
func TestForgetDuringARefreshElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.signIn(first, alice, graphScope)
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 2 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := first.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrUnknownAccount) {
				t.Errorf("the refresh of a forgotten account gave %v", err)
			}
		})
		time.Sleep(time.Second)
		if err := second.Forget(t.Context(), e.aliceID()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if keys := store.keys(t); len(keys) != 0 {
			t.Error("the refresh brought the record back")
		}
		for _, app := range []*authcode.App{first, second} {
			if _, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrUnknownAccount) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// TestForgetDuringASignIn: a sign-in whose write comes after the Forget does not undo it.
func TestForgetDuringASignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		forgot := false
		store.onSwap.Store(new(func(string, string, string) {
			if !forgot {
				forgot = true
				if err := app.Forget(t.Context(), e.aliceID()); err != nil {
					t.Error(err)
				}
			}
		}))
		e.signIn(app, alice, graphScope)
		if keys := store.keys(t); len(keys) != 0 {
			t.Error("the record outlived the Forget")
		}
	})
}

// TestASignInTakesBackAQueuedForget: the store was down at sign-out and is back at the next sign-in.
func TestASignInTakesBackAQueuedForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		store.readOnly.Store(true)
		if err := app.Forget(t.Context(), e.aliceID()); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Fatal(err)
		}
		e.signIn(app, alice, graphScope)
		store.readOnly.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		mustToken(t, e.replica(store).Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// TestARedemptionOutranksARefreshElsewhere: what a user has just signed in for is not overwritten by what they had before.
func TestARedemptionOutranksARefreshElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.signIn(first, alice, graphScope)
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 2 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)) })
		time.Sleep(time.Second)
		e.signIn(second, alice, graphScope)
		want := mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		wg.Wait()
		if got := mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)); got.Token != want.Token {
			t.Error("the replica that refreshed does not have the sign-in's token")
		}
		if got := mustToken(t, e.replica(store).Credential(e.aliceID()), tokenFor(graphScope)); got.Token != want.Token {
			t.Error("the store does not have the sign-in's token")
		}
	})
}

// TestWhatHappensElsewhereIsSeen: within five minutes of use, without a call that waits for the store.
func TestWhatHappensElsewhereIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.signIn(first, alice, graphScope)
		held := second.Credential(e.aliceID())
		mustToken(t, held, tokenFor(graphScope))
		if err := first.Forget(t.Context(), e.aliceID()); err != nil {
			t.Fatal(err)
		}
		gets := store.count("get")
		time.Sleep(4 * time.Minute)
		mustToken(t, held, tokenFor(graphScope))
		if store.count("get") != gets {
			t.Error("a cached call asked the store")
		}
		time.Sleep(90 * time.Second)
		_, _ = held.GetToken(t.Context(), tokenFor(graphScope)) // begins the look
		synctest.Wait()
		if _, err := held.GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrUnknownAccount) {
			t.Errorf("the sign-out was not seen: %v", err)
		}
	})
}

// TestAStepUpElsewhereIsUsed: a challenge is met with the newer token of another replica, without a request.
func TestAStepUpElsewhereIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.signIn(first, alice, graphScope)
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		time.Sleep(time.Minute)
		claims := policy.TokenRequestOptions{Claims: `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`, Scopes: []string{graphScope}}
		want := mustToken(t, first.Credential(e.aliceID()), claims)
		if got := mustToken(t, second.Credential(e.aliceID()), claims); got.Token != want.Token {
			t.Error("the other replica's newer token was not used")
		}
		e.wantRequests(1, 1)
		time.Sleep(time.Second)
		if got := mustToken(t, second.Credential(e.aliceID()), claims); got.Token == want.Token {
			t.Error("the same token again met the same challenge")
		}
		e.wantRequests(1, 2)
	})
}

// TestAccountsInMemoryAreBounded: in front of a store, and what it does not have yet stays.
func TestAccountsInMemoryAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.newApp(&authcode.AppOptions{MaxAccountsInMemory: 1, Sealer: testSealer(t, 1), Store: store})
		e.signIn(app, alice, graphScope)
		time.Sleep(16 * time.Minute) // until then her callback is remembered, and what came of it
		e.signIn(app, bob, graphScope)
		runtime.GC() // nobody holds her credential
		gets := store.count("get")
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		if store.count("get") != gets+1 {
			t.Errorf("%d reads for an account that should have left memory", store.count("get")-gets)
		}
		store.down.Store(true)
		expire()
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope)) // unsaved now
		store.down.Store(false)
		e.wantRequests(2, 1)
	})
}

// TestWhatCouldNotBeWrittenIsFoundAgain, though its account had to make room in memory.
func TestWhatCouldNotBeWrittenIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.newApp(&authcode.AppOptions{MaxAccountsInMemory: 1, Sealer: testSealer(t, 1), Store: store})
		store.down.Store(true)
		e.signIn(app, alice, graphScope)
		time.Sleep(16 * time.Minute) // until then her callback is remembered, and what came of it
		e.signIn(app, bob, graphScope)
		runtime.GC() // nobody holds her credential
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		store.down.Store(false)
		time.Sleep(10 * time.Second)
		if keys := store.keys(t); len(keys) != 2 {
			t.Errorf("%d of 2 grants are written", len(keys))
		}
		e.wantRequests(2, 0)
	})
}

// TestCloseStoresWhatIsUnderWay is threats row 108 with a store.
func TestCloseStoresWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 3 * time.Second})
		credential := app.Credential(e.aliceID())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := credential.GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrClosed) {
				t.Errorf("the caller got %v", err)
			}
		})
		time.Sleep(time.Second)
		store.readOnly.Store(true)
		time.AfterFunc(3*time.Second, func() { store.readOnly.Store(false) }) // after the refresh: its write is in the backlog
		_ = app.Close()
		wg.Wait()
		mustToken(t, e.replica(store).Credential(e.aliceID()), tokenFor(graphScope))
		e.wantRequests(1, 1)
	})
}

// TestTheStoreHoldsNoSecret: nor a name, in keys or records.
func TestTheStoreHoldsNoSecret(t *testing.T) {
	e, store := newEntra(t, nil), newTestStore()
	app := e.replica(store)
	token := mustToken(t, e.signIn(app, alice, graphScope), tokenFor(graphScope))
	key, version, data := store.only(t)
	all := key + version + string(data)
	for _, secret := range []string{token.Token, alice, "Alice", e.aliceID(), e.Directory().User("alice").ObjectID, e.app.ClientID, graphScope} {
		if strings.Contains(all, secret) {
			t.Errorf("the store holds %.12q", secret)
		}
	}
	if !strings.HasPrefix(key, "grant:") {
		t.Errorf("key %q", key)
	}
}

// TestCloseWritesBesideARequestThatHangs: what could not be written before does not wait for what may never come.
func TestCloseWritesBesideARequestThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		app := e.ownReplica(store)
		e.signIn(app, alice, graphScope, "offline_access")
		expire()
		store.noSwaps.Store(true)
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		time.Sleep(time.Minute)
		e.Inject(entratest.Fault{GrantType: "authorization_code", Latency: time.Hour, Times: 1})
		flow, callback := e.beginAs(app, bob, &authcode.BeginOptions{Scopes: []string{graphScope}})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = app.Redeem(t.Context(), flow, callback) })
		time.Sleep(time.Millisecond)
		synctest.Wait()
		time.AfterFunc(2*time.Second, func() { store.noSwaps.Store(false) }) // 18 seconds are left
		_ = app.Close()
		wg.Wait()
		time.Sleep(time.Minute)
		mustToken(t, e.ownReplica(store).Credential(e.aliceID()), tokenFor(mailScope))
	})
}
