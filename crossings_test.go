package authcode_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// TestASignInWhoseAnswerWasLostGivesWayToItsSuccessor: it was written, and another replica has refreshed what it found. Written again it
// would bring back a refresh token that is spent.
func TestASignInWhoseAnswerWasLostGivesWayToItsSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}}
		first, second := e.ownReplica(cut), e.ownReplica(store)
		cut.loseAnswer.Store(1)
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(mailScope)) // within the backlog's 100 ms
		time.Sleep(10 * time.Second)
		synctest.Wait()
		expire()
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// TestASignInThatCouldNotBeWrittenGivesWayToALaterOne, by the server's clock: the earlier one's grant may be revoked.
func TestASignInThatCouldNotBeWrittenGivesWayToALaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}}
		first, second := e.replica(cut), e.replica(store)
		cut.readOnly.Store(true)
		e.signIn(first, alice, graphScope)
		time.Sleep(time.Minute)
		if err := e.RevokeSessions(alice); err != nil { // she changes her password, and signs in again
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		e.signIn(second, alice, graphScope)
		cut.readOnly.Store(false)
		time.Sleep(10 * time.Second)
		expire()
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// TestEveryWriterWaitsForARemovalUnderWay: a sign-in that waits for it must not write what a refresh has replaced meanwhile.
func TestEveryWriterWaitsForARemovalUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}), newHookedStore()
		app := e.ownReplica(store)
		e.signIn(app, alice, graphScope, "offline_access")
		once(&store.beforeDelete, func() {
			time.Sleep(4 * time.Second)
		})
		var wg sync.WaitGroup
		wg.Go(func() { _ = app.Forget(t.Context(), e.aliceID()) })
		time.Sleep(time.Second)
		wg.Go(func() { e.signIn(app, alice, graphScope, "offline_access") }) // waits for the removal
		time.Sleep(time.Second)
		mustToken(t, app.Credential(e.aliceID()), tokenFor(mailScope))
		wg.Wait()
		time.Sleep(time.Minute)
		expire()
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// TestTheSuccessorsSuccessorReplacesAMark: the mark names the refresh token before last of a replica that was cut off for two refreshes.
func TestTheSuccessorsSuccessorReplacesAMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRefuse}), newTestStore()
		cut := &testStore{inner: store.inner, ops: map[string]int{}}
		first, second := e.replica(cut), e.replica(store)
		e.signIn(first, alice, graphScope)
		expire()
		cut.readOnly.Store(true)
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		mustToken(t, first.Credential(e.aliceID()), tokenFor(mailScope))
		if _, err := second.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); err == nil {
			t.Fatal("the spent refresh token was of use")
		}
		cut.readOnly.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		expire()
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
	})
}

// TestWhoWasOutrunTwiceIsNotSignedOut: two refusals came late, each of a refresh token that another replica had replaced. The grant is good.
func TestWhoWasOutrunTwiceIsNotSignedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{Rotation: entratest.RotationRefuse}), newTestStore()
		slow := leaseless{store}
		first, second := e.ownReplica(slow), e.ownReplica(leaseless{store})
		e.signIn(first, alice, graphScope, "offline_access")
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 2 * time.Second, Times: 1})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := first.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(mailScope)); errors.Is(err, authcode.ErrUnknownAccount) {
				t.Errorf("a user who is signed in: %v", err)
			}
		})
		time.Sleep(time.Second)
		mustToken(t, second.Credential(e.aliceID()), tokenFor(storageScope)) // while the first's request is on its way
		e.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 2 * time.Second, Times: 1})
		time.Sleep(2 * time.Second)
		mustToken(t, second.Credential(e.aliceID()), tokenFor(vaultScope))
		wg.Wait()
	})
}

// TestAccountLooksAtTheStore: a sign-out elsewhere is seen by those who only ask whose grant it is.
func TestAccountLooksAtTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		held := e.signIn(first, alice, graphScope)
		if err := second.Forget(t.Context(), e.aliceID()); err != nil {
			t.Fatal(err)
		}
		for range 24 {
			time.Sleep(time.Hour)
			_, _ = held.Account(t.Context())
			synctest.Wait()
		}
		if account, err := held.Account(t.Context()); err == nil {
			t.Errorf("a day after the sign-out elsewhere: %v", account)
		}
	})
}

// TestAMarkedGrantIsLookedAt: its token is stale, and no refresh looks at the store.
func TestAMarkedGrantIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, &entratest.Options{RefreshIn: 20 * time.Minute}), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.signIn(first, alice, graphScope)
		time.Sleep(21 * time.Minute)
		e.Inject(entratest.Fault{GrantType: "refresh_token", Error: "invalid_grant", Status: 400, Times: 1})
		mustToken(t, first.Credential(e.aliceID()), tokenFor(graphScope))
		time.Sleep(time.Second)
		e.wantRequests(1, 1)
		if err := second.Forget(t.Context(), e.aliceID()); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			time.Sleep(40 * time.Second)
			if _, err := first.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); err != nil {
				return
			}
		}
		t.Error("13 minutes after the sign-out the token is served still")
	})
}

// TestForgottenWhileItsRefreshWasOutrun: the first refusal was of a refresh token that a new sign-in had replaced, the second came after
// the user had signed out.
func TestForgottenWhileItsRefreshWasOutrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		app := e.newApp(nil)
		held := e.signIn(app, alice, graphScope)
		expire()
		e.Inject(entratest.Fault{GrantType: "refresh_token", Error: "invalid_grant", Latency: 2 * time.Second, Times: 2})
		time.AfterFunc(time.Second, func() { e.signIn(app, alice, mailScope) })
		time.AfterFunc(3*time.Second, func() {
			if err := app.Forget(t.Context(), e.aliceID()); err != nil {
				t.Error(err)
			}
		})
		if _, err := held.GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrUnknownAccount) {
			t.Errorf("got %v", err)
		}
		e.wantRequests(2, 2)
	})
}
