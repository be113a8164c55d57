package signin_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/signin"
)

// A sign-out ends the session here and the one at the server, by the login_hint claim, and comes back.
func TestSignOut(t *testing.T) {
	w := newWorld(t)
	var told []string
	s := w.newSite(&signin.Options{OnSignOut: func(_ context.Context, accountID string, reason signin.SignOutReason) {
		told = append(told, accountID+" "+string(reason))
		panic("the hook's own fault")
	}})
	b := s.browser(alice)
	b.real = true
	b.get("/me")
	b.signIn() // one flow is left under way
	a := b.signOut().wants(t, 303, "")
	u := mustURL(t, a.location())
	if !strings.HasPrefix(a.location(), w.URL()) || u.Query().Get("logout_hint") == "" || u.Query().Get("post_logout_redirect_uri") != origin+"/" {
		t.Errorf("to %s", a.location())
	}
	if b.sessionCookie() != "" || len(b.flowCookies()) != 0 {
		t.Errorf("cookies %v", b.cookies())
	}
	if len(told) != 1 || told[0] != w.directory.User("alice").HomeAccountID()+" user" {
		t.Errorf("told %q", told)
	}
	b.user = "" // nobody fills in the emulator's page
	_, callback := b.follow("/me", atCallback)
	if callback == "" {
		t.Error("the server had no session to end")
	}
	b.get(a.location())
	if _, callback := b.follow("/me", atCallback); callback != "" {
		t.Error("the server's session goes on")
	}
	// Again, without a session: it is no error.
	b.signOut().wants(t, 303, "")
}

// Only a page of this app signs anybody out.
func TestSignOutOrigin(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice).signIn()
	for _, test := range []struct {
		header http.Header
		status int
	}{
		{http.Header{}, 403},
		{http.Header{"Origin": {"https://evil.example"}}, 403},
		{http.Header{"Origin": {"null"}}, 403},
		{http.Header{"Origin": {"http://app.example.com"}}, 403},
		{http.Header{"Origin": {origin + ":8443"}}, 403},
		{http.Header{"Origin": {origin + ".evil.example"}}, 403},
		{http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"cross-site"}}, 403},
		{http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"same-site"}}, 403},
		{http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"none"}}, 403},
		{http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"same-origin"}}, 403},
		{http.Header{"Origin": {"null"}, "Referer": {origin + "/"}}, 403},
		{http.Header{"Referer": {"https://evil.example/?" + origin}}, 403},
		{http.Header{"Referer": {"https://evil.example/"}, "Sec-Fetch-Site": {"cross-site"}}, 403},
	} {
		test.header["Accept"] = []string{"text/html"}
		b.send("POST", "/auth/logout", test.header, "").wants(t, test.status, "You are still signed in")
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		b.send(method, "/auth/logout", navigate, "")
	}
	b.get("/public").wants(t, 200, alice)
	for _, header := range []http.Header{
		{"Origin": {origin}}, {"Origin": {"HTTPS://APP.EXAMPLE.COM"}}, {"Origin": {"null"}, "Sec-Fetch-Site": {"same-origin"}},
		{"Sec-Fetch-Site": {"same-origin"}}, {"Referer": {origin + "/page"}},
	} {
		b.signIn()
		header["Accept"] = []string{"text/html"}
		b.send("POST", "/auth/logout", header, "").wants(t, 303, "")
		b.get("/public").wants(t, 200, "stranger")
	}
}

// A link to sign out shows a button.
func TestSignOutPage(t *testing.T) {
	s := newWorld(t).newSite(nil)
	b := s.browser(alice).signIn()
	a := b.get("/auth/logout").wants(t, 200, `<form method="post" action="/auth/logout">`)
	if a.Header.Get("Referrer-Policy") != "same-origin" || a.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("header %v", a.Header)
	}
	b.get("/public").wants(t, 200, alice)
}

func TestSignOutEverywhereByForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWorld(t).newSite(nil)
		one, two := s.browser(alice).signIn(), s.browser(alice).signIn()
		one.send("POST", "/auth/logout", http.Header{"Origin": {origin}, "Accept": {"text/html"}}, "everywhere=1").wants(t, 303, "")
		time.Sleep(10 * time.Second)
		two.get("/public").wants(t, 200, "stranger")
		closeIdle(s)
	})
}

// A script gets the URL to navigate to: a redirect to another origin would fail it.
func TestSignOutByFetch(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice).signIn()
	header := fetch.Clone()
	header.Set("Origin", origin)
	j := b.send("POST", "/auth/logout", header, "").wants(t, 200, "").json(t)
	if !strings.HasPrefix(j.URL, w.URL()) {
		t.Errorf("%+v", j)
	}
}

var framePattern = regexp.MustCompile(`<iframe[^>]* src="([^"]*)"`)

// The server's sign-out page loads front-channel logout in a frame, without cookies: the session of that sid ends, and others do not.
func TestFrontChannelLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, other := w.newSite(nil), w.newSite(nil)
		b, elsewhere := s.browser(alice), s.browser(alice).signIn()
		b.real = true
		b.signIn()
		page := b.get(w.URL() + "/common/oauth2/v2.0/logout")
		frames := framePattern.FindAllStringSubmatch(page.body, -1)
		if len(frames) != 1 {
			t.Fatalf("frames %q in %s", frames, page.body)
		}
		frame := html.UnescapeString(frames[0][1])
		stranger := other.browser("")
		header := http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Sec-Fetch-Site": {"cross-site"}, "Accept": {"text/html"}}
		// With another issuer it is not ours.
		stranger.send("GET", changed(t, frame, "iss", "https://evil.example/v2.0"), header, "").wants(t, 200, "signed out")
		time.Sleep(11 * time.Second)
		b.get("/public").wants(t, 200, alice)
		a := stranger.send("GET", frame, header, "").wants(t, 200, "signed out")
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Frame-Options") != "" || len(a.Cookies()) != 0 {
			t.Errorf("header %v", a.Header)
		}
		time.Sleep(11 * time.Second)
		b.get("/public").wants(t, 200, "stranger")
		elsewhere.get("/public").wants(t, 200, alice)
		for _, query := range []string{"", "?sid=", "?sid=a&sid=b", "?sid=" + strings.Repeat("x", 300), "?iss=x"} {
			stranger.send("GET", "/auth/frontchannel-logout"+query, header, "").wants(t, 400, "")
		}
		stranger.send("GET", "/auth/frontchannel-logout?sid=unknown", header, "").wants(t, 200, "signed out")
		stranger.send("POST", "/auth/frontchannel-logout", header, "sid=x").wants(t, 405, "")
		closeIdle(s, other)
	})
}

// A server without an end-session endpoint: the user stays here.
func TestSignOutWithoutEndSession(t *testing.T) {
	w := newWorld(t)
	web := w.directory.App("web")
	authority := w.URL() + "/" + w.directory.Tenant("contoso").ID
	app, err := authcode.NewApp("", web.ClientID, origin+"/auth/callback", authcode.SecretAuth(web.Secrets[0]), &authcode.AppOptions{
		ClientOptions: w.client(), Sealer: w.sealer, Store: w.store,
		Endpoints: &authcode.Endpoints{
			Authorize: authority + "/oauth2/v2.0/authorize", Issuer: authority + "/v2.0", JWKS: authority + "/discovery/v2.0/keys", Token: authority + "/oauth2/v2.0/token",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	s := w.siteOf(app, &signin.Options{Scopes: []string{"profile"}})
	b := s.browser(alice).signIn()
	if a := b.signOut(); a.StatusCode != 303 || a.location() != "/" {
		t.Errorf("%d to %q", a.StatusCode, a.location())
	}
	b.get("/public").wants(t, 200, "stranger")
}

func TestPostLogoutRedirectURI(t *testing.T) {
	s := newWorld(t).newSite(&signin.Options{PostLogoutRedirectURI: origin + "/bye"})
	if a := s.browser(alice).signIn().signOut(); !strings.Contains(a.location(), url.QueryEscape(origin+"/bye")) {
		t.Errorf("to %s", a.location())
	}
}
