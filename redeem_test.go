package authcode_test

import (
	"testing"
)

func TestTheFirstCallRedeemsLaterOnesAreCached(t *testing.T) {
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	first := mustToken(t, c, tokenFor(graphScope))
	second := mustToken(t, c, tokenFor(graphScope))
	if first != second {
		t.Error("the second call got another token")
	}
	e.wantRequests(1, 0)
	mustToken(t, c, tokenFor(storageScope))
	e.wantRequests(1, 1)
	account, err := c.Account(t.Context())
	if err != nil || account.Username != alice {
		t.Errorf("account %+v, %v", account, err)
	}
}

func TestAppSignsIn(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	c := e.signIn(app, alice, graphScope)
	mustToken(t, c, tokenFor(graphScope))
	e.wantRequests(1, 0)
	account, err := c.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if app.Credential(account.ID) != c {
		t.Error("App.Credential gives another credential")
	}
}
