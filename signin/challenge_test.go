package signin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/signin"
)

const contextC1 = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`

func tokenPath(scope string) string { return "/token?scope=" + url.QueryEscape(scope) }

// Who is not signed in, by the kind of the request.
func TestWhoIsNotSignedIn(t *testing.T) {
	s := newWorld(t).newSite(nil)
	html := http.Header{"Accept": {"text/html,application/xhtml+xml"}}
	for _, test := range []struct {
		name, method string
		header       http.Header
		status       int
	}{
		{"navigation", "GET", navigate, 302},
		{"navigation of a browser without Fetch Metadata", "GET", html, 302},
		{"fetch", "GET", fetch, 401},
		{"fetch that wants HTML", "GET", http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"same-origin"}}, 401},
		{"XMLHttpRequest", "GET", http.Header{"Accept": {"text/html"}, "X-Requested-With": {"XMLHttpRequest"}}, 401},
		{"curl", "GET", http.Header{"Accept": {"*/*"}}, 401},
		{"image", "GET", http.Header{"Accept": {"image/*"}, "Sec-Fetch-Mode": {"no-cors"}}, 401},
		{"websocket", "GET", http.Header{"Upgrade": {"websocket"}, "Sec-Fetch-Mode": {"websocket"}}, 401},
		{"prefetch", "GET", http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Purpose": {"prefetch;prerender"}}, 401},
		{"HEAD", "HEAD", navigate, 401},
		{"form", "POST", navigate, 401},
		{"fetch that posts", "POST", fetch, 401},
	} {
		b := s.browser("")
		a := b.send(test.method, "/me", test.header, "")
		if a.StatusCode != test.status || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %v", test.name, a.StatusCode, a.Header)
		}
		if test.status == 401 && (len(a.Cookies()) != 0 || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="login_required"`)) {
			t.Errorf("%s: %v", test.name, a.Header)
		}
	}
}

// A script gets a URL to navigate to, which brings the user back to their page.
func TestFetchWithoutSession(t *testing.T) {
	s := newWorld(t).newSite(nil)
	b := s.browser(alice)
	header := fetch.Clone()
	header.Set("Referer", origin+"/public?tab=2")
	j := b.send("GET", "/me", header, "").json(t)
	if j.Error != "login_required" {
		t.Errorf("%+v", j)
	}
	b.open(j.URL).wants(t, 200, "hello "+alice)
	if a := b.get(b.callbackOf(j.URL + "&return=" + url.QueryEscape("/me?from=script"))); a.location() != "/me?from=script" {
		t.Errorf("to %q", a.location())
	}
	b.get(j.URL+"&return=//evil.example").wants(t, 400, "This link does not work")
	header.Set("Referer", "https://evil.example/x")
	stranger := s.browser(alice)
	if a := stranger.get(stranger.callbackOf(stranger.send("GET", "/me", header, "").json(t).URL)); a.location() != "/" {
		t.Errorf("to %q", a.location())
	}
}

// Consent that is asked for later: a page is redirected and comes back with it.
func TestConsentLater(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice).signIn()
	session := b.sessionCookie()
	w.WithdrawConsent(alice, "web", mailScope)
	a := b.get(tokenPath(mailScope)).wants(t, 302, "")
	asked := mustURL(t, a.location()).Query()
	if !strings.Contains(asked.Get("scope"), mailScope) || asked.Get("prompt") != "" || asked.Get("login_hint") != alice {
		t.Errorf("asked for %v", asked)
	}
	if j := b.fetch(tokenPath(mailScope)).json(t); j.Error != "consent_required" {
		t.Errorf("%+v", j)
	}
	w.Consent(alice, "web", mailScope)
	b.open(a.location())
	b.get(tokenPath(mailScope)).wants(t, 200, "a token")
	if b.sessionCookie() == session {
		t.Error("the session was not renamed")
	}
}

// A second factor in the middle of a page, and of a fetch.
func TestStepUp(t *testing.T) {
	for _, script := range []bool{false, true} {
		w := newWorld(t)
		s := w.newSite(nil)
		b := s.browser(alice).signIn()
		w.RequireClaims(alice, "https://storage.azure.com", contextC1)
		target := tokenPath(storageScope)
		if script {
			header := fetch.Clone()
			header.Set("Referer", origin+target)
			j := b.send("GET", tokenPath(storageScope), header, "").json(t)
			if j.Error != "interaction_required" {
				t.Errorf("%+v", j)
			}
			target = j.URL
		}
		b.open(target).wants(t, 200, "a token")
	}
}

// A form is not lost: the page says what happened, and sending it again after the sign-in works.
func TestInterruptedForm(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	got := ""
	s.mux.Handle("/save", s.h.RequireUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r.FormValue("text") })))
	b := s.browser(alice)
	header := navigate.Clone()
	header.Set("Referer", origin+"/public")
	a := b.send("POST", "/save", header, "text=hello").wants(t, 401, `target="_blank"`)
	for _, part := range []string{"may not have been processed", "reload it"} {
		a.wants(t, 401, part)
	}
	link := a.body[strings.Index(a.body, `href="`)+6:]
	link = strings.ReplaceAll(link[:strings.Index(link, `"`)], "&amp;", "&")
	b.open(link).wants(t, 200, "hello "+alice)
	b.send("POST", "/save", header, "text=hello").wants(t, 200, "")
	if got != "hello" {
		t.Errorf("got %q", got)
	}
}

// A session whose grant is gone is renewed without a page while the server knows the user, and asks when it does not.
func TestGrantGone(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice).signIn()
	gone := func() {
		t.Helper()
		if err := s.app.Forget(t.Context(), w.directory.User("alice").HomeAccountID()); err != nil {
			t.Fatal(err)
		}
	}
	gone()
	a := b.get(tokenPath(graphScope)).wants(t, 302, "")
	if prompt := mustURL(t, a.location()).Query().Get("prompt"); prompt != "none" {
		t.Errorf("prompt %q", prompt)
	}
	b.open(a.location()).wants(t, 200, "a token")

	gone()
	a = b.get(tokenPath(graphScope))
	remove := w.Inject(entratest.Fault{Endpoint: "authorize", Error: "login_required", AADSTS: 50058, Times: 1})
	defer remove()
	asks := b.get(b.get(a.location()).location()).wants(t, 302, "") // the callback says login_required, so the user is asked
	if query := mustURL(t, asks.location()).Query(); query.Has("prompt") || query.Get("login_hint") != alice {
		t.Errorf("asked with %v", query)
	}
	b.open(asks.location()).wants(t, 200, "a token")
}

// When Entra says that a user's sessions are over, all of them end here.
func TestSessionsOver(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(w *world)
	}{
		{"revoked", func(w *world) { _ = w.RevokeSessions(alice) }},
		{"disabled", func(w *world) { _ = w.SetDisabled(alice, true) }},
		{"password changed", func(w *world) {
			w.Inject(entratest.Fault{GrantType: "refresh_token", Error: "invalid_grant", AADSTS: 50132})
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var reasons []signin.SignOutReason
			s := w.newSite(&signin.Options{OnSignOut: func(_ context.Context, _ string, reason signin.SignOutReason) { reasons = append(reasons, reason) }})
			one, two, other := s.browser(alice).signIn(), s.browser(alice).signIn(), s.browser(bob).signIn()
			test.end(w)
			one.get(tokenPath(storageScope)).wants(t, 302, "")
			time.Sleep(10 * time.Second)
			two.get("/public").wants(t, 200, "stranger")
			one.get("/public").wants(t, 200, "stranger")
			other.get("/public").wants(t, 200, bob)
			if len(reasons) != 2 || reasons[0] != signin.SignOutRevoked {
				t.Errorf("%s: reasons %v", test.name, reasons)
			}
			closeIdle(s)
		})
	}
}

// A consent or second factor that is missing, or a refresh token that was idle for too long, ends nobody's sessions.
func TestOtherRefusalsEndNoSessions(t *testing.T) {
	for _, fault := range []entratest.Fault{
		{Error: "invalid_grant", AADSTS: 700082}, {Error: "invalid_grant", AADSTS: 70043},
		{Error: "invalid_grant", AADSTS: 50076, Suberror: "basic_action", Claims: contextC1}, {Error: "invalid_client", AADSTS: 7000215},
	} {
		w := newWorld(t)
		s := w.newSite(nil)
		one, two := s.browser(alice).signIn(), s.browser(alice).signIn()
		fault.GrantType = "refresh_token"
		w.Inject(fault)
		one.get(tokenPath(storageScope))
		one.get("/public").wants(t, 200, alice)
		two.get("/public").wants(t, 200, alice)
	}
}

// Three sign-ins in a minute that lead back to the same page: the fourth is a page, and says why.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.newSite(nil)
		challenges := 0
		s.mux.Handle("/never", s.h.RequireUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			challenges++
			err := fmt.Errorf("listing: %w", &authcode.AuthenticationRequiredError{Claims: contextC1, Scopes: []string{graphScope}})
			if !s.h.Challenge(w, r, err) {
				t.Error("no challenge")
			}
		})))
		b := s.browser(alice).signIn()
		b.open("/never").wants(t, 403, "Signing in does not help")
		if challenges != 4 {
			t.Errorf("%d challenges", challenges)
		}
		if j := b.fetch("/never"); j.StatusCode != 401 { // its page is another one
			t.Errorf("fetch: %d", j.StatusCode)
		}
		if !strings.Contains(w.log.String(), "three sign-ins within a minute led back to /never") {
			t.Errorf("log %s", w.log)
		}
		b.get("/public").wants(t, 200, alice)
		time.Sleep(2 * time.Minute)
		b.get("/never").wants(t, 302, "")
		closeIdle(s)
	})
}

// A session that does not stick is a loop too: the browser's cookie is dropped on the way.
func TestLoopWithoutSession(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice)
	for range 3 {
		b.get(b.callbackOf("/me")).wants(t, 303, "")
		probe := b.sessionCookie()
		for name, value := range b.cookies() {
			if value == probe {
				b.jar.SetCookies(mustURL(t, origin), []*http.Cookie{{Name: name, MaxAge: -1, Path: "/", Secure: true}})
			}
		}
	}
	b.get("/me").wants(t, 403, "Signing in does not help")
	b.get("/me?other").wants(t, 302, "")
}

// What Challenge leaves to the caller: nothing is written.
func TestNoChallenge(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	var err error
	s.mux.Handle("/err", s.h.RequireUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.h.Challenge(w, r, err) {
			return
		}
		w.WriteHeader(http.StatusTeapot)
	})))
	b := s.browser(alice).signIn()
	for _, err = range []error{
		nil, errors.New("x"), &authcode.AuthenticationFailedError{Code: "invalid_client"},
		&authcode.AuthenticationRequiredError{AccountID: w.directory.User("bob").HomeAccountID()},
	} {
		b.get("/err").wants(t, http.StatusTeapot, "")
	}
	err = fmt.Errorf("reading: %w", authcode.ErrStoreUnavailable)
	if a := b.get("/err"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d", a.StatusCode)
	}
}

// What a handler needs is asked for on the way in.
func TestNeeds(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	s.page("/secret", "the secret", signin.Need{AuthenticationContexts: []string{"c1"}})
	s.page("/mail", "the mail", signin.Need{Scopes: []string{mailScope, storageScope}})
	s.page("/approve", "approved", signin.Need{Roles: []string{"Orders.Admin", "Orders.Approver"}})
	b := s.browser(alice).signIn()

	a := b.get("/secret").wants(t, 302, "")
	if claims := mustURL(t, a.location()).Query().Get("claims"); !strings.Contains(claims, `"id_token":{"acrs":{"essential":true,"values":["c1"]}}`) {
		t.Errorf("claims %s", claims)
	}
	if j := b.fetch("/secret").json(t); j.Error != "interaction_required" {
		t.Errorf("%+v", j)
	}
	b.open("/secret").wants(t, 200, "the secret")
	b.get("/secret").wants(t, 200, "the secret")
	s.browser(bob).open("/secret").wants(t, 200, "the secret") // at the first sign-in already

	w.WithdrawConsent(alice, "web", storageScope)
	a = b.get("/mail").wants(t, 302, "")
	if scope := mustURL(t, a.location()).Query().Get("scope"); !strings.Contains(scope, mailScope) || !strings.Contains(scope, storageScope) {
		t.Errorf("scope %q", scope)
	}
	w.Consent(alice, "web", storageScope)
	b.open("/mail").wants(t, 200, "the mail")

	b.get("/approve").wants(t, 403, "not for you")
	if j := b.fetch("/approve"); j.StatusCode != 403 || j.json(t).Error != "forbidden" {
		t.Errorf("%d %s", j.StatusCode, j.body)
	}
	s.browser(bob).open("/approve").wants(t, 200, "approved")
}

// A token endpoint that throttles is a 503, not a sign-in.
func TestThrottled(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	s.page("/mail", "the mail", signin.Need{Scopes: []string{mailScope}})
	b := s.browser(alice).signIn()
	w.Inject(entratest.Fault{GrantType: "refresh_token", Status: 429, RetryAfter: "30"})
	for _, path := range []string{tokenPath(mailScope), "/mail"} {
		if a := b.get(path).wants(t, 503, "Please try again"); a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}
