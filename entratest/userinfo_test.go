package entratest_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

// userInfo asks for the claims with a token, or an Authorization header as it is.
func (f *fixture) userInfo(method, authorization string) (*http.Response, map[string]any) {
	f.t.Helper()
	r := must(http.NewRequestWithContext(f.t.Context(), method, f.URL()+"/oidc/userinfo", nil))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	response, body := f.send(r)
	var claims map[string]any
	if err := json.Unmarshal(body, &claims); err != nil {
		f.t.Fatalf("%v in %s", err, body)
	}
	return response, claims
}

func TestUserInfo(t *testing.T) {
	f := start(t, nil)
	full := map[string]any{"name": "Alice Anders", "given_name": "Alice", "family_name": "Anders", "email": alice}
	tests := []struct {
		name, method, scope, claims string
		want                        map[string]any
	}{
		{"User.Read", "GET", "openid User.Read", "", full},
		{"reserved scopes", "POST", "openid profile email", "", full},
		{"Graph by its ID", "GET", "openid https://graph.microsoft.com/.default", "", full},
		{"CAE", "GET", "openid User.Read", both, full},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			tokens := f.mustToken(codeForm(f.signIn(alice, "scope", test.scope), "claims", test.claims))
			response, got := f.userInfo(test.method, "Bearer "+tokens.AccessToken)
			want := maps.Clone(test.want)
			want["sub"] = claimsOf(t, tokens.IDToken)["sub"]
			if response.StatusCode != 200 || !maps.Equal(got, want) {
				t.Errorf("%d %v, want %v", response.StatusCode, got, want)
			}
			if response.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(response.Header.Get("Cache-Control"), "no-store") {
				t.Errorf("header %v", response.Header)
			}
		})
	}
	t.Run("guest", func(t *testing.T) {
		f := f.in(t).at(fabrikam)
		tokens := f.mustToken(codeForm(f.signIn(alice)))
		if _, got := f.userInfo("GET", "bearer "+tokens.AccessToken); got["sub"] == nil || got["sub"] != claimsOf(t, tokens.IDToken)["sub"] {
			t.Errorf("%v", got)
		}
	})
}

func TestUserInfoRefuses(t *testing.T) {
	f := start(t, nil)
	plain := f.mustToken(codeForm(f.signIn(alice)))
	narrow := f.mustToken(codeForm(f.signIn(alice, "scope", "Mail.Read")))
	other := f.mustToken(codeForm(f.signIn(alice, "scope", "openid "+storage)))
	stranger := start(t, nil)
	tests := []struct {
		name, authorization string
		status              int
		code                string // of the challenge
		graph               string
	}{
		{"nothing", "", 401, "", "InvalidAuthenticationToken"},
		{"another scheme", "Basic eDp5", 401, "", "InvalidAuthenticationToken"},
		{"empty", "Bearer ", 401, "", "InvalidAuthenticationToken"},
		{"no JWT", "Bearer x\"y", 401, "invalid_token", "InvalidAuthenticationToken"},
		{"an ID token", "Bearer " + plain.IDToken, 401, "invalid_token", "InvalidAuthenticationToken"},
		{"another emulator's", "Bearer " + stranger.mustToken(codeForm(stranger.signIn(alice))).AccessToken, 401, "invalid_token", "InvalidAuthenticationToken"},
		{"another resource's", "Bearer " + other.AccessToken, 401, "invalid_token", "InvalidAuthenticationToken"},
		{"another permission", "Bearer " + narrow.AccessToken, 403, "insufficient_scope", "Authorization_RequestDenied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f.in(t).mustChallenge(test.authorization, test.status, test.code, test.graph)
		})
	}
	f.Advance(61 * time.Minute)
	f.mustChallenge("Bearer "+plain.AccessToken, 401, "invalid_token", "InvalidAuthenticationToken")
	if response, _ := f.userInfo(http.MethodDelete, ""); response.StatusCode != 405 {
		t.Errorf("DELETE: %d", response.StatusCode)
	}
	preflight := must(http.NewRequest(http.MethodOptions, f.URL()+"/oidc/userinfo", nil))
	preflight.Header.Set("Access-Control-Request-Headers", "authorization")
	if response, _ := f.send(preflight); response.Header.Get("Access-Control-Allow-Headers") != "authorization" {
		t.Errorf("preflight %v", response.Header)
	}
}

// mustChallenge checks the refusal in both its forms.
func (f *fixture) mustChallenge(authorization string, status int, code, graph string) (challenge string) {
	f.t.Helper()
	response, body := f.userInfo(http.MethodGet, authorization)
	challenge = response.Header.Get("WWW-Authenticate")
	if response.StatusCode != status || !strings.HasPrefix(challenge, `Bearer realm="", authorization_uri="`+f.URL()) ||
		(code == "") == strings.Contains(challenge, "error=") || !strings.Contains(challenge, code) || strings.Count(challenge, `"`)%2 != 0 {
		f.t.Errorf("%d %s", response.StatusCode, challenge)
	}
	if e, _ := body["error"].(map[string]any); e["code"] != graph || e["message"] == "" {
		f.t.Errorf("%v", body)
	}
	return challenge
}

// A revoked CAE token gets a claims challenge that a refresh satisfies; a token of a client without the capability lives
// on.
func TestUserInfoRevoked(t *testing.T) {
	f := start(t, nil)
	cae := f.mustToken(codeForm(f.signIn(alice), "claims", both))
	plain := f.mustToken(codeForm(f.signIn(alice)))
	f.RevokeAccessTokens(alice)
	if response, _ := f.userInfo("GET", "Bearer "+plain.AccessToken); response.StatusCode != 200 {
		t.Errorf("without the capability: %d", response.StatusCode)
	}
	challenge := f.mustChallenge("Bearer "+cae.AccessToken, 401, "insufficient_claims", "InvalidAuthenticationToken")
	_, encoded, _ := strings.Cut(challenge, `claims="`)
	claims := must(base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, `"`)))
	again := f.mustToken(refreshForm(cae.RefreshToken, "claims", string(claims)))
	if response, _ := f.userInfo("GET", "Bearer "+again.AccessToken); response.StatusCode != 200 {
		t.Errorf("after the challenge: %d", response.StatusCode)
	}
	d := entratest.DefaultDirectory()
	d.Users = d.Users[1:]
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	f.mustChallenge("Bearer "+plain.AccessToken, 401, "invalid_token", "InvalidAuthenticationToken")
}

// Who has one name has no family name.
func TestUserInfoNames(t *testing.T) {
	d := entratest.DefaultDirectory()
	d.Users[0].Name = "Alice"
	f := start(t, &entratest.Options{Directory: d})
	tokens := f.mustToken(codeForm(f.signIn(alice)))
	_, got := f.userInfo("GET", "Bearer "+tokens.AccessToken)
	if _, there := got["family_name"]; there || got["given_name"] != "Alice" {
		t.Errorf("%v", got)
	}
}
