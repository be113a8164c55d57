package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
)

const (
	alice       = "alice"
	redirectURI = "https://app.example.com/auth/callback" // nobody listens there: the browser stops before it
	signedOut   = "https://app.example.com/goodbye"
	webSecret   = "the secret of the client web"

	longLived  = time.Hour       // an access token that does not expire during a test
	shortLived = 3 * time.Second // one that does, and is good for long enough to be looked at
)

// resourceScopes are the provider's scopes besides those of OpenID Connect.
var resourceScopes = []string{"files.read", "files.write", "mail.read", "mail.send", "calendar.read"}

// offline is resourceScopes with what makes the provider give a refresh token and a name.
var offline = append([]string{"offline_access", "profile"}, resourceScopes...)

// oidcProvider is panva's oidc-provider, one process per test: https://github.com/panva/node-oidc-provider. It rotates
// refresh tokens, and revokes the whole grant when a used one comes again.
type oidcProvider struct {
	endpoints authcode.Endpoints
	tls       loopbackTLS
	transport *http.Transport
}

// oidcClient is a client's registration (RFC 7591 section 2).
type oidcClient map[string]any

// webClient authenticates with a secret in the body.
func webClient() oidcClient {
	return oidcClient{"client_id": "web", "client_secret": webSecret, "token_endpoint_auth_method": "client_secret_post"}
}

func startOIDCProvider(t *testing.T, accessTokens time.Duration, clients ...oidcClient) *oidcProvider {
	t.Helper()
	node, _ := needNode(t, "oidc-provider")
	p := &oidcProvider{tls: newLoopbackTLS(t)}
	for _, client := range clients {
		client["grant_types"] = []string{"authorization_code", "refresh_token"}
		client["post_logout_redirect_uris"] = []string{signedOut}
		client["redirect_uris"] = []string{redirectURI}
	}
	settings, err := json.Marshal(map[string]any{
		"accessTokenSeconds": accessTokens.Seconds(),
		"certFile":           p.tls.certFile,
		"clients":            clients,
		"keyFile":            p.tls.keyFile,
		"scopes":             append([]string{"profile"}, resourceScopes...),
	})
	if err != nil {
		t.Fatal(err)
	}
	issuer := startServer(t, regexp.MustCompile(`(?m)^listening (https://\S+)$`),
		[]string{"OIDC_PROVIDER_SETTINGS=" + string(settings)}, node, filepath.Join("node", "oidc-provider.mjs"))
	p.transport = p.tls.transport(t)
	p.discover(t, issuer)
	return p
}

// discover reads the addresses from the provider's own metadata (OpenID Connect Discovery 1.0 section 4).
func (p *oidcProvider) discover(t *testing.T, issuer string) {
	t.Helper()
	response, err := (&http.Client{Transport: p.transport}).Get(issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var metadata struct {
		AuthorizationEndpoint string   `json:"authorization_endpoint"`
		ChallengeMethods      []string `json:"code_challenge_methods_supported"`
		EndSessionEndpoint    string   `json:"end_session_endpoint"`
		IssInCallbacks        bool     `json:"authorization_response_iss_parameter_supported"`
		Issuer                string   `json:"issuer"`
		JWKSURI               string   `json:"jwks_uri"`
		TokenEndpoint         string   `json:"token_endpoint"`
	}
	if err := json.NewDecoder(response.Body).Decode(&metadata); err != nil {
		t.Fatal(err)
	}
	if !metadata.IssInCallbacks || !slices.Contains(metadata.ChallengeMethods, "S256") {
		t.Fatalf("the provider promises no iss in callbacks, or no S256: %+v", metadata)
	}
	p.endpoints = authcode.Endpoints{
		Authorize:  metadata.AuthorizationEndpoint,
		EndSession: metadata.EndSessionEndpoint,
		Issuer:     metadata.Issuer,
		JWKS:       metadata.JWKSURI,
		Token:      metadata.TokenEndpoint,
	}
}

func (p *oidcProvider) newWire() *wire {
	return &wire{next: p.transport, tokenURL: p.endpoints.Token}
}

// newApp is an App of a client, and the wire it talks over; the test closes it.
func (p *oidcProvider) newApp(t *testing.T, clientID string, auth authcode.ClientAuth) (*authcode.App, *wire) {
	t.Helper()
	w := p.newWire()
	app, err := authcode.NewApp("", clientID, redirectURI, auth, &authcode.AppOptions{
		ClientOptions: azcore.ClientOptions{Transport: w.client()},
		Endpoints:     &p.endpoints,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	return app, w
}

// newWebApp is an App of webClient.
func (p *oidcProvider) newWebApp(t *testing.T) (*authcode.App, *wire) {
	t.Helper()
	return p.newApp(t, "web", authcode.SecretAuth(webSecret))
}

// authorize begins a flow and lets alice sign in and consent, at a new browser.
func (p *oidcProvider) authorize(t *testing.T, app *authcode.App, scopes []string) (*authcode.Flow, url.Values) {
	t.Helper()
	// The provider gives a refresh token only where the user is asked (OpenID Connect Core 1.0 section 11).
	flow, err := app.Begin(&authcode.BeginOptions{Prompt: "consent", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return flow, newBrowser(t, p.transport, alice).visit(flow.URL, redirectURI).Query()
}

func (p *oidcProvider) signIn(t *testing.T, app *authcode.App, scopes []string) *authcode.AuthorizationCodeCredential {
	t.Helper()
	flow, callback := p.authorize(t, app, scopes)
	credential, err := app.Redeem(t.Context(), flow, callback)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// tokenGetter is what GetToken is called on.
type tokenGetter interface {
	GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)
}

// mustToken gets a token or ends the test.
func mustToken(t *testing.T, credential tokenGetter, options policy.TokenRequestOptions) azcore.AccessToken {
	t.Helper()
	token, err := credential.GetToken(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func forScopes(scopes ...string) policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: scopes}
}

// uncached asks for a token of the other mode (CAE), of which there is none yet, so that the refresh token is used at once.
func uncached(scopes ...string) policy.TokenRequestOptions {
	return policy.TokenRequestOptions{EnableCAE: true, Scopes: scopes}
}

// waitForExpiry waits until a token has really expired, by its own time.
func waitForExpiry(t *testing.T, token azcore.AccessToken) {
	t.Helper()
	timer := time.NewTimer(time.Until(token.ExpiresOn))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// wantRefusal checks that an error is the server's refusal with a code, and whether it asks for a new sign-in.
func wantRefusal(t *testing.T, err error, code string, signIn bool) {
	t.Helper()
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
	if !ok || failed.Code != code {
		t.Fatalf("got %v, want the server's error %s", err, code)
	}
	if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); required != signIn {
		t.Errorf("asks for a new sign-in: %t, want %t: %v", required, signIn, err)
	}
}
