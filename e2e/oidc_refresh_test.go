package e2e

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/authcode-go/authcode"
)

// checkRotation checks that each refresh token was used once, and each time the newest: the one that the answer before had.
func checkRotation(t *testing.T, first string, refreshes []tokenPost) {
	t.Helper()
	newest := first
	for i, post := range refreshes {
		if post.form.Get("refresh_token") != newest {
			t.Errorf("refresh %d did not use the refresh token of the answer before it", i+1)
		}
		if post.answer.RefreshToken == "" || post.answer.RefreshToken == newest {
			t.Errorf("the answer to refresh %d (%d %s) rotated nothing", i+1, post.status, post.answer.Error)
		}
		newest = post.answer.RefreshToken
	}
}

// Fifty goroutines want five tokens at the moment all have expired, from a server that revokes the grant at the first
// mistake: one request per token, one after the other, each with the refresh token of the one before.
func TestOIDCProviderCrowdAtExpiry(t *testing.T) {
	t.Parallel()
	const (
		callers  = 50
		expiries = 2
		lifetime = 4 * time.Second
	)
	p := startOIDCProvider(t, lifetime, webClient())
	app, w := p.newWebApp(t)
	credential := p.signIn(t, app, offline)
	first := w.sent("authorization_code")[0].answer.RefreshToken
	last := mustToken(t, credential, forScopes("files.read"))
	for round := range expiries {
		waitForExpiry(t, last)
		began, before := time.Now(), len(w.sent("refresh_token"))
		last = crowd(t, credential, callers)
		took, sent := time.Since(began), len(w.sent("refresh_token"))-before
		t.Logf("expiry %d: %d callers served in %s by %d requests", round+1, callers, took.Round(time.Millisecond), sent)
		// On a machine so slow that the first token is stale before the last caller comes, it is rightly renewed again.
		if tooSlow := took > lifetime*2/5; sent < len(resourceScopes) || sent > len(resourceScopes) && !tooSlow {
			t.Errorf("expiry %d: %d requests in %s, want %d", round+1, sent, took, len(resourceScopes))
		}
	}
	checkRotation(t, first, w.sent("refresh_token"))
}

// crowd has many callers ask for resourceScopes at once, and gives the token that expires last. All who asked for the same
// have to get the same token.
func crowd(t *testing.T, credential *authcode.AuthorizationCodeCredential, callers int) (last azcore.AccessToken) {
	t.Helper()
	var mu sync.Mutex
	tokens := map[string]string{}
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		scope := resourceScopes[i%len(resourceScopes)]
		wg.Go(func() {
			<-begin
			token, err := credential.GetToken(t.Context(), forScopes(scope))
			if err != nil || !token.ExpiresOn.After(time.Now()) {
				t.Errorf("a caller for %s was not served: expiry %s, %v", scope, token.ExpiresOn, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if other, ok := tokens[scope]; ok && other != token.Token {
				t.Errorf("two callers for %s got different tokens", scope)
			}
			tokens[scope] = token.Token
			if token.ExpiresOn.After(last.ExpiresOn) {
				last = token
			}
		})
	}
	close(begin)
	wg.Wait()
	return last
}

// Somebody replays a used refresh token, so the provider revokes the grant. The credential serves what it has until that
// expires, then says that the user must sign in, and stops asking the server. A new sign-in revives it.
func TestOIDCProviderReplayRevokesTheGrant(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, shortLived, webClient())
	app, w := p.newWebApp(t)
	credential := p.signIn(t, app, offline)
	used := w.sent("authorization_code")[0].answer.RefreshToken
	token := mustToken(t, credential, uncached("files.read"))
	checkRotation(t, used, w.sent("refresh_token"))
	p.replay(t, used)

	waitForExpiry(t, token)
	for range 2 {
		_, err := credential.GetToken(t.Context(), forScopes("files.read"))
		wantRefusal(t, err, "invalid_grant", true)
		account, _ := credential.Account(t.Context())
		if required, _ := errors.AsType[*authcode.AuthenticationRequiredError](err); required.AccountID != account.ID || required.LoginHint != account.Username {
			t.Errorf("the error is about %+v, not about %+v", required, account)
		}
	}
	w.wantSent(t, 1, 2) // the second call did not send the dead refresh token again

	if p.signIn(t, app, offline) != credential {
		t.Error("the new sign-in gave another credential")
	}
	mustToken(t, credential, uncached("mail.read"))
	w.wantSent(t, 2, 3)
}

// replay sends a refresh token as a thief would who also has the client's secret.
func (p *oidcProvider) replay(t *testing.T, refreshToken string) {
	t.Helper()
	response, err := (&http.Client{Transport: p.transport}).PostForm(p.endpoints.Token, url.Values{
		"client_id":     {"web"},
		"client_secret": {webSecret},
		"grant_type":    {"refresh_token"},
		"refresh_token": {refreshToken},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusBadRequest {
		t.Fatalf("the replay was answered with %s", response.Status)
	}
}

// What is wrong with the app, or with one request, costs nobody their grant: the same refresh token works afterwards.
func TestOIDCProviderRefusalsThatKeepTheGrant(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, longLived, webClient())
	app, w := p.newWebApp(t)
	credential := p.signIn(t, app, offline)

	w.setTamper(func(form url.Values) { form.Set("client_secret", "expired") })
	_, err := credential.GetToken(t.Context(), uncached("files.read"))
	wantRefusal(t, err, "invalid_client", false)
	w.setTamper(nil)

	_, err = credential.GetToken(t.Context(), forScopes("contacts.read"))
	wantRefusal(t, err, "invalid_scope", false)

	mustToken(t, credential, uncached("files.read"))
	w.wantSent(t, 1, 3)
	given := w.sent("authorization_code")[0].answer.RefreshToken
	for i, post := range w.sent("refresh_token") {
		if post.form.Get("refresh_token") != given {
			t.Errorf("request %d used another refresh token", i+1)
		}
	}
}

// Without offline_access there is no refresh token: what happens at expiry says what to do.
func TestOIDCProviderWithoutOfflineAccess(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, shortLived, webClient())
	app, w := p.newWebApp(t)
	credential := p.signIn(t, app, []string{"files.read"})
	waitForExpiry(t, mustToken(t, credential, forScopes("files.read")))
	_, err := credential.GetToken(t.Context(), forScopes("files.read"))
	if required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err); !ok || !strings.Contains(required.Error(), "offline_access") {
		t.Errorf("got %v", err)
	}
	w.wantSent(t, 1, 0)
}
