package authcode_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/authcode-go/authcode"
)

// askAlone asks a replica that has nothing in memory.
func (e *entra) askAlone(store authcode.Store, keys ...byte) error {
	e.tb.Helper()
	app := e.newApp(&authcode.AppOptions{Sealer: testSealer(e.tb, keys...), Store: store})
	_, err := app.Credential(e.aliceID()).GetToken(e.tb.Context(), tokenFor(graphScope))
	return err
}

// wantSignIn checks that one user is asked to sign in, and that the error names the record.
func wantSignIn(t *testing.T, err error, key string) {
	t.Helper()
	required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err)
	if !ok || errors.Is(err, authcode.ErrStoreUnavailable) || !strings.Contains(err.Error(), key) {
		t.Errorf("got %v", err)
	} else if len(required.Scopes) == 0 {
		t.Error("the error does not say what the sign-in is for")
	}
}

// TestThreatsAChangedRecord is row 91: no bit of a sealed record can be changed. In the version and the key's ID it names something
// that may exist elsewhere, so nobody is asked to sign in for it.
func TestThreatsAChangedRecord(t *testing.T) {
	e, store := newEntra(t, nil), newTestStore()
	e.signIn(e.replica(store), alice, graphScope)
	key, version, data := store.only(t)
	app := e.replica(store)
	const header = 5 // version and key ID
	for i := range data {
		changed := slices.Clone(data)
		changed[i] ^= 1 << (i % 8)
		store.put(t, key, fmt.Sprintf("%s-%d", version, i), changed)
		_, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
		if i < header {
			if !errors.Is(err, authcode.ErrStoreUnavailable) || !strings.Contains(err.Error(), key) {
				t.Errorf("byte %d: %v", i, err)
			}
			continue
		}
		wantSignIn(t, err, key)
	}
	for _, cut := range [][]byte{data[:header+3], data[:len(data)-1], append(slices.Clone(data), 0)} {
		store.put(t, key, fmt.Sprintf("cut-%d", len(cut)), cut)
		_, err := app.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope))
		wantSignIn(t, err, key)
	}
	if found, _, _ := store.only(t); found != key {
		t.Error("the record that does not open was removed")
	}
	e.signIn(app, alice, graphScope) // replaces it
	if err := e.askAlone(store, 1); err != nil {
		t.Error(err)
	}
}

// TestThreatsAMovedRecord is row 92: a record does not open under another user's key, another app's, or another kind's.
func TestThreatsAMovedRecord(t *testing.T) {
	e, store := newEntra(t, nil), newTestStore()
	app := e.replica(store)
	e.signIn(app, alice, graphScope)
	alices, _, data := store.only(t)
	e.signIn(app, bob, graphScope)
	keys := store.keys(t)
	bobs := keys[1-slices.Index(keys, alices)]
	store.put(t, bobs, "moved", data)
	_, err := e.replica(store).Credential(e.Directory().User("bob").HomeAccountID()).GetToken(t.Context(), tokenFor(graphScope))
	wantSignIn(t, err, bobs)
	if err := e.askAlone(store, 1); err != nil {
		t.Errorf("alice: %v", err)
	}
}

// TestThreatsKeys is row 94: a retired key opens, and the next write seals with the first; an unknown key is named, and the record
// kept.
func TestThreatsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		e.signIn(e.replica(store), alice, graphScope)
		_, _, sealedWith1 := store.only(t)
		err := e.askAlone(store, 2)
		if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); required || !errors.Is(err, authcode.ErrStoreUnavailable) ||
			!strings.Contains(err.Error(), fmt.Sprintf("%x", sealedWith1[1:5])) {
			t.Errorf("an unknown key: %v", err)
		}
		if err := e.askAlone(store, 2, 1); err != nil {
			t.Errorf("a retired key: %v", err)
		}
		if err := e.askAlone(store, 1); err != nil {
			t.Errorf("reading sealed it again: %v", err)
		}
		expire()
		if err := e.askAlone(store, 2, 1); err != nil { // refreshes
			t.Error(err)
		}
		if err := e.askAlone(store, 2); err != nil {
			t.Errorf("the write did not use the first key: %v", err)
		}
	})
}

// TestThreatsAnOlderRecord is row 95: a backup put back costs its user at most a sign-in, and nobody else anything. Entra's older
// refresh token still works.
func TestThreatsAnOlderRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, store := newEntra(t, nil), newTestStore()
		app := e.replica(store)
		e.signIn(app, alice, graphScope)
		key, version, old := store.only(t)
		expire()
		mustToken(t, app.Credential(e.aliceID()), tokenFor(graphScope))
		e.signIn(app, bob, graphScope)
		store.put(t, key, version, old)
		if err := e.askAlone(store, 1); err != nil {
			t.Errorf("alice: %v", err)
		}
		mustToken(t, app.Credential(e.Directory().User("bob").HomeAccountID()), tokenFor(graphScope))
	})
}

// TestASharedStoreKeepsAppsApart: two apps, one store; neither sees, opens or lists the other's grants.
func TestASharedStoreKeepsAppsApart(t *testing.T) {
	e, store := newEntra(t, nil), newTestStore()
	app := e.replica(store)
	e.signIn(app, alice, graphScope)
	other, err := authcode.NewApp(e.tenant.ID, e.Directory().App("native").ClientID, "http://localhost", authcode.PublicAuth(),
		&authcode.AppOptions{ClientOptions: e.client(), Sealer: testSealer(t, 1), Store: store})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Credential(e.aliceID()).GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrUnknownAccount) {
		t.Errorf("got %v", err)
	}
	for account, err := range other.Accounts(t.Context()) {
		t.Errorf("listed %v, %v", account, err)
	}
	n := 0
	for account, err := range app.Accounts(t.Context()) {
		n++
		if err != nil || account.ID != e.aliceID() || account.Username != alice {
			t.Errorf("listed %v, %v", account, err)
		}
	}
	if n != 1 {
		t.Errorf("%d accounts", n)
	}
}
