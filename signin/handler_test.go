package signin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/signin"
)

var echo = entratest.Fault{GrantType: "authorization_code", EchoSecrets: true}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	app := w.newApp(origin+"/auth/callback", nil)
	public, err := authcode.NewApp(w.directory.Tenant("contoso").ID, w.directory.App("native").ClientID, "myapp://auth/callback", authcode.PublicAuth(), nil)
	if err != nil {
		t.Fatal(err)
	}
	closed := w.newApp(origin+"/auth/callback", nil)
	_ = closed.Close()
	for _, test := range []struct {
		app     *authcode.App
		options *signin.Options
		names   string
	}{
		{nil, nil, "no App"},
		{closed, nil, "closed"},
		{public, nil, "redirect URI"},
		{w.newApp(origin, nil), nil, "redirect URI"},
		{w.newApp(origin+"/auth/", nil), nil, "redirect URI"},
		{w.newApp(origin+"/auth/login", nil), nil, "redirect URI"},
		{w.newApp(origin+"/logout", nil), nil, "redirect URI"},
		{app, &signin.Options{IdleTimeout: time.Second}, "IdleTimeout"},
		{app, &signin.Options{IdleTimeout: 30 * 24 * time.Hour}, "IdleTimeout"},
		{app, &signin.Options{AbsoluteTimeout: -1}, "AbsoluteTimeout"},
		{app, &signin.Options{AbsoluteTimeout: 365 * 24 * time.Hour}, "AbsoluteTimeout"},
		{app, &signin.Options{PostLogoutRedirectURI: "/bye"}, "PostLogoutRedirectURI"},
		{app, &signin.Options{Scopes: []string{"a b"}}, "scope"},
		{app, &signin.Options{Scopes: []string{strings.Repeat("https://very-long.example/", 30)}}, "scopes"},
	} {
		if _, err := signin.New(test.app, test.options); err == nil || !strings.Contains(err.Error(), test.names) {
			t.Errorf("error %v, want one naming %s", err, test.names)
		}
	}
	if _, err := signin.New(app, nil); err != nil {
		t.Error(err)
	}
}

// The callback may be anywhere; the other endpoints are beside it.
func TestMounts(t *testing.T) {
	for redirectURI, login := range map[string]string{
		origin + "/callback": "/login", origin + "/a/b/c": "/a/b/login", origin + "/auth/callback?x=1": "/auth/login", origin + ":8443/auth/cb": "/auth/login",
	} {
		w := newWorld(t)
		h, err := signin.New(w.newApp(redirectURI, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.LoginURL("/x"); got != login+"?return=%2Fx" {
			t.Errorf("%s: %s", redirectURI, got)
		}
	}
}

func TestEndpointsRefuse(t *testing.T) {
	s := newWorld(t).newSite(nil)
	b := s.browser(alice)
	for _, test := range []struct {
		method, target string
		header         http.Header
		status         int
	}{
		{"GET", "/auth/nowhere", navigate, 404},
		{"POST", "/auth/login", navigate, 405},
		{"GET", "/auth/login", fetch, 400},
		{"GET", "/auth/login", http.Header{"Sec-Fetch-Mode": {"no-cors"}}, 400},
		{"GET", "/auth/login?prompt=none", navigate, 400},
		{"GET", "/auth/login?prompt=consent", navigate, 400},
		{"GET", "/auth/login?challenge=x", navigate, 400},
		{"GET", "/auth/login?return=", navigate, 400},
		{"HEAD", "/auth/callback", navigate, 405},
		{"GET", "/auth/login?prompt=select_account", navigate, 302},
	} {
		a := b.send(test.method, test.target, test.header, "")
		if a.StatusCode != test.status || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s %s: %d, %v", test.method, test.target, a.StatusCode, a.Header)
		}
		if test.status != 302 && len(a.Cookies()) != 0 {
			t.Errorf("%s %s: cookies", test.method, test.target)
		}
	}
}

// Our pages load nothing, cannot be framed, and their style is the one that the policy allows.
func TestPages(t *testing.T) {
	s := newWorld(t).newSite(nil)
	a := s.browser("").get("/auth/callback").wants(t, 400, `<html lang="en">`)
	policy := a.Header.Get("Content-Security-Policy")
	style := a.body[strings.Index(a.body, "<style>")+7 : strings.Index(a.body, "</style>")]
	if !strings.Contains(policy, "default-src 'none'; style-src 'sha256-"+sha256Base64(style)+"'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("policy %s", policy)
	}
	for _, asset := range []string{"<script", "<img", "<link", "src=", "url("} {
		if strings.Contains(a.body, asset) {
			t.Errorf("the page has %s", asset)
		}
	}
	if a.Header.Get("X-Frame-Options") != "DENY" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", a.Header)
	}
}

func TestErrorPage(t *testing.T) {
	w := newWorld(t)
	var seen *signin.Page
	mood := ""
	s := w.newSite(&signin.Options{ErrorPage: func(w http.ResponseWriter, r *http.Request, page *signin.Page) {
		switch seen = page; mood {
		case "panic":
			panic("SECRET")
		case "nothing":
			return
		}
		w.WriteHeader(page.Status)
		fmt.Fprint(w, "our own page: ", page.Kind)
	}})
	b := s.browser("")
	b.get("/auth/callback").wants(t, 400, "our own page: state_mismatch")
	if !errors.Is(seen.Err, authcode.ErrStateMismatch) || seen.Reference == "" || !strings.Contains(w.log.String(), seen.Reference) {
		t.Errorf("%+v", seen)
	}
	for _, mood = range []string{"panic", "nothing"} {
		b.get("/auth/callback").wants(t, 400, "This sign-in is not from here")
	}
	if strings.Contains(w.log.String(), "SECRET") {
		t.Error("the panic's value is logged")
	}
	mood = ""
	b.get("/auth/logout").wants(t, 200, "our own page: sign_out")
	if seen.Action != "/auth/logout" {
		t.Errorf("the app's own sign-out page would post to %q", seen.Action)
	}
}

// Func: an error becomes a page that does not show it; after the answer has begun the connection is cut.
func TestFunc(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	begin := false
	s.mux.Handle("/fails", s.h.Func(func(w http.ResponseWriter, _ *http.Request, _ *signin.User) error {
		if begin {
			_, _ = w.Write([]byte("half"))
			_ = http.NewResponseController(w).Flush()
		}
		return errors.New("DETAIL")
	}))
	b := s.browser(alice).signIn()
	a := b.get("/fails").wants(t, 500, "Something went wrong")
	if strings.Contains(a.body, "DETAIL") || !strings.Contains(w.log.String(), "DETAIL") {
		t.Errorf("page %s", a.body)
	}
	if j := b.fetch("/fails"); j.StatusCode != 500 || j.json(t).Error != "internal" {
		t.Errorf("%d %s", j.StatusCode, j.body)
	}
	begin = true
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("panic %v", p)
		}
	}()
	b.get("/fails")
	t.Error("the answer looks whole")
}

// Two apps in one process and one store do not take each other's word.
func TestTwoAppsShareNothing(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	consent := w.directory.App("consent")
	app, err := authcode.NewApp(consent.TenantID, consent.ClientID, origin+"/auth/callback", authcode.SecretAuth(consent.Secrets[0]), &authcode.AppOptions{
		ClientOptions: w.client(), Sealer: w.sealer, Store: w.store,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	other := w.siteOf(app, nil)
	// a page of the other app inside a page of this one
	s.mux.Handle("/nested", s.h.RequireUser(other.h.LoadUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := signin.UserFrom(r.Context())
		if other.h.Challenge(w, r, &authcode.AuthenticationRequiredError{AccountID: user.Account.ID}) {
			return
		}
		t.Error("the other app took this one's user for its own")
	}))))
	b := s.browser(alice).signIn()
	// the cookie under the other app's name
	probe := other.browser("")
	begun := probe.get("/me")
	name, _, _ := strings.Cut(begun.Cookies()[0].Name, "-flow-")
	probe.jar.SetCookies(mustURL(t, origin), []*http.Cookie{{Name: name, Value: b.sessionCookie(), Path: "/", Secure: true}})
	probe.get("/public").wants(t, 200, "stranger")
	b.get("/nested").wants(t, 302, "")
}

func TestUserPrintsNoClaims(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(bob)
	text := ""
	s.mux.Handle("/print", s.h.Func(func(_ http.ResponseWriter, _ *http.Request, user *signin.User) error {
		var logged strings.Builder
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "user", user)
		text = fmt.Sprintf("%v %+v %#v %s %q", user, user, user, user.SessionID(), user) + logged.String()
		return nil
	}))
	b.open("/print").wants(t, 200, "")
	if strings.Contains(text, "Orders.Approver") || strings.Contains(text, b.sessionCookie()) || !strings.Contains(text, w.directory.User("bob").ObjectID) {
		t.Errorf("printed %s", text)
	}
}

func sha256Base64(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}
