package e2e

import (
	"errors"
	"testing"

	"github.com/authcode-go/authcode"
)

// The user signs out: the grant is forgotten here, the session ends at the provider, and the browser comes back.
func TestOIDCProviderSignsOut(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, longLived, webClient())
	app, w := p.newWebApp(t)
	browser := newBrowser(t, p.transport, alice)
	redeem := func(options authcode.BeginOptions) (*authcode.AuthorizationCodeCredential, error) {
		flow, err := app.Begin(&options)
		if err != nil {
			t.Fatal(err)
		}
		return app.Redeem(t.Context(), flow, browser.visit(flow.URL, redirectURI).Query())
	}
	if _, err := redeem(authcode.BeginOptions{Scopes: offline, Prompt: "consent"}); err != nil {
		t.Fatal(err)
	}
	credential, err := redeem(authcode.BeginOptions{Scopes: resourceScopes, Prompt: "none"})
	if err != nil {
		t.Fatalf("a second sign-in within the session: %v", err)
	}
	account, err := credential.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	if err := app.Forget(t.Context(), account.ID); err != nil {
		t.Fatal(err)
	}
	browser.visit(app.SignOutURL(&authcode.SignOutOptions{PostLogoutRedirectURI: signedOut}), signedOut)

	if _, err := credential.GetToken(t.Context(), forScopes("files.read")); !errors.Is(err, authcode.ErrUnknownAccount) {
		t.Errorf("after Forget: %v", err)
	}
	_, err = redeem(authcode.BeginOptions{Scopes: resourceScopes, Prompt: "none"})
	wantRefusal(t, err, "login_required", true)
	w.wantSent(t, 2, 0)
}
