package entratest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

// A page's answer is good in this browser, for this request, at this step, once.
func TestPageStateIsBound(t *testing.T) {
	const failed = "Sign-in failed 165000"
	tests := []struct {
		name  string
		want  string
		abuse func(f *fixture, victim *walker, form url.Values)
	}{
		{"as meant", "code", func(_ *fixture, w *walker, form url.Values) { w.post(form) }},
		{"the page's own origin", "code", func(_ *fixture, w *walker, form url.Values) { w.post(form, "Sec-Fetch-Site", "same-origin") }},
		{"no state", failed, func(_ *fixture, w *walker, form url.Values) { w.post(with(form, "flowToken", "")) }},
		{"a changed state", failed, func(_ *fixture, w *walker, form url.Values) {
			w.post(with(form, "flowToken", form.Get("flowToken")[:40]+"x"+form.Get("flowToken")[41:]))
		}},
		{"a code for a state", failed, func(f *fixture, w *walker, form url.Values) {
			w.post(with(form, "flowToken", f.signIn(alice)))
		}},
		{"another emulator's state", failed, func(f *fixture, w *walker, form url.Values) {
			w.post(with(form, "flowToken", start(f.t, nil).walker().open().form("emulator_user", alice).Get("flowToken")))
		}},
		{"from another site", failed, func(_ *fixture, w *walker, form url.Values) { w.post(form, "Sec-Fetch-Site", "cross-site") }},
		{"from a neighbour", failed, func(_ *fixture, w *walker, form url.Values) { w.post(form, "Sec-Fetch-Site", "same-site") }},
		{"a browser without cookies", failed, func(f *fixture, w *walker, form url.Values) { *w = *elsewhere(f, w).post(form) }},
		{"another browser", failed, func(f *fixture, w *walker, form url.Values) {
			other := f.walker().open()
			other.address = w.address
			*w = *other.post(form)
		}},
		{"another request", failed, func(f *fixture, w *walker, form url.Values) {
			w.address = f.authorizeURL("scope", "openid Mail.Read")
			w.post(form)
		}},
		{"another tenant", failed, func(f *fixture, w *walker, form url.Values) {
			w.address = f.at(fabrikam).authorizeURL()
			w.post(form)
		}},
		{"another redirect", failed, func(f *fixture, w *walker, form url.Values) {
			w.address = f.authorizeURL("redirect_uri", "http://localhost:3000/auth/callback")
			w.post(form)
		}},
		{"twice", failed, func(_ *fixture, w *walker, form url.Values) { w.post(form).want("code").post(form) }},
		{"too late", "Sign-in failed 50089", func(f *fixture, w *walker, form url.Values) {
			f.Advance(time.Hour)
			w.post(form)
		}},
		{"just in time", "code", func(f *fixture, w *walker, form url.Values) {
			f.Advance(time.Hour - 2*time.Second)
			w.post(form)
		}},
		{"a field twice", "Sign-in failed 9000411", func(_ *fixture, w *walker, form url.Values) {
			form["flowToken"] = append(form["flowToken"], form["flowToken"]...)
			w.post(form)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, nil)
			w := f.walker().open()
			test.abuse(f, w, w.form("emulator_user", alice))
			w.t = t
			w.want(test.want)
			if strings.HasPrefix(test.want, "Sign-in") && w.status != http.StatusBadRequest {
				t.Errorf("status %d", w.status)
			}
		})
	}
}

// elsewhere is a new browser with the same page open.
func elsewhere(f *fixture, w *walker) *walker {
	other := f.walker()
	other.address, other.page = w.address, w.page
	return other
}

// No answer skips a step: what a page did not ask is not heard.
func TestNoStepIsSkipped(t *testing.T) {
	f := start(t, nil)
	tests := []struct {
		name string
		at   func() *walker
		send []string
		want string
	}{
		{"password for an account", func() *walker { return f.walker().open() }, []string{"passwd", "password"}, "Sign in 50034"},
		{"an account for a password", func() *walker { return f.walker().open("login_hint", alice) },
			[]string{"emulator_user", bob}, "Enter password 50126"},
		{"consent for a password", func() *walker { return f.walker().open(consentApp("login_hint", alice)...) },
			[]string{"consentForOrganization", "1"}, "Enter password 50126"},
		{"password for a second factor", func() *walker { return f.walker().open().submit("emulator_user", mfa) },
			[]string{"passwd", "password"}, "Enter the code 500121"},
		{"second factor for a new password", func() *walker { return f.walker().open().submit("emulator_user", expired) },
			[]string{"otc", "123456"}, "Set a new password 50126"},
		{"consent for approval", func() *walker {
			return f.walker().open(consentApp("scope", approver)...).submit("emulator_user", alice)
		}, []string{"consentForOrganization", "1"}, "Need admin approval 90094"},
		{"anything for a refusal", func() *walker { return f.walker().open().submit("emulator_user", blocked) },
			[]string{"passwd", "password", "otc", "123456"}, "Enter password"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := test.at().in(t)
			w.post(with(url.Values{"flowToken": {w.form().Get("flowToken")}}, test.send...)).want(test.want)
		})
	}
}

// The state of a refused user carries nothing over to somebody else, and an account is blocked wherever the block comes.
func TestBlockedMeanwhile(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open(consentApp()...).submit("emulator_user", alice).want("Permissions requested")
	if err := f.SetDisabled(alice, true); err != nil {
		t.Fatal(err)
	}
	w.submit().want("You can’t get in 50057")
}

// A user who leaves the directory while a page is open is asked for again.
func TestUserVanishes(t *testing.T) {
	f := start(t, nil)
	signed := f.walker().open().submit("emulator_user", alice).want("code").open("prompt", "select_account").want("Pick an account")
	w := f.walker().open("login_hint", alice).want("Enter password")
	d := entratest.DefaultDirectory()
	d.Users = d.Users[1:]
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	w.submit("passwd", "password").want("Sign in").submit("emulator_user", alice).want("Sign in 50034").submit("emulator_user", bob).want("code")
	signed.session(alice).want("Sign in")
}

func TestPageHeaders(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open()
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; style-src 'sha256-", "Referrer-Policy": "no-referrer",
	} {
		if got := w.header.Get(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if policy := w.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("policy %q", policy)
	}
	for _, outside := range []string{"src=", "url(", "@import", "<link", "<script", "style=\"", "onclick"} {
		if strings.Contains(w.page, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
	cookie, err := http.ParseSetCookie(w.header.Get("Set-Cookie"))
	if err != nil || !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("the browser's cookie: %v %v", cookie, err)
	}
	w.submit("emulator_user", alice)
	cookie, err = http.ParseSetCookie(w.header.Get("Set-Cookie"))
	if err != nil || !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteNoneMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("the session's cookie: %v %v", cookie, err)
	}
	if w.open("prompt", "select_account"); w.header.Get("Set-Cookie") != "" {
		t.Error("a browser that has its cookie gets another")
	}
	if w = f.walker().open("response_mode", "form_post", "emulator_user", alice); w.header.Get("X-Frame-Options") != "" {
		t.Error("form_post cannot be framed, as a silent sign-in must be")
	}
}

// An emulator without TLS sets cookies that browsers keep without TLS.
func TestCookiesWithoutTLS(t *testing.T) {
	f := start(t, &entratest.Options{Origin: "http://login.example"})
	w := f.walker().open()
	for range 2 {
		cookie, err := http.ParseSetCookie(w.header.Get("Set-Cookie"))
		if err != nil || !cookie.HttpOnly || cookie.Secure || cookie.SameSite != http.SameSiteLaxMode {
			t.Errorf("%v %v", cookie, err)
		}
		if w.target == nil {
			w.submit("emulator_user", alice)
		}
	}
}

// Names of any kind are text on every page.
func TestPagesEscape(t *testing.T) {
	const markup = `"><script>alert(1)</script>{{.}}<b a='`
	marked := "bob" + strings.ReplaceAll(markup, " ", "") // a username has no spaces
	f := start(t, directoryWith(func(d *entratest.Directory) {
		d.Apps[3].Name = markup
		for i := range d.Users {
			d.Users[i].Name = markup
		}
		d.Users[1].Username = marked
	}))
	check := func(w *walker) *walker {
		t.Helper()
		if strings.Contains(w.page, "<script>") || strings.Contains(w.page, "<b ") {
			t.Errorf("markup on the page:\n%s", w.page)
		}
		return w
	}
	w := check(f.walker().open(consentApp("login_hint", markup)...))
	check(w.submit("loginfmt", markup)).want("Sign in 50034")
	check(w.submit("emulator_user", alice)).want("Permissions requested")
	check(f.walker().open(consentApp("scope", approver)...).submit("emulator_user", marked))
	check(f.walker().open(consentApp("scope", "x<script>")...).submit("emulator_user", alice))
	check(f.walker().open(consentApp("emulator_user", markup)...))
	check(f.walker().open(consentApp("scope", approver)...).submit("emulator_user", alice)).want("Need admin approval 90094")
	check(f.walker().open(consentApp()...).submit("emulator_user", blocked)).want("You can’t get in 53003")
}
