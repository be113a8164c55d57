package entratest_test

import (
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

// listening is a directory whose apps web and consent want to hear of a sign-out.
func listening() *entratest.Directory {
	d := entratest.DefaultDirectory()
	for i := range d.Apps {
		switch d.Apps[i].Name {
		case "web":
			d.Apps[i].FrontChannelLogoutURL = "https://app.example.com/auth/frontchannel-logout?a=1"
		case "consent":
			d.Apps[i].FrontChannelLogoutURL = "https://other.example.com:8443/sign;out"
			d.Apps[i].AsksConsent = false
		}
	}
	return d
}

// browserClient is a fixture whose client keeps cookies, as a browser does.
type browserClient struct {
	*fixture
	cookies map[string]string
}

// visit opens a page, and with a form answers it: with what the page hides in its own.
func (b *browserClient) visit(method, target string, form url.Values) (*http.Response, string) {
	b.t.Helper()
	if method == http.MethodPost && form.Has("emulator_user") {
		_, page := b.visit(http.MethodGet, target, nil)
		if hidden := walkedHidden.FindStringSubmatch(page); hidden != nil {
			form = with(form, html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
		}
	}
	r := must(http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	response, body := b.send(r)
	for _, c := range response.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return response, string(body)
}

func (b *browserClient) hasSession() bool { return b.cookies["ESTSAUTH"] != "" }

// redeem gets the claims of the ID token for a redirect's code.
func (b *browserClient) redeem(response *http.Response, pairs ...string) map[string]any {
	b.t.Helper()
	code := must(url.Parse(response.Header.Get("Location"))).Query().Get("code")
	return claimsOf(b.t, b.mustToken(codeForm(code, pairs...)).IDToken)
}

var framePattern = regexp.MustCompile(`<iframe[^>]* src="([^"]*)"`)

func frames(body string) (sources []string) {
	for _, frame := range framePattern.FindAllStringSubmatch(body, -1) {
		sources = append(sources, html.UnescapeString(frame[1]))
	}
	slices.Sort(sources)
	return sources
}

// A sign-out tells each app of the session, with the iss and sid of its ID tokens, and then goes on.
func TestFrontChannelLogout(t *testing.T) {
	f := start(t, &entratest.Options{Directory: listening()})
	b := &browserClient{f, map[string]string{}}
	consent := directory.App("consent")
	native := []string{"client_id", native.ClientID, "redirect_uri", "http://localhost:1"}

	response, _ := b.visit("POST", b.authorizeURL(), url.Values{"emulator_user": {alice}})
	first := b.redeem(response)
	response, _ = b.visit("GET", b.authorizeURL("client_id", consent.ClientID, "prompt", "none"), nil)
	second := b.redeem(response, "client_id", consent.ClientID, "client_secret", consent.Secrets[0])
	response, _ = b.visit("GET", b.authorizeURL(native...), nil)
	b.redeem(response, append(native, "client_secret", "")...)
	if first["sid"] == nil || first["sid"] != second["sid"] {
		t.Errorf("sid %v and %v in one session", first["sid"], second["sid"])
	}
	// The user signs in again: to the apps it is the same session.
	response, _ = b.visit("POST", b.authorizeURL("prompt", "login"), url.Values{"emulator_user": {alice}})
	if again := b.redeem(response); again["sid"] != first["sid"] {
		t.Errorf("sid %v after %v", again["sid"], first["sid"])
	}
	// And as a guest elsewhere, where tokens have another issuer.
	response, _ = b.at(fabrikam).visitor(b.cookies).visit("GET", b.at(fabrikam).authorizeURL(), nil)
	for _, c := range response.Cookies() {
		b.cookies[c.Name] = c.Value
	}

	target := "https://app.example.com/"
	response, body := b.visit("GET", b.URL()+"/common/oauth2/v2.0/logout?state=s%26t&id_token_hint=x&post_logout_redirect_uri="+url.QueryEscape(target), nil)
	sid := url.Values{"iss": {first["iss"].(string)}, "sid": {first["sid"].(string)}}.Encode()
	guest := url.Values{"iss": {f.URL() + "/" + fabrikam + "/v2.0"}, "sid": {first["sid"].(string)}}.Encode()
	want := []string{
		"https://app.example.com/auth/frontchannel-logout?a=1&" + sid,
		"https://app.example.com/auth/frontchannel-logout?a=1&" + guest,
		"https://other.example.com:8443/sign;out?" + sid,
	}
	slices.Sort(want)
	if got := frames(body); !slices.Equal(got, want) {
		t.Errorf("frames\n%q, want\n%q", got, want)
	}
	if refresh := response.Header.Get("Refresh"); response.StatusCode != 200 || refresh != "1; url="+target+"?state=s%26t" {
		t.Errorf("%d, refresh %q", response.StatusCode, refresh)
	}
	if !strings.Contains(body, `href="`+target+`?state=s%26t">`) {
		t.Errorf("no link in %s", body)
	}
	policy := response.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'") ||
		!strings.HasSuffix(policy, "; frame-src https://app.example.com/auth/frontchannel-logout https://other.example.com:8443/sign%3Bout") {
		t.Errorf("policy %s", policy)
	}
	if b.hasSession() {
		t.Errorf("cookies %v", b.cookies)
	}
	if response, body := b.visit("GET", b.URL()+"/common/oauth2/v2.0/logout", nil); response.StatusCode != 200 || len(frames(body)) != 0 {
		t.Errorf("signed out already: %d %v", response.StatusCode, frames(body))
	}
}

// visitor is a browser with these cookies.
func (f *fixture) visitor(cookies map[string]string) *browserClient {
	return &browserClient{f, cookies}
}

// Apps that only asked are not told, nor is a session of a device in another place.
func TestFrontChannelTellsNobodyElse(t *testing.T) {
	f := start(t, &entratest.Options{Directory: listening()})
	b := f.visitor(map[string]string{})
	d := f.deviceCode(deviceRequest("client_id", web.ClientID))
	b.visit("POST", d.VerificationURI+"?otc="+d.UserCode, url.Values{"emulator_user": {alice}})
	consent := directory.App("consent")
	b.visit("GET", b.authorizeURL("client_id", consent.ClientID, "prompt", "none", "claims", step), nil)
	if !b.hasSession() {
		t.Fatalf("cookies %v", b.cookies)
	}
	response, body := b.visit("GET", b.URL()+"/common/oauth2/v2.0/logout", nil)
	if got := frames(body); len(got) != 0 || strings.Contains(response.Header.Get("Content-Security-Policy"), "frame-src") {
		t.Errorf("frames %v", got)
	}
}

// The cookie does not grow with the apps.
func TestFrontChannelBound(t *testing.T) {
	d := listening()
	for i := range 40 {
		app := d.Apps[0]
		app.ClientID = fmt.Sprintf("00000000-0000-0000-0000-%012d", i)
		app.Name = app.ClientID
		app.FrontChannelLogoutURL = "https://app.example.com/" + app.ClientID
		d.Apps = append(d.Apps, app)
	}
	f := start(t, &entratest.Options{Directory: d})
	b := f.visitor(map[string]string{})
	b.visit("POST", b.authorizeURL(), url.Values{"emulator_user": {alice}})
	for _, app := range d.Apps[len(d.Apps)-40:] {
		b.visit("GET", b.authorizeURL("client_id", app.ClientID), nil)
	}
	for name, value := range b.cookies {
		if size := len(name) + len(value); size > 3000 {
			t.Errorf("cookie %s has %d bytes", name, size)
		}
	}
	_, body := b.visit("GET", b.URL()+"/common/oauth2/v2.0/logout", nil)
	got := frames(body)
	last := d.Apps[len(d.Apps)-1].FrontChannelLogoutURL
	if len(got) != 16 || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, last) }) {
		t.Errorf("%d frames", len(got))
	}
}

func TestLogoutHint(t *testing.T) {
	f := start(t, &entratest.Options{Directory: listening()})
	hint := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	// With one session there is nothing to ask: whatever the hint is, the user is signed out.
	for _, value := range []string{
		"", alice, "x", "!", hint(directory.User("alice").ObjectID + " " + alice), hint(directory.User("bob").ObjectID + " " + bob), hint("a b"), hint("alone"),
	} {
		b := f.visitor(map[string]string{})
		b.visit("POST", b.authorizeURL(), url.Values{"emulator_user": {alice}})
		_, body := b.visit("POST", b.URL()+"/common/oauth2/v2.0/logout", url.Values{"logout_hint": {value}})
		if b.hasSession() || len(frames(body)) != 1 {
			t.Errorf("hint %q: cookies %v, %d frames", value, b.cookies, len(frames(body)))
		}
	}
}

// A redirect after sign-out goes to registered URIs only, session or not.
func TestPostLogoutRedirect(t *testing.T) {
	f := start(t, &entratest.Options{Directory: listening()})
	for _, target := range []string{
		"https://evil.example/", "https://app.example.com.evil.example/", "https://app.example.com/x", "//evil.example", "javascript:alert(1)", "%zz",
	} {
		b := f.visitor(map[string]string{})
		b.visit("POST", b.authorizeURL(), url.Values{"emulator_user": {alice}})
		response, body := b.visit("GET", b.URL()+"/common/oauth2/v2.0/logout?"+url.Values{"post_logout_redirect_uri": {target}}.Encode(), nil)
		if response.StatusCode != 200 || response.Header.Get("Location")+response.Header.Get("Refresh") != "" || strings.Contains(body, "<a ") {
			t.Errorf("%s: %d %v", target, response.StatusCode, response.Header)
		}
		if b.hasSession() {
			t.Errorf("%s: still signed in", target)
		}
	}
}

// With several, the login_hint claim of an ID token says who signs out, and the others stay.
func TestLogoutOfOneOfSeveral(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open().submit("emulator_user", alice).want("code")
	hint := claimsOf(t, f.mustToken(codeForm(w.code())).IDToken)["login_hint"].(string)
	w.open("prompt", "select_account").submit("another", "1").submit("loginfmt", bob).submit("passwd", "password").want("code")
	end := f.URL() + "/common/oauth2/v2.0/logout"

	w.visit(end).want("Pick an account")
	w.open("prompt", "none").want("interaction_required 16000") // nobody has signed out yet
	w.open("prompt", "none", "login_hint", hint).want("code")   // a claim is a hint at sign-in too
	w.visit(end + "?logout_hint=" + hint)
	w.open("prompt", "none", "login_hint", alice).want("login_required 50058")
	w.open("prompt", "none").want("code")
	w.visit(end)
	w.open("prompt", "none").want("login_required 50058")
}
