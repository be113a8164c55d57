package e2e

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

// opener makes a client, as a program does when it starts.
type opener func(*testing.T, *clientEntra, clientSettings) (client, error)

type codeClient struct {
	name string
	app  string // of the directory
	open opener
}

// codeClients are the clients that redeem authorization codes.
var codeClients = []codeClient{
	{"MSAL Go, secret", "web", openMSAL(secretCredential)},
	{"MSAL Go, certificate", "web", openMSAL(certificateCredential)},
	{"MSAL Go, public with PKCE", "native", openMSALPublic},
	{"x/oauth2 and go-oidc", "web", openOAuth2},
	{"@azure/msal-node, secret", "web", openNode("@azure/msal-node", "msal-node.mjs")},
	{"@azure/msal-node, public with PKCE", "native", openNode("@azure/msal-node", "msal-node.mjs")},
	{"@azure/identity AuthorizationCodeCredential", "web", openNode("@azure/identity", "azure-identity.mjs")},
	{"openid-client", "web", openNode("openid-client", "openid-client.mjs")},
}

// callback is where the user's browser comes back to: of a public client, a port of its own.
func (c codeClient) callback() string {
	if c.app == "native" {
		return "http://localhost:39123"
	}
	return redirectURI
}

// Each client signs a user in with the flow that it is made for, and tells its caller of what goes wrong in the words that
// docs/clients.md has.
func TestClientsSignUsersIn(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range codeClients {
		names = append(names, c.name)
	}
	for _, table := range []string{"works", "reports", "sends"} {
		docs.wantRows(t, table, names)
	}
	for _, c := range codeClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := startClientEntra(t)
			b := &codeBench{clientEntra: e, settings: e.settings(e.Directory().App(c.app), c.callback()), open: c.open}
			docs.check(t, "works", c.name, b.redeems(t), b.cached(t), b.refreshes(t), b.meetsChallenge(t), b.atCommon(t))
			docs.check(t, "reports", c.name, b.wrongSecret(t), b.spentCode(t), b.withoutConsent(t), b.stepUp(t), b.revoked(t))
			docs.check(t, "sends", c.name, b.sends(t)...)
		})
	}
}

// wrongSecret is no secret of an app; for a client with a certificate it stands for one that the app does not know.
const wrongSecret = "wrong"

// codeBench takes one client through what can happen, and gives what came of it in the words of the tables. Each
// situation has a client of its own, as after a start of the program.
type codeBench struct {
	*clientEntra
	settings clientSettings
	open     opener
}

// start is a client and alice's callback for it. The log begins with the client's first request.
func (b *codeBench) start(t *testing.T, settings clientSettings) (client, *url.URL) {
	t.Helper()
	b.ResetRequests()
	c := mustOpen(t, b.open, b.clientEntra, settings)
	callback, err := b.Authorize(t.Context(), c.begin(t), aliceAtContoso)
	if err != nil {
		t.Fatal(err)
	}
	return c, callback
}

// signedIn is a client with alice's tokens, whose access token is about to expire if soon is set.
func (b *codeBench) signedIn(t *testing.T, soon bool) (c client, token string) {
	t.Helper()
	c, callback := b.start(t, b.settings)
	if soon {
		// All of the clients have a margin of ten seconds or more.
		defer b.Inject(entratest.Fault{Edit: func(answer map[string]any) { answer["expires_in"] = 5 }})()
	}
	token, err := c.redeem(t, callback)
	if err != nil {
		t.Fatal(err)
	}
	b.wantUserToken(t, token)
	return c, token
}

func (b *codeBench) redeems(t *testing.T) string {
	b.signedIn(t, false)
	return b.asked()
}

func (b *codeBench) cached(t *testing.T) string {
	c, first := b.signedIn(t, false)
	b.ResetRequests()
	second, err := c.silent(t, "")
	if err != nil {
		t.Fatal(err)
	}
	asked := b.asked()
	if (asked == "no request") != (second == first) {
		t.Errorf("%s, and the same token: %t", asked, second == first)
	}
	return asked
}

func (b *codeBench) refreshes(t *testing.T) string {
	c, first := b.signedIn(t, true)
	b.ResetRequests()
	second, err := c.silent(t, "")
	if err != nil {
		t.Fatal(err)
	}
	b.wantUserToken(t, second)
	if newest := b.newest(t); newest.GrantType != "refresh_token" || second == first {
		t.Errorf("a request of grant_type %q; the same token: %t", newest.GrantType, second == first)
	}
	return b.asked()
}

// meetsChallenge is a revoked token, and the challenge that a resource answers it with.
func (b *codeBench) meetsChallenge(t *testing.T) string {
	c, first := b.signedIn(t, false)
	b.RevokeAccessTokens(aliceAtContoso)
	challenge := `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`
	if _, err := b.VerifyAccessToken(first); err != nil {
		revoked, ok := errors.AsType[*entratest.RevokedError](err)
		if !ok {
			t.Fatal(err)
		}
		challenge = revoked.Claims
	}
	b.ResetRequests()
	second, err := c.silent(t, challenge)
	if err != nil {
		return report(t, err)
	}
	b.wantUserToken(t, second)
	b.wantAsked(t, challenge)
	return b.asked() + b.capability(t)
}

// wantAsked checks that the claims of a challenge went to the token endpoint whole, whatever they were merged with.
func (b *codeBench) wantAsked(t *testing.T, challenge string) {
	t.Helper()
	var want, got map[string]map[string]any
	if err := json.Unmarshal([]byte(challenge), &want); err != nil {
		t.Fatal(err)
	}
	sent := b.newest(t).Form.Get("claims")
	if err := json.Unmarshal([]byte(sent), &got); err != nil {
		t.Fatalf("claims %q: %v", sent, err)
	}
	for name, value := range want["access_token"] {
		sent, _ := json.Marshal(got["access_token"][name])
		if asked, _ := json.Marshal(value); string(sent) != string(asked) {
			t.Errorf("claims of the refresh: %s is %s, want %s", name, sent, asked)
		}
	}
}

// capability says whether the last request had the claims a client with the capability cp1 sends.
func (b *codeBench) capability(t *testing.T) string {
	if strings.Contains(strings.ToLower(b.newest(t).Form.Get("claims")), `"cp1"`) {
		return " with cp1"
	}
	return " without cp1"
}

// atCommon is a sign-in at the authority that is open to every tenant, whose issuer is a template.
func (b *codeBench) atCommon(t *testing.T) string {
	settings := b.settings
	settings.Authority = b.URL() + "/common"
	b.ResetRequests()
	c, err := b.open(t, b.clientEntra, settings)
	if err != nil {
		return report(t, err)
	}
	callback, err := b.Authorize(t.Context(), c.begin(t), aliceAtContoso)
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.redeem(t, callback)
	if err != nil {
		return report(t, err)
	}
	b.wantUserToken(t, token)
	return b.asked()
}

func (b *codeBench) wrongSecret(t *testing.T) string {
	if b.settings.Secret == "" {
		return "–"
	}
	settings := b.settings
	settings.Secret = wrongSecret
	c, callback := b.start(t, settings)
	_, err := c.redeem(t, callback)
	return report(t, err)
}

func (b *codeBench) spentCode(t *testing.T) string {
	c, callback := b.start(t, b.settings)
	if _, err := c.redeem(t, callback); err != nil {
		t.Fatal(err)
	}
	_, err := c.redeem(t, callback)
	return report(t, err)
}

func (b *codeBench) withoutConsent(t *testing.T) string {
	c, _ := b.signedIn(t, true)
	b.WithdrawConsent(aliceAtContoso, b.settings.ClientID, clientScope)
	defer b.Consent(aliceAtContoso, b.settings.ClientID, clientScope)
	_, err := c.silent(t, "")
	return report(t, err)
}

// stepUp is a policy that wants of the user what a refresh cannot give.
func (b *codeBench) stepUp(t *testing.T) string {
	c, _ := b.signedIn(t, true)
	b.RequireClaims(aliceAtContoso, arm, `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`)
	defer b.RequireClaims(aliceAtContoso, arm, "")
	_, err := c.silent(t, "")
	return report(t, err)
}

func (b *codeBench) revoked(t *testing.T) string {
	c, _ := b.signedIn(t, true)
	if err := b.RevokeSessions(aliceAtContoso); err != nil {
		t.Fatal(err)
	}
	_, err := c.silent(t, "")
	return report(t, err)
}
