package authcode_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// stopping is a replica's way to the store that stops with the process, as under SIGSTOP: meanwhile no lease is renewed.
type stopping struct {
	*testStore
	afterGet atomic.Int64 // so many readings under the lease end in a stop, after the store answered
	leased   atomic.Bool
	stopped  atomic.Bool
}

const longerThanALease = 16 * time.Second

func (s *stopping) stop() {
	s.stopped.Store(true)
	time.Sleep(longerThanALease)
	s.stopped.Store(false)
}

func (s *stopping) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	data, version, found, err := s.testStore.Get(ctx, key)
	if s.leased.Load() && s.afterGet.Add(-1) >= 0 {
		s.stop()
	}
	return data, version, found, err
}

func (s *stopping) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if s.stopped.Load() {
		return false, errStoreDown
	}
	granted, err := s.testStore.Lease(ctx, key, owner, ttl)
	if granted {
		s.leased.Store(true)
	}
	return granted, err
}

func (s *stopping) Release(ctx context.Context, key, owner string) error {
	s.leased.Store(false)
	return s.testStore.Release(ctx, key, owner)
}

// TestAReplicaThatStoppedBeforeItsRequest: its lease is over, and another replica has spent the refresh token that it read. Where the
// family of a token that is used twice is revoked, it must not send it.
func TestAReplicaThatStoppedBeforeItsRequest(t *testing.T) {
	for _, where := range []string{"after reading the record", "in a policy"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
				way := &stopping{testStore: store}
				var once sync.Once
				armed := false
				client := e.client()
				client.PerRetryPolicies = []policy.Policy{policyFunc(func(r *policy.Request) (*http.Response, error) {
					if armed {
						once.Do(way.stop)
					}
					return r.Next()
				})}
				stops, other := e.newApp(e.ownOptions(way, client)), e.ownReplica(store)
				e.signIn(stops, alice, graphScope, "offline_access")
				mustToken(t, other.Credential(e.aliceID()), tokenFor(graphScope))
				expire()
				if where == "in a policy" {
					armed = true
				} else {
					way.afterGet.Store(1)
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					late := mustToken(t, stops.Credential(e.aliceID()), tokenFor(graphScope))
					if got := mustToken(t, other.Credential(e.aliceID()), tokenFor(graphScope)); got.Token != late.Token {
						t.Error("the replica that stopped has another token")
					}
				})
				time.Sleep(time.Second)
				mustToken(t, other.Credential(e.aliceID()), tokenFor(graphScope)) // when the lease is over
				wg.Wait()
				e.wantRequests(1, 1)
				expire()
				mustToken(t, stops.Credential(e.aliceID()), tokenFor(graphScope)) // the family lives
			})
		})
	}
}

// TestAReplicaThatStopsEachTime gives up instead of trying for ever, and the grant stays.
func TestAReplicaThatStopsEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		way := &stopping{testStore: newTestStore()}
		app := e.replica(way)
		e.signIn(app, alice, graphScope)
		expire()
		way.afterGet.Store(2)
		if _, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("got %v", err)
		}
		e.wantRequests(1, 0)
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		e.wantRequests(1, 1)
	})
}

// TestAnOutageLongerThanALease: what was refreshed when the store went down could not be written, and its lease is over when the store
// is back. The others let it be written before they refresh, since the refresh token that they know may be spent.
func TestAnOutageLongerThanALease(t *testing.T) {
	for name, away := range map[string]func(*testStore) *atomic.Bool{
		"nothing is answered": func(s *testStore) *atomic.Bool { return &s.down },
		"nothing is written":  func(s *testStore) *atomic.Bool { return &s.readOnly }, // it is full, or read-only, and gives no leases
	} {
		t.Run(name, func(t *testing.T) { testAnOutageLongerThanALease(t, away) })
	}
}

func testAnOutageLongerThanALease(t *testing.T, away func(*testStore) *atomic.Bool) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		first, second := e.ownReplica(store), e.ownReplica(store)
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 3 * time.Second, Times: 1})
		var wg sync.WaitGroup
		wg.Go(func() { mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)) })
		time.Sleep(time.Second)
		away(store).Store(true)
		time.AfterFunc(40*time.Second, func() { away(store).Store(false) })
		began := time.Now()
		for {
			_, err := second.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
			if err == nil {
				break
			}
			if !errors.Is(err, authcode.ErrStoreUnavailable) {
				t.Fatalf("after %v the other replica says %v", time.Since(began), err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 50*time.Second {
			t.Errorf("the other replica has a token after %v", took)
		}
		wg.Wait()
		e.wantRequests(1, 1)
		expire()
		began = time.Now()
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope)) // the family lives
		if took := time.Since(began); took > time.Second {
			t.Errorf("long after the outage a refresh took %v", took)
		}
		e.wantRequests(1, 2)
	})
}

// TestALeaseKeptForAWriteUnderWayIsGivenBack: a refresh that fails sees a sign-in being written. That is no reason to keep the lease for ever.
func TestALeaseKeptForAWriteUnderWayIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		slow := &testStore{inner: store.inner, ops: map[string]int{}}
		first, second := e.ownReplica(slow), e.ownReplica(store)
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Error: "invalid_client", Status: 401, Latency: 2 * time.Second, Times: 1})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = first.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)) })
		time.Sleep(time.Second)
		slow.onSwap.Store(new(func(string, string, string) {
			time.Sleep(3 * time.Second)
		}))
		e.signIn(first, alice, graphScope, "offline_access")
		slow.onSwap.Store(nil)
		wg.Wait()
		time.Sleep(10 * time.Minute)
		began := time.Now()
		_, err := second.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(mailScope))
		if err != nil || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestAKeptLeaseOutlastsAFault: a call that the store had no lease for must not end the renewals of the one that was kept.
func TestAKeptLeaseOutlastsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}}
		first, second := e.ownReplica(cut), e.ownReplica(store)
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		expire()
		cut.noSwaps.Store(true)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		cut.down.Store(true) // for two seconds
		_, _ = first.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(mailScope))
		cut.down.Store(false)
		time.Sleep(30 * time.Second)
		_, _ = second.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
		e.wantRequests(1, 1)
		cut.noSwaps.Store(false)
		time.Sleep(10 * time.Second)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(mailScope))
	})
}

// TestARequestLastsAsLongAsTheLeaseIsRenewed: with a slow store half of the lease may be over when the request begins. It has 12 seconds
// all the same.
func TestARequestLastsAsLongAsTheLeaseIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), &slowStore{testStore: newTestStore()}
		held := e.signIn(e.replica(store), alice, graphScope)
		expire()
		store.takes.Store(int64(4 * time.Second))
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 10 * time.Second}) // a refresh has 12 seconds
		mustToken(t, held, tokenFor(graphScope))
	})
}

// TestNobodyWaitsForTheLeaseOfAForgottenAccount.
func TestNobodyWaitsForTheLeaseOfAForgottenAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		held := e.signIn(app, alice, graphScope)
		expire()
		key, _, _ := store.only(t)
		if granted, err := store.inner.Lease(t.Context(), key, "another", 15*time.Second); !granted || err != nil {
			t.Fatal(granted, err)
		}
		time.AfterFunc(time.Second, func() { _ = app.Forget(context.Background(), e.aliceID()) })
		began := time.Now()
		_, err := held.GetToken(t.Context(), tokenFor(graphScope))
		if took := time.Since(began); took > 2*time.Second || !errors.Is(err, authcode.ErrUnknownAccount) {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestCloseGivesAKeptLeaseBack once its outcome is written: other replicas need not wait for its time.
func TestCloseGivesAKeptLeaseBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		first, second := e.ownReplica(store), e.ownReplica(store)
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		expire()
		store.noSwaps.Store(true)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		time.AfterFunc(2*time.Second, func() { store.noSwaps.Store(false) })
		_ = first.Close()
		began := time.Now()
		mustToken(t, second.Credential(e.aliceID()), tokenFor(mailScope))
		if took := time.Since(began); took > time.Second {
			t.Errorf("another replica waited %v for the lease of a replica that was closed in good order", took)
		}
	})
}

// TestABriefOutage delays nobody: all leases are there still.
func TestABriefOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.ownReplica(store)
		e.signIn(app, alice, graphScope, "offline_access")
		bobs := e.signIn(app, bob, graphScope, "offline_access")
		expire()
		mustToken(t, bobs, tokenFor(graphScope)) // there are leases
		store.down.Store(true)
		if _, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Error(err)
		}
		store.down.Store(false)
		began := time.Now()
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestAKeptLeaseOutlastsAFaultBehindACaller: as before, but the call has a token that is good still.
func TestAKeptLeaseOutlastsAFaultBehindACaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily, RefreshIn: 30 * time.Minute}), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}}
		first, second := e.ownReplica(cut), e.ownReplica(store)
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		expire()
		cut.noSwaps.Store(true)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)) // spends the token; the lease is kept
		time.Sleep(35 * time.Minute)                                      // stale
		if _, err := second.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); err == nil || !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Fatal("the lease is not kept:", err)
		}
		e.wantRequests(1, 1)
		cut.down.Store(true)                                              // for two seconds
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)) // a refresh behind, which the store gives no lease for
		time.Sleep(2 * time.Second)
		cut.down.Store(false)
		time.Sleep(30 * time.Second)
		_, err := second.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
		if !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("the other replica got %v", err)
		}
		e.wantRequests(1, 1)
		cut.noSwaps.Store(false)
	})
}

// TestACallersDeadlineIsNoOutage, and makes nobody wait for others' writes.
func TestACallersDeadlineIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), &slowStore{testStore: newTestStore()}
		app := e.ownReplica(store)
		e.signIn(app, alice, graphScope, "offline_access")
		expire()
		store.takes.Store(int64(200 * time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for range app.Accounts(ctx) {
		}
		store.takes.Store(0)
		began := time.Now()
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		if took := time.Since(began); took > time.Second {
			t.Errorf("nothing was wrong, and a caller waited %v", took)
		}
	})
}

// TestTheHolderOfALeaseMayWaitForWrites, and its server takes ten seconds: others wait as long.
func TestTheHolderOfALeaseMayWaitForWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		first, second := e.ownReplica(store), e.ownReplica(store)
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		expire()
		store.down.Store(true)
		_, _ = first.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
		time.Sleep(15 * time.Second)
		store.down.Store(false)
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 10 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)) })
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		if _, err := second.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); err != nil {
			t.Errorf("the store and the server are there, and after %v: %v", time.Since(began), err)
		}
		wg.Wait()
	})
}

// TestCloseDoesNotOvertakeSettling: the lease is given back in a turn of its own, which comes after Close here.
func TestCloseDoesNotOvertakeSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		slow := &slowStore{testStore: &testStore{inner: store.inner, ops: map[string]int{}}}
		first, second := e.ownReplica(slow), e.ownReplica(store)
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		expire()
		slow.noSwaps.Store(true)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		time.Sleep(6 * time.Minute)
		slow.takes.Store(int64(3 * time.Second))
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope)) // looks, for three seconds
		time.Sleep(10 * time.Millisecond)
		slow.takes.Store(0)
		slow.noSwaps.Store(false)
		time.Sleep(1500 * time.Millisecond) // written; to be settled in the next turn
		_ = first.Close()
		began := time.Now()
		mustToken(t, second.Credential(e.aliceID()), tokenFor(mailScope))
		if took := time.Since(began); took > time.Second {
			t.Errorf("another replica waited %v for the lease of a replica that was closed in good order", took)
		}
	})
}

// TestOneFaultEndsNoWait for a lease: patience with faults begins at the first.
func TestOneFaultEndsNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.ownReplica(store)
		held := e.signIn(app, alice, graphScope, "offline_access")
		expire()
		key, _, _ := store.only(t)
		_, _ = store.inner.Lease(t.Context(), key, "another", 3*time.Second)
		time.AfterFunc(2*time.Second, func() { store.readOnly.Store(true) })
		time.AfterFunc(2*time.Second+150*time.Millisecond, func() { store.readOnly.Store(false) })
		began := time.Now()
		if _, err := held.GetToken(t.Context(), tokenFor(graphScope)); err != nil {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestOneRecordThatCannotBeWrittenIsNoOutage: other users wait for nothing.
func TestOneRecordThatCannotBeWrittenIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), &keyed{testStore: newTestStore()}
		app := e.ownReplica(store)
		e.signIn(app, alice, graphScope, "offline_access")
		key, _, _ := store.only(t)
		b, _ := e.signIn(app, bob, graphScope, "offline_access").Account(t.Context())
		store.away.Store(&key)
		e.signIn(app, alice, graphScope, "offline_access") // in the backlog from now on
		for range 3 {
			expire()
			began := time.Now()
			mustToken(t, app.Credential(b.ID), tokenFor(graphScope))
			if took := time.Since(began); took > time.Second {
				t.Errorf("bob's record is there, and he waited %v", took)
			}
		}
		store.away.Store(nil)
	})
}

// keyed is a store one key of which is away.
type keyed struct {
	*testStore
	away atomic.Pointer[string]
}

func (s *keyed) gone(key string) bool { a := s.away.Load(); return a != nil && *a == key }

func (s *keyed) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	if s.gone(key) {
		return nil, "", false, errStoreDown
	}
	return s.testStore.Get(ctx, key)
}

func (s *keyed) Swap(ctx context.Context, key, a, b string, data []byte, ttl time.Duration) (bool, error) {
	if s.gone(key) {
		return false, errStoreDown
	}
	return s.testStore.Swap(ctx, key, a, b, data, ttl)
}

func (s *keyed) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if s.gone(key) {
		return false, errStoreDown
	}
	return s.testStore.Lease(ctx, key, owner, ttl)
}

// TestNothingIsSentThatTheLeaseMayNotOutlast: the store was slow, and is gone when the request is to begin. A request that is cut off at the
// end of the lease would be a lost answer, and the refresh token perhaps spent.
func TestNothingIsSentThatTheLeaseMayNotOutlast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), &slowStore{testStore: newTestStore()}
		held := e.signIn(e.ownReplica(store), alice, graphScope, "offline_access")
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 10 * time.Second, Times: 1})
		store.takes.Store(int64(4 * time.Second)) // for the lease, and for reading the record
		time.AfterFunc(8500*time.Millisecond, func() { store.down.Store(true) })
		if _, err := held.GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("got %v", err)
		}
		e.wantRequests(1, 0)
		store.takes.Store(0)
		store.down.Store(false)
		time.Sleep(30 * time.Second)
		mustToken(t, held, tokenFor(graphScope))
		e.wantRequests(1, 1)
	})
}
