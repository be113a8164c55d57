package e2e

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
)

// MSAL Go's own flow in a program at a desk, from the URL it has a browser open to the page it shows at the end: PKCE,
// state, response_mode form_post and a port of localhost that nobody registered.
func TestMSALGoSignsInWithABrowser(t *testing.T) {
	t.Parallel()
	e := startClientEntra(t)
	m := mustOpen(t, openMSALPublic, e, e.settings(e.Directory().App("native"), ""))
	app := m.(*msalPublic).app
	var asked url.Values
	result, err := app.AcquireTokenInteractive(t.Context(), []string{clientScope}, public.WithOpenURL(func(authorizeURL string) error {
		u, err := url.Parse(authorizeURL)
		if err != nil {
			return err
		}
		asked = u.Query()
		callback, err := e.Authorize(t.Context(), authorizeURL, aliceAtContoso)
		if err != nil {
			return err
		}
		return post(callback)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if asked.Get("code_challenge_method") != "S256" || asked.Get("response_mode") != "form_post" || asked.Get("state") == "" {
		t.Errorf("the browser was sent to authorize with %v", asked)
	}
	id := result.IDToken
	if id.PreferredUsername != aliceAtContoso || id.TenantID != e.tenant.ID || id.Audience != e.Directory().App("native").ClientID {
		t.Errorf("the ID token is of %s, tenant %s, for %s", id.PreferredUsername, id.TenantID, id.Audience)
	}
	if want := e.Directory().User("alice").HomeAccountID(); result.Account.HomeAccountID != want {
		t.Errorf("the account is %q, want %q", result.Account.HomeAccountID, want)
	}
}

// post is the browser that submits the form_post page.
func post(callback *url.URL) error {
	target := *callback
	target.RawQuery = ""
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).PostForm(target.String(), callback.Query())
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func mustOpen(t *testing.T, open opener, e *clientEntra, settings clientSettings) client {
	t.Helper()
	c, err := open(t, e, settings)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Microsoft Graph's permissions have short names, which the answer repeats; MSAL takes a scope that is missing from an answer
// for one that was declined, so that each way to write them must come back as the client wrote it.
func TestClientsAskForGraphsScopes(t *testing.T) {
	t.Parallel()
	for _, c := range codeClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := startClientEntra(t)
			for _, scopes := range [][]string{
				{"User.Read"}, {"user.read"}, {"https://graph.microsoft.com/User.Read"}, {"User.Read", "Mail.Read"}, {"https://graph.microsoft.com/.default"},
			} {
				settings := e.settings(e.Directory().App(c.app), c.callback())
				settings.Scopes = scopes
				m := mustOpen(t, c.open, e, settings)
				callback, err := e.Authorize(t.Context(), m.begin(t), aliceAtContoso)
				if err != nil {
					t.Fatal(err)
				}
				first, err := m.redeem(t, callback)
				if err != nil {
					t.Errorf("%q: %v", scopes, err)
					continue
				}
				claims, err := e.VerifyAccessToken(first)
				if err != nil || claims["upn"] != aliceAtContoso {
					t.Errorf("%q: the token is of %v: %v", scopes, claims["upn"], err)
				}
				if second, err := m.silent(t, ""); err != nil || (second != first && c.name != "openid-client") {
					t.Errorf("%q: from the cache: %v; the same: %t", scopes, err, second == first)
				}
			}
		})
	}
}
