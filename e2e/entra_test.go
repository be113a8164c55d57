package e2e

import (
	"encoding/json"
	"net/url"
	"reflect"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

const aliceAtContoso = "alice@contoso.example"

// entra is an emulated Entra ID behind TLS, with the app registration and the tenant that the tests use.
type entra struct {
	*entratest.Server
	app    entratest.App
	tenant entratest.Tenant
}

func startEntra(t *testing.T, options *entratest.Options) *entra {
	t.Helper()
	server, err := entratest.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	directory := server.Directory()
	return &entra{Server: server, app: directory.App("web"), tenant: directory.Tenant("contoso.example")}
}

func (e *entra) clientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: e.URL()},
		Transport: e.Client(),
	}
}

// newApp is an App that the test closes.
func (e *entra) newApp(t *testing.T) *authcode.App {
	t.Helper()
	app, err := authcode.NewApp(e.tenant.ID, e.app.ClientID, redirectURI, authcode.SecretAuth(e.app.Secrets[0]),
		&authcode.AppOptions{ClientOptions: e.clientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	return app
}

// signIn takes alice through a flow.
func (e *entra) signIn(t *testing.T, app *authcode.App, options authcode.BeginOptions) *authcode.AuthorizationCodeCredential {
	t.Helper()
	flow, err := app.Begin(&options)
	if err != nil {
		t.Fatal(err)
	}
	callback, err := e.Authorize(t.Context(), flow.URL, aliceAtContoso)
	if err != nil {
		t.Fatal(err)
	}
	credential, err := app.Redeem(t.Context(), flow, callback.Query())
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// newPlainCredential is the credential of a code of alice's that somebody else's sign-in got, closed by the test.
func (e *entra) newPlainCredential(t *testing.T, scope string) *authcode.AuthorizationCodeCredential {
	t.Helper()
	query := url.Values{
		"client_id":     {e.app.ClientID},
		"redirect_uri":  {redirectURI},
		"response_type": {"code"},
		"scope":         {scope + " openid profile offline_access"},
	}
	callback, err := e.Authorize(t.Context(), e.URL()+"/"+e.tenant.ID+"/oauth2/v2.0/authorize?"+query.Encode(), aliceAtContoso)
	if err != nil {
		t.Fatal(err)
	}
	credential, err := authcode.NewAuthorizationCodeCredential(e.tenant.ID, e.app.ClientID, callback.Query().Get("code"), redirectURI,
		&authcode.AuthorizationCodeCredentialOptions{ClientOptions: e.clientOptions(), ClientSecret: e.app.Secrets[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = credential.Close() })
	return credential
}

// tokenRequests are the token requests of a grant type so far.
func (e *entra) tokenRequests(grantType string) []entratest.Request {
	var found []entratest.Request
	for _, request := range e.Requests() {
		if request.Endpoint == "token" && request.GrantType == grantType {
			found = append(found, request)
		}
	}
	return found
}

// wantRequests counts the token requests so far.
func (e *entra) wantRequests(t *testing.T, codes, refreshes int) {
	t.Helper()
	if got := len(e.tokenRequests("authorization_code")); got != codes {
		t.Errorf("%d code POSTs, want %d", got, codes)
	}
	if got := len(e.tokenRequests("refresh_token")); got != refreshes {
		t.Errorf("%d refresh POSTs, want %d", got, refreshes)
	}
}

// wantClaims checks that the newest refresh asked for these claims, and said that the client understands challenges.
func (e *entra) wantClaims(t *testing.T, challenge string) {
	t.Helper()
	var want, got map[string]any
	if err := json.Unmarshal([]byte(challenge), &want); err != nil {
		t.Fatal(err)
	}
	want["access_token"].(map[string]any)["xms_cc"] = map[string]any{"values": []any{"cp1"}}
	requests := e.tokenRequests("refresh_token")
	sent := requests[len(requests)-1].Form.Get("claims")
	if err := json.Unmarshal([]byte(sent), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the refresh had the claims %q, want %v", sent, want)
	}
}
