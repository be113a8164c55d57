package entratest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

func TestAuthorizeDelivers(t *testing.T) {
	f := start(t, nil)
	for _, mode := range []string{"", "query", "form_post", "fragment"} {
		u, err := f.Authorize(t.Context(), f.authorizeURL("response_mode", mode), alice)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if mode == "fragment" {
			if q, err = url.ParseQuery(u.EscapedFragment()); err != nil {
				t.Fatal(err)
			}
		}
		if q.Get("code") == "" || q.Get("state") != "st&te=1" || q.Get("session_state") == "" || !strings.HasPrefix(u.String(), callback) {
			t.Errorf("%s: %s", mode, u)
		}
	}
}

// Who the user is at home goes to the app that asks for it, and to no other.
func TestAuthorizeClientInfo(t *testing.T) {
	f := start(t, nil)
	for asked, want := range map[string]string{
		"":  "",
		"0": "",
		"1": base64.RawURLEncoding.EncodeToString([]byte(`{"uid":"` + directory.User(alice).ObjectID + `","utid":"` + contoso + `"}`)),
	} {
		u, err := f.Authorize(t.Context(), f.authorizeURL("client_info", asked), alice)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Query().Get("client_info"); got != want {
			t.Errorf("client_info=%s: got %q, want %q", asked, got, want)
		}
	}
}

// errors the app must not hear of: the redirect URI may be anybody's.
func TestAuthorizeErrorPage(t *testing.T) {
	tests := []struct {
		name   string
		change []string
		number string
	}{
		{"no client", []string{"client_id", ""}, "AADSTS900144"},
		{"unknown client", []string{"client_id", "11111111-2222-4333-8444-555555555555"}, "AADSTS700016"},
		{"no redirect URI", []string{"redirect_uri", ""}, "AADSTS900971"},
		{"other host", []string{"redirect_uri", "https://evil.example/auth/callback"}, "AADSTS50011"},
		{"other path", []string{"redirect_uri", callback + "/more"}, "AADSTS50011"},
		{"other case", []string{"redirect_uri", "https://app.example.com/Auth/callback"}, "AADSTS50011"},
		{"other port", []string{"redirect_uri", "http://localhost:3001/auth/callback"}, "AADSTS50011"},
		{"more query", []string{"redirect_uri", callback + "?x=1"}, "AADSTS50011"},
		{"fragment", []string{"redirect_uri", callback + "#x"}, "AADSTS50011"},
		{"script", []string{"redirect_uri", "javascript:alert(1)"}, "AADSTS50011"},
		{"markup is escaped", []string{"redirect_uri", "https://x.example/<script>"}, "AADSTS50011"},
		{"public, other path", []string{"client_id", native.ClientID, "redirect_uri", "http://localhost:1/x"}, "AADSTS50011"},
		{"public, https", []string{"client_id", native.ClientID, "redirect_uri", "https://localhost:1"}, "AADSTS50011"},
		{"public, other host", []string{"client_id", native.ClientID, "redirect_uri", "http://localhost.evil.example"}, "AADSTS50011"},
		{"public, user", []string{"client_id", native.ClientID, "redirect_uri", "http://a@localhost:1"}, "AADSTS50011"},
		{"public, fragment", []string{"client_id", native.ClientID, "redirect_uri", "http://localhost:1#"}, "AADSTS50011"},
	}
	f := start(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			u, err := f.Authorize(t.Context(), f.authorizeURL(test.change...), alice)
			if err == nil || !strings.Contains(err.Error(), test.number) {
				t.Errorf("got %v, %v", u, err)
			}
			response, page := f.get(f.authorizeURL(test.change...))
			if response.StatusCode != http.StatusBadRequest || response.Header.Get("Location") != "" || strings.Contains(page, "<script>") {
				t.Errorf("%d %v", response.StatusCode, response.Header)
			}
		})
	}
	for target, number := range map[string]string{
		f.at("nowhere.example").authorizeURL():                                  "AADSTS90002",
		f.authorizeURL() + "&client_id=" + web.ClientID:                         "AADSTS9000411",
		f.authorizeURL() + "&x=%zz":                                             "AADSTS9002313",
		f.authorizeURL("scope", "openid") + "&emulator_user=" + "nobody@x.test": "AADSTS50034",
	} {
		if response, page := f.get(target); response.StatusCode != http.StatusBadRequest || !strings.Contains(page, number) {
			t.Errorf("%s: %d, no %s", target, response.StatusCode, number)
		}
	}
}

func TestAuthorizeTellsTheApp(t *testing.T) {
	tests := []struct {
		name   string
		change []string
		code   string
		number int
	}{
		{"no response type", []string{"response_type", ""}, "invalid_request", 900144},
		{"other response type", []string{"response_type", "code id_token"}, "unsupported_response_type", 700054},
		{"response mode", []string{"response_mode", "web_message"}, "invalid_request", 90023},
		{"no scope", []string{"scope", ""}, "invalid_request", 900144},
		{"unknown resource", []string{"scope", "https://nowhere.example/.default"}, "invalid_resource", 500011},
		{"prompt", []string{"prompt", "later"}, "invalid_request", 90023},
		{"none and more", []string{"prompt", "none login"}, "invalid_request", 90023},
		{"short challenge", []string{"code_challenge", "short"}, "invalid_request", 501491},
		{"method", []string{"code_challenge_method", "S512"}, "invalid_request", 90023},
		{"method without challenge", []string{"code_challenge", ""}, "invalid_request", 9002325},
		{"single-page app without PKCE", []string{
			"client_id", directory.App("spa").ClientID, "redirect_uri", "http://localhost:3000/", "code_challenge", "", "code_challenge_method", "",
		}, "invalid_request", 9002325},
		{"claims", []string{"claims", "[]"}, "invalid_request", 90023},
		{"big claims", []string{"claims", `{"a":"` + strings.Repeat("x", 9000) + `"}`}, "invalid_request", 90023},
	}
	f := start(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			f.ResetRequests()
			u, err := f.Authorize(t.Context(), f.authorizeURL(test.change...), alice)
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			if q.Get("error") != test.code || q.Get("state") != "st&te=1" || q.Get("error_description") == "" || q.Has("code") {
				t.Errorf("%s", u)
			}
			if r := f.Requests()[0]; r.ErrorCode != test.code || r.AADSTS != test.number || r.Endpoint != "authorize" || r.Status != 302 {
				t.Errorf("log: %s %d", r.ErrorCode, r.AADSTS)
			}
		})
	}
}

func TestLoopbackRedirects(t *testing.T) {
	f := start(t, nil)
	for _, redirect := range []string{
		"http://localhost", "http://localhost/", "http://localhost:1", "http://localhost:65535/", "http://127.0.0.1:8080",
	} {
		u, err := f.Authorize(t.Context(), f.authorizeURL("client_id", native.ClientID, "redirect_uri", redirect), alice)
		if err != nil || !strings.HasPrefix(u.String(), redirect) {
			t.Errorf("%s: %v %v", redirect, u, err)
		}
	}
}

func TestPKCE(t *testing.T) {
	f := start(t, nil)
	tests := []struct {
		name, challenge, method, verifier string
		good                              bool
	}{
		{"S256", s256(verifier), "S256", verifier, true},
		{"plain", verifier, "plain", verifier, true},
		{"plain is the default", verifier, "", verifier, true},
		{"none", "", "", "", true},
		{"a verifier nobody asked for", "", "", verifier, false},
		{"the challenge as verifier", s256(verifier), "S256", s256(verifier), false},
		{"no verifier", s256(verifier), "S256", "", false},
		{"plain mismatch", verifier, "plain", verifier + "x", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			code := f.signIn(alice, "code_challenge", test.challenge, "code_challenge_method", test.method)
			form := codeForm(code, "code_verifier", test.verifier)
			if test.good {
				f.mustToken(form)
			} else {
				f.mustRefuse(form, "invalid_grant", 501481)
			}
		})
	}
}

func TestPromptNone(t *testing.T) {
	f := start(t, nil)
	response, _ := f.get(f.authorizeURL("prompt", "none"))
	if u, _ := url.Parse(response.Header.Get("Location")); u.Query().Get("error") != "login_required" {
		t.Errorf("nobody signed in: %s", u)
	}
	f.signIn(alice, "prompt", "none")
	f.WithdrawConsent(alice, "web", "User.Read")
	u, err := f.Authorize(t.Context(), f.authorizeURL("prompt", "none"), alice)
	if err != nil || u.Query().Get("error") != "interaction_required" {
		t.Errorf("no consent: %v %v", u, err)
	}
	f.signIn(bob, "prompt", "none")
	u, err = f.Authorize(t.Context(), f.authorizeURL("prompt", "none", "claims", `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`), bob)
	if err != nil || u.Query().Get("error") != "interaction_required" {
		t.Errorf("more to prove: %v %v", u, err)
	}
	f.signIn(bob, "prompt", "none", "claims", `{"access_token":{"xms_cc":{"values":["cp1"]}}}`)
	u, err = f.at(fabrikam).Authorize(t.Context(), f.at(fabrikam).authorizeURL("prompt", "none"), bob)
	if err != nil || u.Query().Get("error") != "interaction_required" {
		t.Errorf("not a member: %v %v", u, err)
	}
}

func TestWhoMayEnter(t *testing.T) {
	d := entratest.DefaultDirectory()
	d.Users[1].Disabled = true
	f := start(t, &entratest.Options{Directory: d})
	if _, err := f.Authorize(t.Context(), f.authorizeURL(), bob); err == nil || !strings.Contains(err.Error(), "AADSTS50057") {
		t.Errorf("disabled: %v", err)
	}
	if _, err := f.Authorize(t.Context(), f.authorizeURL(), carol); err == nil || !strings.Contains(err.Error(), "AADSTS50020") {
		t.Errorf("stranger: %v", err)
	}
	if err := f.SetDisabled(bob, false); err != nil {
		t.Fatal(err)
	}
	a := f.mustToken(codeForm(f.signIn(bob), "claims", cp1))
	if err := f.SetDisabled("bob", true); err != nil {
		t.Fatal(err)
	}
	f.mustRefuse(refreshForm(a.RefreshToken), "invalid_grant", 50057)
	if _, err := f.VerifyAccessToken(a.AccessToken); err == nil {
		t.Error("a disabled user's CAE token passes")
	}
	if err := f.SetDisabled("nobody", true); err == nil {
		t.Error("nobody was disabled")
	}
}

// post sends a form.
func (f *fixture) post(target string, form url.Values) (*http.Response, string) {
	f.t.Helper()
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, body := f.send(r)
	return response, string(body)
}

func TestSignInPage(t *testing.T) {
	f := start(t, nil)
	response, page := f.get(f.authorizeURL("login_hint", `"><b>x`))
	if response.StatusCode != 200 || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	for _, want := range []string{
		`lang="en"`, `<label for="i0116">`, `<title>Sign in · web · Entra emulator</title>`, "<main>", alice, bob, "not Microsoft Entra ID",
		"App <strong>web</strong> · tenant <strong>contoso.example</strong>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(page, carol) || strings.Contains(page, "<b>x") {
		t.Error("a stranger, or markup, is on the page")
	}
	if response, _ := f.send(must(http.NewRequest(http.MethodDelete, f.authorizeURL(), nil))); response.StatusCode != 405 {
		t.Errorf("DELETE: %d", response.StatusCode)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestBrowserSession(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open().submit("emulator_user", alice).want("code")
	w.open().want("code")
	w.open("prompt", "none").want("code")
	w.open("login_hint", alice).want("code")
	w.open("prompt", "login").want("Pick an account").session(alice).want("Enter password")
	w.open("prompt", "login select_account").want("Pick an account").session(alice).want("Enter password")
	w.open("prompt", "consent select_account").want("Pick an account").session(alice).want("Permissions requested")
	for _, pairs := range [][]string{
		{"prompt", "login"}, {"prompt", "select_account"}, {"login_hint", bob}, {"claims", `{"access_token":{"acrs":{"value":"c1"}}}`},
	} {
		if w.open(pairs...); w.target != nil {
			t.Errorf("%v: no page, but %s", pairs, w.target)
		}
	}
	first := claimsOf(t, f.mustToken(codeForm(w.open().code())).IDToken)
	second := claimsOf(t, f.mustToken(codeForm(w.open().code())).IDToken)
	if first["sid"] != second["sid"] {
		t.Error("one session, two sid")
	}
	if err := f.RevokeSessions(alice); err != nil {
		t.Fatal(err)
	}
	w.open("prompt", "none").want("login_required 50058")
}

func TestLogout(t *testing.T) {
	f := start(t, nil)
	base := f.URL() + "/" + contoso + "/oauth2/v2.0/logout"
	tests := []struct {
		name, query string
		status      int
		location    string
	}{
		{"plain", "", 200, ""},
		{"registered", "?post_logout_redirect_uri=" + url.QueryEscape("https://app.example.com/"), 302, "https://app.example.com/"},
		{"with state", "?state=s&post_logout_redirect_uri=" + url.QueryEscape("https://app.example.com/"), 302, "https://app.example.com/?state=s"},
		{"anywhere", "?post_logout_redirect_uri=" + url.QueryEscape("https://evil.example/"), 200, ""},
		{"unreadable", "?a=%zz", 400, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			response, _ := f.get(base + test.query)
			if response.StatusCode != test.status || response.Header.Get("Location") != test.location {
				t.Errorf("%d %v", response.StatusCode, response.Header)
			}
			if test.status < 400 && (len(response.Cookies()) != 1 || response.Cookies()[0].MaxAge >= 0) {
				t.Errorf("cookies %v", response.Cookies())
			}
		})
	}
	response, _ := f.post(base, url.Values{"post_logout_redirect_uri": {"https://app.example.com/"}})
	if response.Header.Get("Location") != "https://app.example.com/" {
		t.Errorf("POST: %d %v", response.StatusCode, response.Header)
	}
	if response, _ := f.get(f.URL() + "/nowhere/oauth2/v2.0/logout"); response.StatusCode != 400 {
		t.Errorf("no tenant: %d", response.StatusCode)
	}
	if response, _ := f.send(must(http.NewRequest(http.MethodPut, base, nil))); response.StatusCode != 405 {
		t.Errorf("PUT: %d", response.StatusCode)
	}
}
