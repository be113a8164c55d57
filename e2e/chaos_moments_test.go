//go:build unix

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// stage is one user's app at one provider, for what happens to a process at one moment: when its refresh was processed and the answer
// is about to be sent.
type stage struct {
	*crew
	t     *testing.T
	fleet *fleet
}

func newStage(t *testing.T, store storeSpec, rotation entratest.Rotation, processes int) *stage {
	t.Helper()
	s := &stage{t: t, fleet: newFleet(t, processes)}
	s.crew = s.fleet.newCrew(t, crewSpec{"authcode", store, fmt.Sprint(rotation), rotation, 1, 1})
	s.provider.set(func() { s.provider.latency = constantly(20 * time.Millisecond) })
	s.provider.awaitExpiry()
	return s
}

// onProcessed does something at that moment of the next refresh; ended is closed when it is done.
func (s *stage) onProcessed(do func()) (ended <-chan struct{}) {
	done := make(chan struct{})
	var once sync.Once
	s.provider.set(func() {
		s.provider.processed = func(*tokenPOST) {
			once.Do(func() { do(); close(done) })
		}
	})
	return done
}

func (s *stage) user() string { return s.provider.accounts()[0] }

// ask lets a worker ask for the user's token; the channel gives how it fared, unless the worker is gone.
func (s *stage) ask(worker int) <-chan callDone {
	calls := make(chan callDone, 1)
	go func() {
		a, err := s.fleet.workers[worker].call(s.t.Context(), workerCommand{
			Op: "tokens", App: s.name, Users: []string{s.user()}, Timeout: time.Minute,
		})
		if err == nil {
			calls <- a.Calls[0]
		}
	}()
	return calls
}

// mustAnswer waits for a call, or ends the test.
func mustAnswer(t *testing.T, calls <-chan callDone, kind string) callDone {
	t.Helper()
	select {
	case call := <-calls:
		if call.Kind != kind {
			t.Fatalf("after %v the caller got %q, want %q: %s", call.Elapsed, call.Kind, kind, call.Error)
		}
		return call
	case <-time.After(time.Minute):
		t.Fatal("no answer")
	}
	return callDone{}
}

// fresh is a replica that has just begun, in this process.
func (s *stage) fresh() *appReplica {
	s.t.Helper()
	spec := s.provider.spec("authcode", s.store)
	spec.Own = s.rotation != entratest.RotationKeep
	spec.Name = "fresh"
	one, err := openReplica(&spec)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = one.close() })
	return one.(*appReplica)
}

// TestHolderKilled is threats rows 100 and 102: a replica is killed when the server has processed its refresh. At Entra the user stays
// signed in, and the next replica serves them when the lease is over; where the family is revoked they must sign in.
func TestHolderKilled(t *testing.T) {
	onStores(t, func(t *testing.T, store storeSpec) {
		together(t, []string{"Entra", "strict"}, func(t *testing.T, server string) {
			rotation, kind := entratest.RotationKeep, ""
			if server == "strict" {
				rotation, kind = entratest.RotationRevokeFamily, kindLost
			}
			s := newStage(t, store, rotation, 2)
			killed := s.onProcessed(s.fleet.workers[0].kill)
			s.ask(0)
			<-killed
			call := mustAnswer(t, s.ask(1), kind)
			if call.Elapsed > leaseTime+time.Second {
				t.Errorf("the next replica took %v", call.Elapsed)
			}
			if kind == kindLost && !strings.Contains(call.Error, "the user must sign in: refreshing a token at ") {
				t.Errorf("the user is told %s", call.Error)
			}
		})
	})
}

// TestHolderStopped is threats row 101: a replica is stopped with the answer on its way, for longer than its lease. What it writes then
// is refused, and what the other one wrote stays.
func TestHolderStopped(t *testing.T) {
	onStores(t, func(t *testing.T, store storeSpec) {
		s := newStage(t, store, entratest.RotationKeep, 2)
		process := s.fleet.workers[0].command.Process
		stopped := s.onProcessed(func() {
			if err := process.Signal(syscall.SIGSTOP); err != nil {
				t.Error(err)
			}
		})
		first := s.ask(0)
		<-stopped
		mustAnswer(t, s.ask(1), "")
		if err := process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if call := <-first; call.Kind == kindLost { // the time for its refresh was over, too, or it has the token
			t.Errorf("the caller there was told %s", call.Error)
		}
		s.provider.awaitExpiry()
		mustAnswer(t, s.ask(0), "")
		refreshes := s.provider.refreshes(time.Time{})
		if len(refreshes) != 3 || refreshes[1].worker != "w1" || refreshes[2].in != refreshes[1].out {
			t.Errorf("the refresh after the stop did not use what the other replica stored:\n%s", s.provider.story(s.user()))
		}
	})
}

// TestForgottenDuringARefresh is threats row 106: the user signs out at one replica while another one's refresh is on its way.
func TestForgottenDuringARefresh(t *testing.T) {
	onStores(t, func(t *testing.T, store storeSpec) {
		s := newStage(t, store, entratest.RotationKeep, 1)
		front := s.fresh()
		s.onProcessed(func() {
			if err := front.Forget(t.Context(), s.user()); err != nil {
				t.Error(err)
			}
		})
		if call := mustAnswer(t, s.ask(0), kindLost); !strings.Contains(call.Error, authcode.ErrUnknownAccount.Error()[len("authcode: "):]) {
			t.Errorf("the caller is told %s", call.Error)
		}
		for account, err := range s.fresh().Accounts(t.Context()) {
			t.Errorf("the store has %s, %v", account.ID, err)
		}
	})
}

// TestClosedDuringARefresh is threats row 108: what the server gave is stored.
func TestClosedDuringARefresh(t *testing.T) {
	onStores(t, func(t *testing.T, store storeSpec) {
		s := newStage(t, store, entratest.RotationRevokeFamily, 1)
		w := s.fleet.workers[0]
		closing := make(chan error, 1)
		s.onProcessed(func() {
			go func() {
				_, err := w.call(t.Context(), workerCommand{Op: "close", App: s.name})
				closing <- err
			}()
		})
		call := <-s.ask(0)
		if call.Kind != kindClosed && call.Kind != "" {
			t.Errorf("the caller got %q: %s", call.Kind, call.Error)
		}
		if err := <-closing; err != nil {
			t.Error(err)
		}
		if _, err := s.fresh().token(t.Context(), s.user()); err != nil {
			t.Error(err)
		}
		if n := len(s.provider.refreshes(time.Time{})); n != 1 {
			t.Errorf("%d refreshes: what the first one brought was not stored", n)
		}
	})
}

// TestCrowdAtExpiry is threats row 107, over sockets: one replica's callers and another's.
func TestCrowdAtExpiry(t *testing.T) {
	onStores(t, func(t *testing.T, store storeSpec) {
		s := newStage(t, store, entratest.RotationRevokeFamily, 2)
		s.provider.set(func() { s.provider.lifetime = time.Hour })
		crowd := slices.Repeat([]string{s.user()}, 5000)
		for _, a := range onAll(t, s.fleet.workers, func(*worker) workerCommand {
			return workerCommand{Op: "tokens", App: s.name, Users: crowd, Callers: len(crowd), Timeout: time.Minute}
		}) {
			for _, call := range a.Calls {
				s.count(call)
			}
		}
		if n := len(s.provider.refreshes(time.Time{})); n != 1 || len(s.lost)+len(s.failures) > 0 {
			t.Errorf("%d refreshes, %d signed out, %d failed: %.300q", n, len(s.lost), len(s.failures), s.failures)
		}
	})
}

// TestTerminatedDuringCallbacks is threats row 109: a server is told to end with many sign-ins on their way. Whoever's code was spent
// has a grant in the store, and whoever was told that they are signed in.
func TestTerminatedDuringCallbacks(t *testing.T) {
	users := 200
	if *long {
		users = 1000
	}
	onStores(t, func(t *testing.T, store storeSpec) {
		f := newFleet(t, 1)
		p := startProvider(t, entratest.RotationRevokeFamily, users)
		spec := p.spec("authcode", store)
		spec.Own = true
		f.open(t, "app", spec)
		front, err := openReplica(&spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = front.close() })
		redeem := workerCommand{Op: "redeem", App: "app", Timeout: time.Minute}
		for _, user := range p.users {
			sealed, query := callbackOf(t, p, front.(*appReplica).App, user)
			redeem.Sealed, redeem.Queries = append(redeem.Sealed, sealed), append(redeem.Queries, query)
		}
		w := f.workers[0]
		answers := make(chan workerAnswer, 1)
		go func() {
			if a, err := w.call(t.Context(), redeem); err != nil {
				t.Error(err)
				close(answers)
			} else {
				answers <- a
			}
		}()
		waitUntil(t, "some codes to be redeemed", func() bool { return len(p.redeemed()) >= users/10 })
		if err := w.command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		a := <-answers
		<-w.exited
		stored := map[string]bool{}
		for account, err := range front.(*appReplica).Accounts(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			stored[account.ID] = true
		}
		kinds := map[string]int{}
		for i, call := range a.Calls {
			kinds[call.Kind]++
			if call.Kind == "" && !stored[p.accounts()[i]] {
				t.Errorf("user %d was told that they are signed in, and is not stored", i)
			}
		}
		for _, user := range p.redeemed() {
			if !stored[user] {
				t.Errorf("%s's code was spent, and nothing is stored", user)
			}
		}
		t.Logf("%d callbacks: %d codes redeemed, %d grants stored, callers' errors by kind %v", users, len(p.redeemed()), len(stored), kinds)
	})
}

// callbackOf is a user's sign-in up to where the browser comes back.
func callbackOf(t *testing.T, p *provider, app *authcode.App, user entratest.User) (sealed, query string) {
	t.Helper()
	flow, err := app.Begin(&authcode.BeginOptions{Scopes: []string{fleetScope, "offline_access"}})
	if err != nil {
		t.Fatal(err)
	}
	callback, err := p.Authorize(t.Context(), flow.URL, user.Username)
	if err != nil {
		t.Fatal(err)
	}
	if sealed, err = app.SealFlow(flow); err != nil {
		t.Fatal(err)
	}
	return sealed, callback.RawQuery
}

// redeemed are the accounts whose codes gave a refresh token.
func (p *provider) redeemed() (users []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.posts {
		if !x.refresh && x.out != "" {
			users = append(users, x.user)
		}
	}
	return users
}
