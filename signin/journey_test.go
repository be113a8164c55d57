package signin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/signin"
)

func TestSignInKeepsTheDeepLink(t *testing.T) {
	s := newWorld(t).newSite(nil)
	b := s.browser(alice)
	s.page("/deep/link", "here")
	b.open("/deep/link?q=a%20b&x=%2F%2F").wants(t, 200, "here")
	first := b.get("/public")
	first.wants(t, 200, "hello "+alice)
	if got := first.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

func TestReturnGoesToTheVeryURL(t *testing.T) {
	s := newWorld(t).newSite(nil)
	b := s.browser(alice)
	callback := b.callbackOf("/me?q=a%20b&x=%2F%2F")
	a := b.get(callback)
	if a.StatusCode != http.StatusSeeOther || a.location() != "/me?q=a%20b&x=%2F%2F" {
		t.Errorf("%d to %q", a.StatusCode, a.location())
	}
	if a.Header.Get("Referrer-Policy") != "no-referrer" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", a.Header)
	}
	if flows := b.flowCookies(); len(flows) != 0 {
		t.Errorf("flow cookies %q after the callback", flows)
	}
}

func TestUserSaysWhoItIs(t *testing.T) {
	s := newWorld(t).newSite(nil)
	var got *signin.User
	s.mux.Handle("/who", s.h.Func(func(w http.ResponseWriter, r *http.Request, user *signin.User) error {
		got = user
		return nil
	}))
	s.browser(bob).open("/who").wants(t, 200, "")
	want := s.directory.User("bob")
	if got.Account.ID != want.HomeAccountID() || got.Account.ObjectID != want.ObjectID || got.Account.TenantID != want.TenantID {
		t.Errorf("account %v", got.Account)
	}
	if !got.HasRole("Orders.Approver") || got.HasRole("Orders.Admin") || len(got.Roles()) != 1 || !got.HasGroup(want.Groups...) || got.GroupsOverage() {
		t.Errorf("roles %q, groups %q", got.Roles(), got.Groups())
	}
	var claims struct{ Name string }
	if err := got.Claims(&claims); err != nil || claims.Name != "Bob Berger" {
		t.Errorf("claims %+v, %v", claims, err)
	}
	// A second request reads the user from the store, claims and all.
	again := s.world.newSite(nil)
	b := s.browser(bob).signIn().at(again)
	again.mux.Handle("/who", again.h.Func(func(w http.ResponseWriter, r *http.Request, user *signin.User) error {
		got = user
		return nil
	}))
	b.get("/who").wants(t, 200, "")
	if err := got.Claims(&claims); err != nil || !got.HasRole("Orders.Approver") {
		t.Errorf("read again: %v, %v", got.Account, err)
	}
}

func TestCookies(t *testing.T) {
	for _, test := range []struct {
		redirectURI, prefix string
		secure              bool
	}{
		{"https://app.example.com/auth/callback", "__Host-authcode-", true},
		{"http://localhost:3000/auth/callback", "authcode-", false},
	} {
		w := newWorld(t)
		s := w.siteOf(w.newApp(test.redirectURI, nil), nil)
		b := s.browser(alice)
		base := strings.TrimSuffix(test.redirectURI, "/auth/callback")
		begun := b.get(base + "/me")
		atServer := b.get(begun.location())
		ended := b.get(atServer.location())
		cookies := append(begun.Cookies(), ended.Cookies()...)
		if len(begun.Cookies()) != 1 || len(ended.Cookies()) != 3 { // the flow's, deleted; the session's; the loop counter
			t.Fatalf("%d and %d cookies\n%s", len(begun.Cookies()), len(ended.Cookies()), w.log)
		}
		for _, c := range cookies {
			if !strings.HasPrefix(c.Name, test.prefix) || c.Secure != test.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("cookie %s", c.Raw)
			}
			if strings.Contains(c.Name, "-flow-") || strings.Contains(c.Name, "-loop") || c.MaxAge < 0 {
				continue
			}
			if len(c.Value) != 43 || c.MaxAge != 0 || !c.Expires.IsZero() {
				t.Errorf("session cookie %s", c.Raw)
			}
		}
	}
}

func TestEachSignInHasItsOwnSession(t *testing.T) {
	s := newWorld(t).newSite(nil)
	b := s.browser(alice).signIn()
	first := b.sessionCookie()
	b.open("/auth/login?return=/me").wants(t, 200, alice)
	second := b.sessionCookie()
	if first == second || first == "" {
		t.Fatalf("sessions %q and %q", first, second)
	}
	// The old one is gone, at another replica too.
	other := s.world.newSite(nil)
	for _, replica := range []*site{s, other} {
		old := replica.browser("")
		old.setSession(b, first)
		old.get("/public").wants(t, 200, "hello stranger")
	}
	if all, err := s.h.Sessions(t.Context(), s.directory.User("alice").HomeAccountID()); err != nil || len(all) != 1 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
}

// setSession gives this browser a session cookie of like's name.
func (b *browser) setSession(like *browser, value string) {
	b.t.Helper()
	for name := range like.cookies() {
		if !strings.Contains(name, "-flow-") && !strings.Contains(name, "-loop") {
			u := mustURL(b.t, origin)
			b.jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
		}
	}
}
