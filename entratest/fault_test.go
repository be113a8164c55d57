package entratest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

func TestFaultAnswers(t *testing.T) {
	tests := []struct {
		name   string
		fault  entratest.Fault
		status int
		body   string // contained
		header string // Retry-After
		log    string
	}{
		{"status", entratest.Fault{Status: 503}, 503, "", "", "status 503"},
		{"body", entratest.Fault{Body: "<html>"}, 200, "<html>", "", "body"},
		{"status and body", entratest.Fault{Status: 502, Body: "bad"}, 502, "bad", "", "status 502, body"},
		{"retry after", entratest.Fault{RetryAfter: "5"}, 429, "", "5", "retry after 5"},
		{"retry after 503", entratest.Fault{Status: 503, RetryAfter: "x"}, 503, "", "x", "status 503, retry after x"},
		{"header", entratest.Fault{Header: http.Header{"retry-after": {"7"}}}, 200, `"access_token"`, "7", "header"},
		{"edit", entratest.Fault{Edit: func(a map[string]any) { a["expires_in"] = "3599"; delete(a, "scope") }}, 200, `"expires_in":"3599"`, "", "edit"},
		{"edit a body", entratest.Fault{Body: `{"a":1}`, Edit: func(a map[string]any) { a["b"] = a["a"] }}, 200, `{"a":1,"b":1}`, "", "body, edit"},
		{"error", entratest.Fault{Error: "invalid_grant", AADSTS: 50076, Suberror: "basic_action", Claims: `{"a":1}`}, 400, `"suberror":"basic_action","claims":"{\"a\":1}"`, "", "error invalid_grant"},
		{"error text", entratest.Fault{Error: "invalid_grant", AADSTS: 54005}, 400, "AADSTS54005: OAuth2 Authorization code was already redeemed", "", "error invalid_grant"},
		{"client error", entratest.Fault{Error: "invalid_client", AADSTS: 7000215}, 401, "AADSTS7000215", "", "error invalid_client"},
		{"error and status", entratest.Fault{Error: "temporarily_unavailable", Status: 503, RetryAfter: "1"}, 503, "temporarily_unavailable", "1", "status 503, error temporarily_unavailable, retry after 1"},
		{"echo", entratest.Fault{EchoSecrets: true}, 400, "plain-secret", "", "echo"},
		{"echo in an error", entratest.Fault{Error: "invalid_grant", EchoSecrets: true}, 400, "plain-secret", "", "error invalid_grant, echo"},
		{"echo in a body", entratest.Fault{Status: 500, EchoSecrets: true}, 500, "plain-secret", "", "status 500, echo"},
		{"no content", entratest.Fault{Status: 204}, 204, "", "", "status 204"},
		{"odd status", entratest.Fault{Status: 999}, 999, "", "", "status 999"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, nil)
			test.fault.Times = 1
			f.Inject(test.fault)
			form := codeForm(f.signIn(alice), "client_secret", "plain-secret")
			response, body := f.send(f.tokenRequest(form))
			if response.StatusCode != test.status || !bytes.Contains(body, []byte(test.body)) || response.Header.Get("Retry-After") != test.header {
				t.Errorf("%d %v %s", response.StatusCode, response.Header, body)
			}
			log := f.Requests()
			if last := log[len(log)-1]; last.Fault != test.log || last.Status != test.status {
				t.Errorf("log: %q %d", last.Fault, last.Status)
			}
			f.token(form) // once only
			if last := f.Requests()[len(log)]; last.Fault != "" {
				t.Errorf("again: %q", last.Fault)
			}
		})
	}
}

func TestWhichRequestsAFaultBefalls(t *testing.T) {
	f := start(t, nil)
	refresh := f.mustToken(codeForm(f.signIn(alice))).RefreshToken
	status := func() int { return f.token(refreshForm(refresh)).Status }

	remove := f.Inject(entratest.Fault{Error: "x"})
	for range 3 {
		if status() != 400 {
			t.Error("until removed")
		}
	}
	remove()
	remove()
	if status() != 200 {
		t.Error("removed")
	}
	f.Inject(entratest.Fault{GrantType: "authorization_code", Error: "x", Times: 1})
	f.Inject(entratest.Fault{When: func(r *http.Request) bool {
		return r.Header.Get("X-Test") != "" && r.PostForm.Get("refresh_token") == refresh
	}, Error: "y", Times: 1})
	if status() != 200 {
		t.Error("another grant type, another header")
	}
	if a := f.token(codeForm("x")); a.Error != "x" {
		t.Errorf("grant type: %+v", a)
	}
	r := f.tokenRequest(refreshForm(refresh))
	r.Header.Set("X-Test", "1")
	if a := f.sendToken(r); a.Error != "y" {
		t.Errorf("when: %+v", a)
	}
	f.Inject(entratest.Fault{Error: "first", Times: 1})
	f.Inject(entratest.Fault{Error: "second", Times: 2})
	for _, want := range []string{"first", "second", "second", ""} {
		if a := f.token(refreshForm(refresh)); a.Error != want {
			t.Errorf("got %q, want %q", a.Error, want)
		}
	}
	defer f.Inject(entratest.Fault{Endpoint: "keys", Status: 500})()
	if response, _ := f.get(f.URL() + "/common/discovery/v2.0/keys"); response.StatusCode != 500 || status() != 200 {
		t.Error("endpoint")
	}
	f.Inject(entratest.Fault{Endpoint: "*", Status: 418, Times: 2})
	if response, _ := f.get(f.URL() + "/common/v2.0/.well-known/openid-configuration"); response.StatusCode != 418 {
		t.Error("any endpoint")
	}
	if response, _ := f.get(f.URL()); response.StatusCode != 418 {
		t.Error("any path")
	}
	f.Inject(entratest.Fault{Endpoint: "authorize", Error: "server_error", AADSTS: 90033, Suberror: "s", Claims: "{}", EchoSecrets: true, Times: 1})
	u, err := f.Authorize(t.Context(), f.authorizeURL(), alice)
	if err != nil || u.Query().Get("error") != "server_error" || u.Query().Get("state") == "" ||
		u.Query().Get("suberror") != "s" || u.Query().Get("claims") != "{}" || !strings.Contains(u.Query().Get("error_description"), "n-1") {
		t.Errorf("authorize: %v %v", u, err)
	}
	f.Inject(entratest.Fault{Endpoint: "authorize", Status: 502, Body: "gateway", Times: 1})
	if _, err := f.Authorize(t.Context(), f.authorizeURL(), alice); err == nil || !strings.Contains(err.Error(), "gateway") {
		t.Errorf("authorize: %v", err)
	}
}

func TestLostAnswer(t *testing.T) {
	f := start(t, nil)
	f.Inject(entratest.Fault{LoseAnswer: true, Times: 1})
	code := f.signIn(alice)
	if _, err := f.client.Do(f.tokenRequest(codeForm(code))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
	if log := f.Requests(); log[len(log)-1].Status != 200 || log[len(log)-1].Fault != "lose answer" {
		t.Errorf("log %+v", log[len(log)-1].Fault)
	}
	f.mustRefuse(codeForm(code), "invalid_grant", 54005)
}

func TestTruncatedAnswer(t *testing.T) {
	f := start(t, nil)
	for _, n := range []int{1, 2, 50, 1000} {
		f.Inject(entratest.Fault{TruncateAt: n, Times: 1})
		response, err := f.client.Do(f.tokenRequest(codeForm(f.signIn(alice))))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if len(body) != n || !errors.Is(err, io.ErrUnexpectedEOF) || response.ContentLength <= int64(n) {
			t.Errorf("%d bytes of %d, %v", len(body), response.ContentLength, err)
		}
	}
	f.Inject(entratest.Fault{TruncateAt: 1 << 20, Times: 1})
	f.mustToken(codeForm(f.signIn(alice)))
}

func TestRequestLog(t *testing.T) {
	f := start(t, &entratest.Options{LogSize: 3})
	before := f.Now()
	form := codeForm(f.signIn(alice))
	f.mustToken(form)
	r := f.tokenRequest(with(form, "client_id", "", "client_secret", ""))
	r.SetBasicAuth(web.ClientID, "plain-secret")
	f.sendToken(r)
	log := f.Requests()
	if len(log) != 3 {
		t.Fatalf("%d entries", len(log))
	}
	a, b, c := log[0], log[1], log[2]
	if a.Endpoint != "authorize" || a.Method != "GET" || a.Query.Get("emulator_user") != alice || a.ClientID != web.ClientID || a.Status != 302 {
		t.Errorf("%+v", a)
	}
	if b.Endpoint != "token" || b.GrantType != "authorization_code" || b.TenantID != contoso || b.Status != 200 ||
		b.Path != "/"+contoso+"/oauth2/v2.0/token" || b.Form.Get("code_verifier") != verifier || b.Time.Before(before) {
		t.Errorf("%+v", b)
	}
	if c.ErrorCode != "invalid_grant" || c.AADSTS != 54005 || c.Status != 400 || c.ClientID != web.ClientID {
		t.Errorf("%+v", c)
	}
	b.Form.Set("code", "changed")
	b.Header.Set("X", "changed")
	if again := f.Requests()[1]; again.Form.Get("code") == "changed" || again.Header.Get("X") != "" {
		t.Error("the log is not a copy")
	}
	for i := range 20 {
		f.get(fmt.Sprintf("%s/%d", f.URL(), i))
	}
	if log := f.Requests(); len(log) != 3 || log[2].Path != "/19" || log[0].Path != "/17" {
		t.Errorf("%d entries, the last %s", len(log), log[len(log)-1].Path)
	}
	f.ResetRequests()
	if len(f.Requests()) != 0 {
		t.Error("not reset")
	}
	g := start(t, &entratest.Options{LogSize: -1})
	g.get(g.URL())
	if len(g.Requests()) != 0 {
		t.Error("a log nobody wanted")
	}
}

// The log shows a request while it is being answered.
func TestRequestLogInFlight(t *testing.T) {
	f := start(t, nil)
	var during []entratest.Request
	f.Inject(entratest.Fault{Edit: func(map[string]any) { during = f.Requests() }, Times: 1})
	f.token(refreshForm("x"))
	if len(during) != 1 || during[0].Status != 0 {
		t.Errorf("%+v", during)
	}
	var when url.Values
	f.Inject(entratest.Fault{When: func(*http.Request) bool { when = f.Requests()[1].Form; return false }})
	f.token(refreshForm("y"))
	if when.Get("refresh_token") != "y" {
		t.Errorf("%v", when)
	}
}

func TestAdvance(t *testing.T) {
	f := start(t, nil)
	if d := time.Until(f.Now()); d > time.Second || d < -time.Second {
		t.Errorf("the clock starts %v off", d)
	}
	f.Advance(time.Hour)
	f.Advance(time.Hour)
	if d := time.Until(f.Now()); d < 2*time.Hour-time.Second || d > 2*time.Hour {
		t.Errorf("advanced %v", d)
	}
}
