package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/authcode-go/authcode"
)

func TestOIDCProviderSignsIn(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, longLived, webClient())
	app, w := p.newWebApp(t)
	flow, callback := p.authorize(t, app, offline)
	sealed, err := app.SealFlow(flow) // as a web application keeps it between its two requests
	if err != nil {
		t.Fatal(err)
	}
	opened, err := app.OpenFlow(sealed)
	if err != nil {
		t.Fatal(err)
	}
	credential, err := app.Redeem(t.Context(), opened, callback)
	if err != nil {
		t.Fatal(err)
	}
	checkAccount(t, p, credential, flow)
	token := mustToken(t, credential, forScopes("files.read"))
	w.wantSent(t, 1, 0) // the code's token is good for one of its scopes
	if post := w.sent("authorization_code")[0]; post.form.Get("code_verifier") != flow.CodeVerifier {
		t.Error("the code was redeemed without the flow's code verifier")
	}
	if subject := p.userInfo(t, token.Token); subject != alice {
		t.Errorf("the provider's userinfo says that the token is %q's", subject)
	}
}

// checkAccount compares the account with what the provider's ID token says of alice.
func checkAccount(t *testing.T, p *oidcProvider, credential *authcode.AuthorizationCodeCredential, flow *authcode.Flow) {
	t.Helper()
	account, err := credential.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if account.Username != alice+"@example.com" || account.Name != "Name of alice" || account.ID == "" {
		t.Errorf("account %+v", account)
	}
	var claims struct{ Aud, Iss, Nonce, Sub string }
	if err := account.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if claims.Aud != "web" || claims.Iss != p.endpoints.Issuer || claims.Nonce != flow.Nonce || claims.Sub != alice {
		t.Errorf("claims %+v", claims)
	}
}

// userInfo asks the provider whose token it is (OpenID Connect Core 1.0 section 5.3).
func (p *oidcProvider) userInfo(t *testing.T, token string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.endpoints.Issuer+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := (&http.Client{Transport: p.transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var info struct{ Sub string }
	if err := json.NewDecoder(response.Body).Decode(&info); err != nil {
		t.Fatal(err)
	}
	return info.Sub
}

// A provider that demands PKCE refuses a request from which somebody took the challenge, and its refusal arrives.
func TestOIDCProviderRefusesAStrippedChallenge(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, longLived, webClient())
	app, w := p.newWebApp(t)
	flow, err := app.Begin(&authcode.BeginOptions{Scopes: offline})
	if err != nil {
		t.Fatal(err)
	}
	stripped, err := url.Parse(flow.URL)
	if err != nil {
		t.Fatal(err)
	}
	query := stripped.Query()
	query.Del("code_challenge")
	query.Del("code_challenge_method")
	stripped.RawQuery = query.Encode()
	callback := newBrowser(t, p.transport, alice).visit(stripped.String(), redirectURI).Query()
	_, err = app.Redeem(t.Context(), flow, callback)
	wantRefusal(t, err, "invalid_request", false)
	w.wantSent(t, 0, 0)
}

// A refresh token from another program is taken over: redeemed, and its ID token verified, which has another flow's nonce.
func TestOIDCProviderImportsARefreshToken(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, longLived, webClient())
	other, w := p.newWebApp(t)
	p.signIn(t, other, offline)
	given := w.sent("authorization_code")[0].answer.RefreshToken

	app, w := p.newWebApp(t)
	credential, err := app.ImportRefreshToken(t.Context(), given, "files.read")
	if err != nil {
		t.Fatal(err)
	}
	account, err := credential.Account(t.Context())
	if err != nil || app.Credential(account.ID) != credential {
		t.Errorf("account %+v, %v", account, err)
	}
	mustToken(t, credential, forScopes("files.read"))
	mustToken(t, credential, forScopes("mail.read"))
	w.wantSent(t, 0, 2)
	checkRotation(t, given, w.sent("refresh_token"))
}
