package authcode_test

import (
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

func TestTheFirstCallRedeemsLaterOnesAreCached(t *testing.T) { // B15
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	first := mustToken(t, c, tokenFor(graphScope))
	second := mustToken(t, c, tokenFor(graphScope))
	if first != second {
		t.Error("the second call got another token")
	}
	e.wantRequests(1, 0)
	account, err := c.Account(t.Context())
	if err != nil || account.Username != alice {
		t.Errorf("account %v, %v", account, err)
	}
	e.wantRequests(1, 0)
}

func TestAccountRedeemsTheCode(t *testing.T) {
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	if account, err := c.Account(t.Context()); err != nil || account.Username != alice {
		t.Fatalf("account %v, %v", account, err)
	}
	e.wantRequests(1, 0)
	if got := e.tokenRequests("")[0].Form.Get("scope"); got != "openid profile offline_access" {
		t.Errorf("scope %q, want the reserved ones", got)
	}
	mustToken(t, c, tokenFor(graphScope))
	e.wantRequests(1, 1)
}

// The whole request, field by field: what is not listed is not sent.
func TestTheCodeRequest(t *testing.T) { // B8 to B12, B65
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	e := newEntra(t, nil)
	common := url.Values{
		"client_id":    {e.app.ClientID},
		"client_info":  {"1"},
		"code":         {"the-code"},
		"grant_type":   {"authorization_code"},
		"redirect_uri": {redirectURI + "?a=b&c=d"},
		"scope":        {graphScope + " openid profile offline_access"},
	}
	for name, test := range map[string]struct {
		options authcode.AuthorizationCodeCredentialOptions
		more    url.Values
	}{
		"public":            {authcode.AuthorizationCodeCredentialOptions{}, nil},
		"secret":            {authcode.AuthorizationCodeCredentialOptions{ClientSecret: "s+ e/cret"}, url.Values{"client_secret": {"s+ e/cret"}}},
		"verifier":          {authcode.AuthorizationCodeCredentialOptions{CodeVerifier: verifier}, url.Values{"code_verifier": {verifier}}},
		"explicitly public": {authcode.AuthorizationCodeCredentialOptions{ClientAuth: authcode.PublicAuth()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e.ResetRequests()
			test.options.ClientOptions = e.client()
			c, err := authcode.NewAuthorizationCodeCredential(e.tenant.ID, e.app.ClientID, "the-code", redirectURI+"?a=b&c=d", &test.options)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = c.GetToken(t.Context(), tokenFor(graphScope)) // refused, the code is made up
			all := e.Requests()
			if len(all) != 1 {
				t.Fatalf("%d requests, want one POST and no discovery", len(all))
			}
			want := maps.Clone(common)
			maps.Copy(want, test.more)
			if got := all[0]; got.Method != "POST" || got.Path != "/"+e.tenant.ID+"/oauth2/v2.0/token" || !maps.EqualFunc(got.Form, want, slices.Equal) {
				t.Errorf("%s %s\n got %v\nwant %v", got.Method, got.Path, got.Form, want)
			}
		})
	}
}

func TestASpentCodeIsNeverSentAgain(t *testing.T) { // B13, B19
	e := newEntra(t, nil)
	code := e.code(alice, graphScope)
	newCredential := func() *authcode.AuthorizationCodeCredential {
		c, err := authcode.NewAuthorizationCodeCredential(e.tenant.ID, e.app.ClientID, code, redirectURI, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: e.client(), ClientSecret: e.secret()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	first := newCredential()
	mustToken(t, first, tokenFor(graphScope))
	e.Inject(entratest.Fault{GrantType: "refresh_token", Error: "invalid_grant", AADSTS: 700082})
	for range 3 {
		_, _ = first.GetToken(t.Context(), tokenFor(storageScope)) // the refresh fails; the code must not be tried instead
	}
	e.wantRequests(1, 1)
	second := newCredential()
	_, refused := second.GetToken(t.Context(), tokenFor(graphScope))
	for range 3 {
		if _, err := second.GetToken(t.Context(), tokenFor(storageScope)); err == nil || err != refused {
			t.Errorf("got %v, want the first error again", err)
		}
	}
	e.wantRequests(2, 1)
}

func TestAppSignsIn(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	c := e.signIn(app, alice, graphScope, storageScope)
	mustToken(t, c, tokenFor(graphScope))
	e.wantRequests(1, 0)
	if got := e.tokenRequests("")[0].Form.Get("scope"); got != graphScope+" openid profile offline_access" {
		t.Errorf("the code was redeemed for %q, want the first resource alone", got)
	}
	mustToken(t, c, tokenFor(storageScope)) // consented along
	e.wantRequests(1, 1)
	account, err := c.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if app.Credential(account.ID) != c {
		t.Error("App.Credential gives another credential")
	}
}
