package authcode_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
)

// TestAccounts: a job finds everybody, in the store and without one.
func TestAccounts(t *testing.T) {
	e, store := newEntra(t, nil), newTestStore()
	for name, app := range map[string]*authcode.App{"store": e.replica(store), "memory": e.newApp(nil)} {
		e.signIn(app, alice, graphScope)
		e.signIn(app, bob, graphScope)
		found := map[string]bool{}
		for account, err := range app.Accounts(t.Context()) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			found[account.Username] = true
			mustToken(t, app.Credential(account.ID), tokenFor(graphScope))
		}
		if len(found) != 2 || !found[alice] || !found[bob] {
			t.Errorf("%s: %v", name, found)
		}
		for range app.Accounts(t.Context()) {
			break // stops without harm
		}
	}
	key := store.keys(t)[0]
	store.put(t, key, "broken", []byte("not a record"))
	var accounts, faults int
	for _, err := range e.replica(store).Accounts(t.Context()) {
		if err != nil {
			faults++
		} else {
			accounts++
		}
	}
	if accounts != 1 || faults != 1 {
		t.Errorf("beside a broken record: %d accounts, %d faults", accounts, faults)
	}
	app := e.replica(leaseless{store})
	for _, err := range app.Accounts(t.Context()) {
		if err == nil {
			t.Error("a store that cannot list gave an account")
		}
	}
	store.down.Store(true)
	for _, err := range e.replica(store).Accounts(t.Context()) {
		if !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("got %v", err)
		}
	}
	_ = app.Close()
	for _, err := range app.Accounts(t.Context()) {
		if !errors.Is(err, authcode.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

// TestAccountsAreReadTogether: a round trip per account, one after another, would be minutes for a million.
func TestAccountsAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		store := &slowStore{testStore: newTestStore()}
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		e.signIn(app, bob, graphScope)
		store.takes.Store(int64(time.Second))
		began, accounts := time.Now(), 0
		for _, err := range app.Accounts(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			accounts++
		}
		if took := time.Since(began); accounts != 2 || took != time.Second {
			t.Errorf("%d accounts took %v", accounts, took)
		}
	})
}

// TestAccountsThatWereForgotten are not given, though the store could not be told yet; nor is anything read after Close.
func TestAccountsThatWereForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		e.signIn(app, bob, graphScope)
		store.readOnly.Store(true)
		if err := app.Forget(t.Context(), e.aliceID()); !errors.Is(err, authcode.ErrStoreUnavailable) {
			t.Errorf("Forget gave %v", err)
		}
		var usernames []string
		for account, err := range app.Accounts(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			usernames = append(usernames, account.Username)
		}
		if !slices.Equal(usernames, []string{bob}) {
			t.Errorf("accounts %v", usernames)
		}
		store.readOnly.Store(false)
		e.signIn(app, alice, graphScope)
		given, gets := 0, 0
		for _, err := range app.Accounts(t.Context()) {
			if given++; given == 1 {
				_ = app.Close()
				gets = store.count("get")
			} else if !errors.Is(err, authcode.ErrClosed) || store.count("get") != gets {
				t.Errorf("after Close: %v, %d readings", err, store.count("get")-gets)
			}
		}
		if given != 2 {
			t.Errorf("given %d, want an account and ErrClosed", given)
		}
	})
}

// TestKeepAlive: users who are away keep their grants for longer than the server remembers an unused one, and of two replicas one
// does it.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		first, second := e.replica(store), e.replica(store)
		e.signIn(first, alice, graphScope)
		e.signIn(first, bob, graphScope)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		for _, app := range []*authcode.App{first, second} {
			go func() { ended <- app.KeepAlive(ctx, nil) }()
		}
		time.Sleep(100 * 24 * time.Hour)
		if posts := len(e.tokenRequests("refresh_token")); posts != 6 { // every 30 days, two users
			t.Errorf("%d refreshes in 100 days, want 6", posts)
		}
		mustToken(t, second.Credential(e.aliceID()), tokenFor(graphScope))
		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("KeepAlive gave %v", err)
			}
		}
	})
}

// TestKeepAliveRefused: what cannot work says so at once.
func TestKeepAliveRefused(t *testing.T) {
	e, store := newEntra(t, nil), newTestStore()
	closed := e.replica(store)
	_ = closed.Close()
	for name, test := range map[string]struct {
		app     *authcode.App
		options authcode.KeepAliveOptions
	}{
		"no store":  {app: e.newApp(nil)},
		"no lister": {app: e.replica(leaseless{store})},
		"too old":   {app: e.replica(store), options: authcode.KeepAliveOptions{MaxAge: 90 * 24 * time.Hour}},
		"too late":  {app: e.replica(store), options: authcode.KeepAliveOptions{MaxAge: 89 * 24 * time.Hour}},
		"negative":  {app: e.replica(store), options: authcode.KeepAliveOptions{MaxAge: -1}},
		"no round":  {app: e.replica(store), options: authcode.KeepAliveOptions{Round: time.Millisecond}},
		"no end":    {app: e.replica(store), options: authcode.KeepAliveOptions{Round: math.MaxInt64}},
		"closed":    {app: closed},
	} {
		if err := test.app.KeepAlive(t.Context(), &test.options); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestAStoreNeedsASealer: nothing is ever stored in plain text.
func TestAStoreNeedsASealer(t *testing.T) {
	e := newEntra(t, nil)
	for _, options := range []*authcode.AppOptions{
		{Store: newTestStore()},
		{Store: newTestStore(), Sealer: testSealer(t, 1), MaxAccountsInMemory: -1},
	} {
		if _, err := authcode.NewApp(e.tenant.ID, e.app.ClientID, redirectURI, authcode.SecretAuth(e.secret()), options); err == nil {
			t.Errorf("%+v was accepted", options)
		}
	}
}

// TestCloseReleasesAList that the store does not finish.
func TestCloseReleasesAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(hangingList{store})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			for _, err := range app.Accounts(ctx) {
				if !errors.Is(err, authcode.ErrClosed) || time.Since(began) > 2*time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
			}
		})
		time.Sleep(time.Second)
		_ = app.Close()
		wg.Wait()
	})
}

// TestAListThatPanics is a fault of the store's: KeepAlive runs in a goroutine of its own.
func TestAListThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(panickyList{store})
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("it panicked: %v", p)
			}
		}()
		for _, err := range app.Accounts(t.Context()) {
			if !errors.Is(err, authcode.ErrStoreUnavailable) {
				t.Error(err)
			}
		}
	})
}

// TestKeepAliveTellsOfWhatItCannotRead.
func TestKeepAliveTellsOfWhatItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		var failures atomic.Int64
		app := e.newApp(&authcode.AppOptions{Sealer: testSealer(t, 1), Store: store, OnEvent: func(_ context.Context, ev authcode.Event) {
			if ev.Err != nil {
				failures.Add(1)
			}
		}})
		e.signIn(e.replica(store), alice, graphScope)
		key, _, _ := store.only(t)
		store.put(t, key, "cut", []byte("cut off"))
		go func() { _ = app.KeepAlive(t.Context(), &authcode.KeepAliveOptions{Round: time.Minute}) }()
		time.Sleep(10 * time.Minute)
		if failures.Load() == 0 {
			t.Error("no event in ten rounds")
		}
		_ = app.Close()
	})
}

type hangingList struct{ *testStore }

func (hangingList) List(ctx context.Context, _ string, _ func(string) bool) error {
	<-ctx.Done()
	return ctx.Err()
}

type panickyList struct{ *testStore }

func (panickyList) List(context.Context, string, func(string) bool) error {
	panic("a fault of the store's")
}

// TestKeepAliveRounds: one a day, however many replicas there are.
func TestKeepAliveRounds(t *testing.T) {
	for _, replicas := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			e, store := newEntra(t, nil), newTestStore()
			e.signIn(e.replica(store), alice, graphScope)
			for range replicas {
				app := e.replica(store)
				go func() { _ = app.KeepAlive(t.Context(), nil) }()
			}
			time.Sleep(60*24*time.Hour - time.Hour)
			if rounds := store.count("list"); rounds < 53 || rounds > 60 {
				t.Errorf("%d replicas had %d rounds in 60 days", replicas, rounds)
			}
		})
	}
}
