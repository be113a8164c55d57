package e2e

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/authcode-go/authcode"
)

// Fifty goroutines are the first to use a credential, for five tokens: the code is sent once, and the four scopes it was not
// redeemed for cost a refresh each.
func TestOIDCProviderCrowdOnAFreshCode(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, longLived, webClient())
	app, _ := p.newWebApp(t)
	flow, callback := p.authorize(t, app, offline)
	credential, w := p.newPlainCredential(t, flow, callback.Get("code"))
	crowd(t, credential, 50)
	w.wantSent(t, 1, len(resourceScopes)-1)
	checkRotation(t, w.sent("authorization_code")[0].answer.RefreshToken, w.sent("refresh_token"))
}

// A code works once. Whoever sends it again gets the provider's refusal, and a credential that got it never sends it a
// second time; the provider, as RFC 6749 section 4.1.2 has it, also revokes what the code gave the first time.
func TestOIDCProviderSpentCode(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, longLived, webClient())
	app, _ := p.newWebApp(t)
	flow, callback := p.authorize(t, app, offline)
	first, firstWire := p.newPlainCredential(t, flow, callback.Get("code"))
	second, secondWire := p.newPlainCredential(t, flow, callback.Get("code"))

	mustToken(t, first, forScopes("files.read"))
	mustToken(t, first, uncached("files.read"))
	firstWire.wantSent(t, 1, 1)
	for range 3 {
		_, err := second.GetToken(t.Context(), forScopes("files.read"))
		wantRefusal(t, err, "invalid_grant", true)
	}
	secondWire.wantSent(t, 1, 0)

	_, err := first.GetToken(t.Context(), forScopes("mail.read"))
	wantRefusal(t, err, "invalid_grant", true)
	firstWire.wantSent(t, 1, 2)
}

// newPlainCredential is the credential of somebody who got the code by other means than App.Redeem.
func (p *oidcProvider) newPlainCredential(t *testing.T, flow *authcode.Flow, code string) (*authcode.AuthorizationCodeCredential, *wire) {
	t.Helper()
	w := p.newWire()
	credential, err := authcode.NewAuthorizationCodeCredential("", "web", code, redirectURI, &authcode.AuthorizationCodeCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: w.client()},
		ClientSecret:  webSecret,
		CodeVerifier:  flow.CodeVerifier,
		Endpoints:     &p.endpoints,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = credential.Close() })
	return credential, w
}
