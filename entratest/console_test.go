package entratest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

var consoleToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// console is the page's text, as a browser reads it.
func (f *fixture) console() string {
	f.t.Helper()
	response, body := f.get(f.URL() + "/emulator")
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("the console answers %s", response.Status)
	}
	return html.UnescapeString(body)
}

// press posts a form of the console and follows to the page it leads to.
func (f *fixture) press(action string, pairs ...string) (status int, page string) {
	f.t.Helper()
	token := consoleToken.FindStringSubmatch(f.console())
	if token == nil {
		f.t.Fatal("the console has no token")
	}
	response, body := f.postConsole(with(url.Values{"token": {token[1]}, "action": {action}}, pairs...))
	if response.StatusCode == http.StatusSeeOther {
		_, body = f.get(f.URL() + response.Header.Get("Location"))
	}
	return response.StatusCode, html.UnescapeString(body)
}

func (f *fixture) postConsole(form url.Values, header ...string) (*http.Response, string) {
	f.t.Helper()
	r := must(http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.URL()+"/emulator", strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, body := f.send(r)
	return response, string(body)
}

// mustPress is press of an action that is done.
func (f *fixture) mustPress(action string, pairs ...string) string {
	f.t.Helper()
	status, page := f.press(action, pairs...)
	if status != http.StatusSeeOther || !strings.Contains(page, `role="status">`) {
		f.t.Fatalf("%s answers %d", action, status)
	}
	return page
}

var (
	consoleRow  = regexp.MustCompile(`(?s)<summary class="row">(.*?)</summary>`)
	consoleTags = regexp.MustCompile(`<[^>]*>`)
)

// rows are the log's lines as text, newest first.
func rows(page string) []string {
	var all []string
	for _, row := range consoleRow.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.Join(strings.Fields(consoleTags.ReplaceAllString(row[1], " ")), " "))
	}
	return all
}

func TestConsoleShowsRequests(t *testing.T) {
	f := start(t, nil)
	if page := f.console(); !strings.Contains(page, "No requests yet.") {
		t.Error("the log does not begin empty")
	}
	code := f.signIn(alice)
	f.mustToken(codeForm(code))
	f.mustRefuse(codeForm(code), "invalid_grant", 54005)
	f.Inject(entratest.Fault{Status: 503, RetryAfter: "1", Times: 1})
	f.send(f.tokenRequest(codeForm(code)))
	f.get(f.URL() + "/favicon.ico")

	page := f.console()
	got := rows(page)
	for i, want := range []string{
		`/favicon\.ico 404 not_found There is nothing here\..*`,
		`token web authorization_code 503 Service Unavailable fault: status 503, retry after 1`,
		`token web alice@contoso\.example authorization_code 400 invalid_grant AADSTS54005 AADSTS54005: OAuth2 Authorization code was already redeemed, .*`,
		`token web alice@contoso\.example authorization_code 200 tokens`,
		`authorize web alice@contoso\.example 302 back to the app`,
	} {
		if len(got) != 5 || !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} `+want+`$`).MatchString(got[i]) {
			t.Errorf("row %d of %q, want %s", i, got, want)
		}
	}
	for _, want := range []string{
		`<section id="log"`, `<section id="faults"`, `<section id="directory"`, f.URL(), web.ClientID, callback, storageApp(),
		"carol@fabrikam.example", "2 secrets", "tenant contoso.example", `<th scope="row">code_challenge_method</th><td><code>S256</code>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the console has no %s", want)
		}
	}
}

func storageApp() string { return directory.Resource("https://storage.azure.com").AppID }

func TestRequestsSayWhoAndWhy(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open()
	w.submit("emulator_user", alice)
	token := f.mustToken(codeForm(w.target.Query().Get("code")))
	f.RevokeSessions(alice)
	f.mustRefuse(refreshForm(token.RefreshToken), "invalid_grant", 50173)
	f.token(refreshForm("nonsense"))

	want := []struct{ username, why string }{
		{"", ""}, {alice, ""}, {alice, ""}, {alice, "AADSTS50173: The provided grant has expired due to it being revoked"}, {"", "AADSTS9002313: "},
	}
	got := f.Requests()
	if len(got) != len(want) {
		t.Fatalf("%d requests, want %d", len(got), len(want))
	}
	for i, r := range got {
		if r.Username != want[i].username || !strings.HasPrefix(r.Description, want[i].why) || (r.Description == "") != (want[i].why == "") {
			t.Errorf("request %d: %q %q, want %q %q", i, r.Username, r.Description, want[i].username, want[i].why)
		}
	}
}

// Nothing that gives access, of all that a browser and a client sent and were sent, is on the console.
func TestConsoleHidesSecrets(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open("state", "a-state-that-an-app-keeps-secret")
	w.submit("loginfmt", "mfa@contoso.example")
	w.submit("passwd", "password")
	w.submit("otc", "314159")
	code := w.target.Query().Get("code")
	if code == "" {
		t.Fatalf("no code: %s", w.page)
	}
	// A code sent as the redirect URI comes back in the text of the error.
	f.token(codeForm(code, "redirect_uri", callback+"?"+code))
	token := f.mustToken(codeForm(code))
	r := f.tokenRequest(with(refreshForm(token.RefreshToken), "client_id", "", "client_secret", ""))
	r.SetBasicAuth(url.QueryEscape(web.ClientID), url.QueryEscape(web.Secrets[1]))
	r.Header.Set("Cookie", "mine=a-cookie-of-somebody-else")
	r.Header.Set("Referer", "https://app.example.com/?code=a-code-of-a-referer")
	f.sendToken(r)
	f.Inject(entratest.Fault{Error: "invalid_grant", EchoSecrets: true, Times: 1})
	f.token(with(refreshForm(token.RefreshToken), "client_assertion", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl", "code_verifier", verifier, "x_of_no_name", "what-nobody-knows"))
	f.token(refreshForm("x", "scope", token.AccessToken))
	f.token(refreshForm("x", "grant_type", token.RefreshToken))

	secrets := []string{
		code, verifier, token.AccessToken, token.RefreshToken, token.IDToken, "password", "314159", "a-state-that", "a-cookie-of",
		"a-code-of-a-referer", "what-nobody-knows", "eyJhbGciOiJub25lIn0",
	}
	secrets = append(secrets, web.Secrets...)
	for _, r := range f.Requests() {
		secrets = append(secrets, r.Form.Get("flowToken"))
		for _, name := range []string{"Authorization", "Cookie"} {
			if value := r.Header.Get(name); value != "" {
				secrets = append(secrets, strings.TrimPrefix(value, "Basic "))
			}
		}
	}
	if len(secrets) < 18 {
		t.Fatalf("only %d secrets were sent", len(secrets))
	}
	page := f.console()
	log := page[strings.Index(page, `<div id="entries"`):strings.Index(page, `<section id="faults"`)]
	for _, secret := range secrets {
		for _, written := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			// The word password is in names and texts; as a value it would stand alone.
			if found := strings.Contains(log, written); secret != "" && found && (secret != "password" || strings.Contains(log, ">password<")) {
				t.Errorf("the console shows %q", secret)
			}
		}
	}
	if !regexp.MustCompile(`<th scope="row">code_verifier</th><td><span class="masked">hidden #[0-9a-f]{6}, 43 characters</span>`).MatchString(log) {
		t.Error("the console does not say what it hides")
	}
	if marks := regexp.MustCompile(`<th scope="row">code</th><td><span class="masked">(hidden #[0-9a-f]{6}), `).FindAllStringSubmatch(log, -1); len(marks) != 2 || marks[0][1] != marks[1][1] {
		t.Errorf("the same code twice is marked %q", marks)
	}
}

func TestConsoleRefusesForeignForms(t *testing.T) {
	f := start(t, nil)
	f.mustToken(codeForm(f.signIn(alice)))
	token := consoleToken.FindStringSubmatch(f.console())[1]
	clearing := url.Values{"action": {"clear-log"}, "token": {token}}
	other := start(t, nil)
	for name, test := range map[string]struct {
		form   url.Values
		header []string
	}{
		"no token":                        {with(clearing, "token", ""), nil},
		"the token of another emulator":   {with(clearing, "token", consoleToken.FindStringSubmatch(other.console())[1]), nil},
		"another site":                    {clearing, []string{"Sec-Fetch-Site", "cross-site"}},
		"a subdomain":                     {clearing, []string{"Sec-Fetch-Site", "same-site"}},
		"another site, of an old browser": {clearing, []string{"Origin", "https://evil.example"}},
	} {
		response, _ := f.postConsole(test.form, test.header...)
		if response.StatusCode != http.StatusForbidden || len(f.Requests()) != 2 {
			t.Errorf("%s: %s, and %d requests are left", name, response.Status, len(f.Requests()))
		}
	}
	if response, _ := f.postConsole(clearing, "Sec-Fetch-Site", "same-origin", "Origin", f.URL()); response.StatusCode != http.StatusSeeOther || len(f.Requests()) != 0 {
		t.Errorf("the console's own form: %s, and %d requests are left", response.Status, len(f.Requests()))
	}
}

func TestConsoleAccess(t *testing.T) {
	for name, test := range map[string]struct {
		access     entratest.ConsoleAccess
		from, host string
		status     int
	}{
		"local":                      {entratest.ConsoleLocal, "127.0.0.1:9", "login.example", 200},
		"local, by IPv6":             {entratest.ConsoleLocal, "[::1]:9", "localhost:1", 200},
		"local, by address":          {entratest.ConsoleLocal, "127.0.0.1:9", "127.0.0.1:1", 200},
		"from elsewhere":             {entratest.ConsoleLocal, "192.0.2.1:9", "login.example", 403},
		"by a name that was rebound": {entratest.ConsoleLocal, "127.0.0.1:9", "evil.example", 403},
		"no address":                 {entratest.ConsoleLocal, "", "login.example", 403},
		"anywhere":                   {entratest.ConsoleAnywhere, "192.0.2.1:9", "evil.example", 200},
		"off":                        {entratest.ConsoleOff, "127.0.0.1:9", "login.example", 404},
	} {
		e := must(entratest.NewHandler(&entratest.Options{Console: test.access, Origin: "https://login.example"}))
		for _, path := range []string{"/emulator", "/emulator/log"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr, r.Host = test.from, test.host
			e.ServeHTTP(w, r)
			if w.Code != test.status {
				t.Errorf("%s: %s answers %d, want %d", name, path, w.Code, test.status)
			}
		}
	}
	if _, err := entratest.NewHandler(&entratest.Options{Console: 7}); err == nil {
		t.Error("takes any access")
	}
}

func TestConsoleIsWhereBrowsersBegin(t *testing.T) {
	f := start(t, nil)
	response, _ := f.get(f.URL()+"/", "Accept", "text/html,*/*")
	if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/emulator" {
		t.Errorf("a browser gets %s, %q", response.Status, response.Header.Get("Location"))
	}
	if response, _ := f.get(f.URL() + "/"); response.StatusCode != http.StatusNotFound {
		t.Errorf("a program gets %s", response.Status)
	}
	r := must(http.NewRequestWithContext(t.Context(), http.MethodDelete, f.URL()+"/emulator", nil))
	if response, _ := f.send(r); response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") == "" {
		t.Errorf("DELETE gets %s", response.Status)
	}
	if n := len(f.Requests()); n != 1 {
		t.Errorf("%d requests are logged, want the program's alone", n)
	}
}

// The script asks again and again; it is sent the log only when there is something new.
func TestConsoleLogAlone(t *testing.T) {
	f := start(t, nil)
	first, _ := f.get(f.URL() + "/emulator/log")
	version := first.Header.Get("ETag")
	if !strings.Contains(f.console(), `data-version="`+version+`"`) {
		t.Errorf("the page is not of version %s", version)
	}
	if again, body := f.get(f.URL()+"/emulator/log", "If-None-Match", version); again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("again: %s %q", again.Status, body)
	}
	f.signIn(alice)
	after, body := f.get(f.URL()+"/emulator/log", "If-None-Match", version)
	if after.StatusCode != http.StatusOK || len(rows(body)) != 1 || strings.Contains(body, "<html") {
		t.Errorf("after a request: %s %q", after.Status, body)
	}
	f.ResetRequests()
	if reset, body := f.get(f.URL()+"/emulator/log", "If-None-Match", after.Header.Get("ETag")); reset.StatusCode != http.StatusOK || len(rows(body)) != 0 {
		t.Errorf("after a reset: %s %q", reset.Status, body)
	}
	off := start(t, &entratest.Options{LogSize: -1})
	off.signIn(alice)
	if !strings.Contains(off.console(), "The log is off.") {
		t.Error("the console does not say that the log is off")
	}
}

// The policy lets the page use its own styles and script, and nothing else.
func TestConsolePolicy(t *testing.T) {
	f := start(t, nil)
	response, body := f.get(f.URL() + "/emulator?refresh=5")
	policy := response.Header.Get("Content-Security-Policy")
	inline := regexp.MustCompile(`(?s)<(?:style|script)>(.*?)</(?:style|script)>`).FindAllStringSubmatch(body, -1)
	if len(inline) != 3 {
		t.Fatalf("%d styles and scripts", len(inline))
	}
	for _, one := range inline {
		sum := sha256.Sum256([]byte(one[1]))
		if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("the policy %s refuses %.60s", policy, one[1])
		}
	}
	if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("the policy is %s", policy)
	}
	if regexp.MustCompile(`(?i) on[a-z]+=| style=`).MatchString(body) {
		t.Error("the page has attributes that the policy refuses")
	}
	if !strings.Contains(body, `<meta http-equiv="refresh" content="5">`) {
		t.Error("without scripts the page does not refresh")
	}
}

func TestConsoleFaults(t *testing.T) {
	for name, check := range map[string]func(*testing.T, *fixture, *http.Response, []byte, error){
		"down": func(t *testing.T, _ *fixture, r *http.Response, _ []byte, err error) {
			if err != nil || r.StatusCode != 503 || r.Header.Get("Retry-After") != "3" {
				t.Errorf("%v %v", r, err)
			}
		},
		"throttled": func(t *testing.T, _ *fixture, r *http.Response, _ []byte, err error) {
			if err != nil || r.StatusCode != 429 || r.Header.Get("Retry-After") != "3" {
				t.Errorf("%v %v", r, err)
			}
		},
		"lost": func(t *testing.T, f *fixture, _ *http.Response, _ []byte, err error) {
			if err == nil || f.Requests()[1].Status != 200 {
				t.Errorf("%v, and the log says %d", err, f.Requests()[1].Status)
			}
		},
		"malformed": func(t *testing.T, _ *fixture, r *http.Response, body []byte, err error) {
			if err != nil || r.StatusCode != 200 || string(body) != `{"token_type":"Bearer","access_token":` {
				t.Errorf("%s %v", body, err)
			}
		},
		"expired": func(t *testing.T, _ *fixture, r *http.Response, body []byte, err error) {
			if err != nil || r.StatusCode != 400 || !strings.Contains(string(body), `"error":"invalid_grant","error_description":"AADSTS700082:`) {
				t.Errorf("%s %v", body, err)
			}
		},
		"interaction": func(t *testing.T, _ *fixture, r *http.Response, body []byte, err error) {
			if err != nil || r.StatusCode != 400 || !strings.Contains(string(body), `"error":"interaction_required","error_description":"AADSTS50076:`) {
				t.Errorf("%s %v", body, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			code := f.signIn(alice)
			page := f.mustPress("fault", "fault", name, "endpoint", "token", "seconds", "3", "times", "1")
			if !strings.Contains(page, "for 1 more") {
				t.Error("the fault is not listed")
			}
			response, err := f.client.Do(f.tokenRequest(codeForm(code)))
			var body []byte
			if err == nil {
				body, err = io.ReadAll(response.Body)
				response.Body.Close()
			}
			check(t, f, response, body, err)
			f.mustToken(codeForm(f.signIn(alice))) // it was for one request
			if page := f.console(); !strings.Contains(page, "None is on.") {
				t.Error("the fault is still listed")
			}
		})
	}
}

func TestConsoleFaultsUntilSwitchedOff(t *testing.T) {
	f := start(t, nil)
	f.Inject(entratest.Fault{Status: 500, Endpoint: "*", When: func(*http.Request) bool { return false }})
	page := f.mustPress("fault", "fault", "down", "endpoint", "discovery", "seconds", "", "times", "0")
	ids := regexp.MustCompile(`name="id" value="(\d+)"`).FindAllStringSubmatch(page, -1)
	if len(ids) != 2 || strings.Count(page, "until switched off</span>") != 2 || !strings.Contains(page, "at all endpoints") {
		t.Fatalf("the console lists %q", ids)
	}
	metadata := f.URL() + "/common/v2.0/.well-known/openid-configuration"
	for range 3 {
		if response, _ := f.get(metadata); response.StatusCode != 503 {
			t.Fatalf("discovery answers %s", response.Status)
		}
	}
	f.mustPress("stop-fault", "id", ids[1][1])
	if response, _ := f.get(metadata); response.StatusCode != 200 {
		t.Errorf("switched off, discovery answers %s", response.Status)
	}
	if status, page := f.press("stop-fault", "id", ids[1][1]); status != 400 || !strings.Contains(page, "was off already") {
		t.Errorf("a second time: %d", status)
	}
	if page := f.mustPress("stop-faults"); !strings.Contains(page, "None is on.") {
		t.Error("not all are off")
	}
}

func TestConsoleActions(t *testing.T) {
	f := start(t, nil)
	token := f.mustToken(codeForm(f.signIn(alice)))
	keys := f.URL() + "/common/discovery/v2.0/keys"
	_, before := f.get(keys)
	f.mustPress("rotate-keys")
	if _, after := f.get(keys); after == before {
		t.Error("the keys are the same")
	}
	f.mustPress("rotation", "rotation", strconv.Itoa(int(entratest.RotationRefuse)))
	f.mustToken(refreshForm(token.RefreshToken))
	f.mustRefuse(refreshForm(token.RefreshToken), "invalid_grant", 70000)
	f.mustPress("rotation", "rotation", "0")
	f.mustToken(refreshForm(token.RefreshToken))
	f.mustToken(refreshForm(token.RefreshToken))

	f.mustPress("revoke", "user", alice)
	f.mustRefuse(refreshForm(token.RefreshToken), "invalid_grant", 50173)
	if page := f.mustPress("disable", "user", bob); strings.Count(page, `<span class="tag">disabled</span>`) != 2 {
		t.Error("bob does not show as disabled")
	}
	if _, err := f.Authorize(t.Context(), f.authorizeURL(), bob); err == nil || !strings.Contains(err.Error(), "AADSTS50057") {
		t.Errorf("disabled, bob gets %v", err)
	}
	f.mustPress("enable", "user", bob)
	code := f.signIn(bob)
	if page := f.mustPress("advance", "amount", "11", "unit", "minutes"); !strings.Contains(page, "11m0s ahead") {
		t.Error("the console does not say that the clock is ahead")
	}
	f.mustRefuse(codeForm(code), "invalid_grant", 70008)
	if ahead := time.Until(f.Now()).Round(time.Minute); ahead != 11*time.Minute {
		t.Errorf("the clock is %v ahead", ahead)
	}
	f.mustPress("clear-log")
	if n := len(f.Requests()); n != 0 {
		t.Errorf("%d requests are left", n)
	}
}

func TestConsoleSaysWhatItDoesNotTake(t *testing.T) {
	f := start(t, nil)
	for name, test := range map[string][]string{
		"a whole number from 0 to 3600":  {"fault", "fault", "down", "endpoint", "token", "seconds", "-1"},
		"from 0 to 1000000":              {"fault", "fault", "down", "endpoint", "token", "times", "many"},
		"no such fault":                  {"fault", "fault", "fire", "endpoint", "token"},
		"The console has no such fault.": {"fault", "fault", "down", "endpoint", "nowhere"},
		"no such action":                 {"delete-everything"},
		"There is no such user.":         {"revoke", "user", "nobody"},
		"no such user":                   {"disable", "user", ""},
		"minutes, hours or days":         {"advance", "amount", "1", "unit", "years"},
		"from 1 to 366":                  {"advance", "amount", "0", "unit", "days"},
		"from 0 to 2":                    {"rotation", "rotation", "3"},
	} {
		status, page := f.press(test[0], test[1:]...)
		if alert := strings.Index(page, `role="alert">`); status != 400 || alert < 0 || !strings.Contains(page[alert:alert+200], name) {
			t.Errorf("%q: %d, without %q", test, status, name)
		}
	}
	if !strings.Contains(f.console(), "None is on.") || f.Now().After(time.Now()) {
		t.Error("something was done all the same")
	}
	if response, _ := f.postConsole(url.Values{"token": {strings.Repeat("x", 1<<17)}}); response.StatusCode != 400 {
		t.Errorf("a huge form gets %s", response.Status)
	}
}

// Others may write names, in a directory or a request; they stay text.
func TestConsoleEscapes(t *testing.T) {
	d := entratest.DefaultDirectory()
	d.Apps[0].Name, d.Users[0].Name = `<script>alert(1)</script>`, `"><img src=x>`
	f := start(t, &entratest.Options{Directory: d})
	f.get(f.authorizeURL("login_hint", "<b onclick=x>", "scope", "<i>"), "User-Agent", "</code><script>")
	_, page := f.get(f.URL() + "/emulator")
	for _, bad := range []string{"<script>alert", "<img", "<b onclick", "<i>", "</code><script>"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	if !slices.Contains(strings.Fields(page), "&lt;script&gt;alert(1)&lt;/script&gt;") && !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the app's name is missing")
	}
}
