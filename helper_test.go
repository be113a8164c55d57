package authcode_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	redirectURI  = "https://app.example.com/auth/callback"
	graphScope   = "https://graph.microsoft.com/User.Read"
	mailScope    = "https://graph.microsoft.com/Mail.Read"
	storageScope = "https://storage.azure.com/user_impersonation"
	vaultScope   = "https://vault.azure.net/user_impersonation"
	armScope     = "https://management.azure.com/user_impersonation"
	ordersScope  = "api://orders/Orders.Read"
	alice        = "alice@contoso.example"
	bob          = "bob@contoso.example"
)

// entra is an emulator in this process, without sockets, so that it also works in a synctest bubble.
type entra struct {
	*entratest.Emulator
	tb     testing.TB
	app    entratest.App
	tenant entratest.Tenant
}

func newEntra(tb testing.TB, options *entratest.Options) *entra {
	tb.Helper()
	directory := entratest.DefaultDirectory()
	emulator, err := entratest.NewHandler(options)
	if err != nil {
		tb.Fatal(err)
	}
	app := directory.App("web")
	tenant := directory.Tenant("contoso.example")
	return &entra{Emulator: emulator, tb: tb, app: app, tenant: tenant}
}

// client is what a test gives to the package: the authority and a way to it.
func (e *entra) client() azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: e.URL()},
		Transport: &http.Client{Transport: e.Transport()},
	}
}

func (e *entra) secret() string { return e.app.Secrets[0] }

// newApp is an App that the test closes.
func (e *entra) newApp(options *authcode.AppOptions) *authcode.App {
	e.tb.Helper()
	if options == nil {
		options = &authcode.AppOptions{}
	}
	if options.Transport == nil {
		options.ClientOptions = e.client()
	}
	app, err := authcode.NewApp(e.tenant.ID, e.app.ClientID, redirectURI, authcode.SecretAuth(e.secret()), options)
	if err != nil {
		e.tb.Fatal(err)
	}
	e.tb.Cleanup(func() { _ = app.Close() })
	return app
}

// signIn takes a user through Begin, the browser and Redeem.
func (e *entra) signIn(app *authcode.App, user string, scopes ...string) *authcode.AuthorizationCodeCredential {
	e.tb.Helper()
	flow, callback := e.beginAs(app, user, &authcode.BeginOptions{Scopes: scopes})
	credential, err := app.Redeem(e.tb.Context(), flow, callback)
	if err != nil {
		e.tb.Fatal(err)
	}
	return credential
}

func (e *entra) beginAs(app *authcode.App, user string, options *authcode.BeginOptions) (*authcode.Flow, url.Values) {
	e.tb.Helper()
	flow, err := app.Begin(options)
	if err != nil {
		e.tb.Fatal(err)
	}
	callback, err := e.Authorize(e.tb.Context(), flow.URL, user)
	if err != nil {
		e.tb.Fatal(err)
	}
	return flow, callback.Query()
}

// code signs a user in by hand, as someone does who has their own web framework.
func (e *entra) code(user string, scopes string) string {
	e.tb.Helper()
	query := url.Values{
		"client_id":     {e.app.ClientID},
		"redirect_uri":  {redirectURI},
		"response_type": {"code"},
		"scope":         {scopes + " openid profile offline_access"},
		"state":         {"s"},
	}
	callback, err := e.Authorize(context.Background(), e.URL()+"/"+e.tenant.ID+"/oauth2/v2.0/authorize?"+query.Encode(), user)
	if err != nil {
		e.tb.Fatal(err)
	}
	code := callback.Query().Get("code")
	if code == "" {
		e.tb.Fatalf("no code in %s", callback)
	}
	return code
}

// newCredential is a plain credential of a fresh code, closed by the test.
func (e *entra) newCredential(user string, options *authcode.AuthorizationCodeCredentialOptions) *authcode.AuthorizationCodeCredential {
	e.tb.Helper()
	if options == nil {
		options = &authcode.AuthorizationCodeCredentialOptions{}
	}
	if options.Transport == nil {
		options.ClientOptions = e.client()
	}
	if options.ClientSecret == "" && options.ClientAuth == nil {
		options.ClientSecret = e.secret()
	}
	credential, err := authcode.NewAuthorizationCodeCredential(e.tenant.ID, e.app.ClientID, e.code(user, graphScope), redirectURI, options)
	if err != nil {
		e.tb.Fatal(err)
	}
	e.tb.Cleanup(func() { _ = credential.Close() })
	return credential
}

// tokenRequests are the emulator's token requests of a grant type; "" is any.
func (e *entra) tokenRequests(grantType string) []entratest.Request {
	var found []entratest.Request
	for _, request := range e.Requests() {
		if request.Endpoint == "token" && (grantType == "" || request.GrantType == grantType) {
			found = append(found, request)
		}
	}
	return found
}

func (e *entra) wantRequests(codes, refreshes int) {
	e.tb.Helper()
	if got := len(e.tokenRequests("authorization_code")); got != codes {
		e.tb.Errorf("%d code POSTs, want %d", got, codes)
	}
	if got := len(e.tokenRequests("refresh_token")); got != refreshes {
		e.tb.Errorf("%d refresh POSTs, want %d", got, refreshes)
	}
}

func tokenFor(scopes ...string) policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: scopes}
}

// mustToken gets a token or ends the test.
func mustToken(tb testing.TB, c *authcode.AuthorizationCodeCredential, options policy.TokenRequestOptions) azcore.AccessToken {
	tb.Helper()
	token, err := c.GetToken(tb.Context(), options)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func readCloser(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
