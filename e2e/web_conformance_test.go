package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

// conformance is docs/conformance.md, of which this package writes one table.
var conformance = &document{path: "../docs/conformance.md"}

// webVisitor is a user at a browser without a screen: what counts is what the app answers.
type webVisitor struct {
	*webSite
	client *http.Client
}

func (s *webSite) visitor() *webVisitor {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &webVisitor{webSite: s, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Jar:           jar,
		Transport:     transport,
	}}
}

var headingText = regexp.MustCompile(`<h1>(.*?)</h1>`)

// opens gives what a page answers: where it leads, or its status and heading.
func (v *webVisitor) opens(address string) (answer, location string) {
	v.t.Helper()
	response, body := webGet(v.t, v.client, address, nil)
	if location = response.Header.Get("Location"); location != "" {
		return fmt.Sprintf("%d to %s", response.StatusCode, strings.TrimPrefix(location, v.origin)), location
	}
	answer = fmt.Sprint(response.StatusCode)
	if found := headingText.FindStringSubmatch(body); found != nil {
		answer += " “" + found[1] + "”"
	}
	return answer, ""
}

// begins goes to a page that needs a sign-in, and gives the callback that the server answers with.
func (v *webVisitor) begins(path string) *url.URL {
	v.t.Helper()
	_, location := v.opens(v.origin + path)
	callback, err := v.server.Authorize(v.t.Context(), location, aliceAtContoso)
	if err != nil {
		v.t.Fatal(err)
	}
	return callback
}

// signsIn gives what the browser is shown in the end, and who the app says it is then.
func (v *webVisitor) signsIn() string {
	v.t.Helper()
	return v.lands(v.begins("/me"))
}

func (v *webVisitor) lands(callback *url.URL) string {
	v.t.Helper()
	answer, _ := v.opens(callback.String())
	return answer + ", " + v.who()
}

func (v *webVisitor) who() string {
	v.t.Helper()
	answer, _ := v.opens(v.origin + "/")
	return strings.TrimSuffix(strings.TrimPrefix(answer, "200 “"), "”")
}

// lies changes the ID tokens of one grant type.
func (v *webVisitor) lies(grantType string, change func(idToken string) string) {
	v.server.Inject(entratest.Fault{GrantType: grantType, Edit: func(answer map[string]any) {
		if idToken, ok := answer["id_token"].(string); ok {
			answer["id_token"] = change(idToken)
		}
	}})
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

const (
	signedIn = "303 to /me, hello " + aliceAtContoso
	codes    = "authorization_code"
)

// webModules are modules of the OpenID Foundation's suite whose server the emulator can play, each with what a browser sees.
var webModules = []struct {
	name, expected string
	plays          func(*webVisitor) (observed string)
}{
	{"oidcc-client-test", signedIn, (*webVisitor).signsIn},
	{"oidcc-client-test-idtoken-sig-none", "refused", func(v *webVisitor) string {
		v.lies(codes, func(idToken string) string {
			return encode(`{"alg":"none","typ":"JWT"}`) + "." + strings.Split(idToken, ".")[1] + "."
		})
		return v.signsIn()
	}},
	{"oidcc-client-test-invalid-sig-rs256", "refused", func(v *webVisitor) string {
		v.lies(codes, func(idToken string) string {
			parts := strings.Split(idToken, ".")
			return parts[0] + "." + parts[1] + "." + encode(strings.Repeat("x", 256))
		})
		return v.signsIn()
	}},
	{"oidcc-client-test-nonce-invalid", "refused", func(v *webVisitor) string {
		var mu sync.Mutex
		first := ""
		v.lies(codes, func(idToken string) string { // of the sign-in before
			mu.Lock()
			defer mu.Unlock()
			if first == "" {
				first = idToken
			}
			return first
		})
		v.visitor().signsIn()
		return v.signsIn()
	}},
	{"oidcc-client-test-signing-key-rotation", signedIn, func(v *webVisitor) string {
		v.visitor().signsIn()
		v.server.RotateKeys()
		return v.signsIn()
	}},
	{"oidcc-client-test-signing-key-rotation-just-before-signing", signedIn, func(v *webVisitor) string {
		v.visitor().signsIn()
		v.server.Inject(entratest.Fault{GrantType: codes, When: func(*http.Request) bool {
			v.server.RotateKeys()
			return false
		}})
		return v.signsIn()
	}},
	{"oidcc-client-test-refresh-token", "200 “a token for " + storageScope + "”, hello " + aliceAtContoso, func(v *webVisitor) string {
		v.signsIn()
		return v.gets(storageScope)
	}},
	{"oidcc-client-test-refresh-token-invalid-sub", "refused, hello " + aliceAtContoso, func(v *webVisitor) string {
		other := v.visitor()
		callback := other.beginsAs(bobAtContoso)
		var mu sync.Mutex
		bobs := ""
		v.lies(codes, func(idToken string) string { // bob signs in first
			mu.Lock()
			defer mu.Unlock()
			if claimed(idToken, bobAtContoso) {
				bobs = idToken
			}
			return idToken
		})
		other.lands(callback)
		v.signsIn()
		v.lies("refresh_token", func(string) string { return bobs })
		return v.gets(storageScope)
	}},
	{"oidcc-client-test-3rd-party-init-login", "303 to /, hello " + aliceAtContoso, func(v *webVisitor) string {
		return v.lands(v.begins("/auth/login?" + url.Values{
			"iss": {v.server.URL()}, "login_hint": {aliceAtContoso}, "target_link_uri": {"https://evil.example/"},
		}.Encode()))
	}},
	{"fapi2-security-profile-final-client-test-invalid-authorization-response-iss", "refused", func(v *webVisitor) string {
		return v.lands(changed(v.begins("/me"), func(q url.Values) { q.Set("iss", "https://issuer.invalid/") }))
	}},
	{"fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails", "refused", func(v *webVisitor) string {
		return v.lands(changed(v.begins("/me"), func(q url.Values) { q.Set("state", encode(strings.Repeat("x", 32))) }))
	}},
	{"fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails", "refused", func(v *webVisitor) string {
		return v.lands(changed(v.begins("/me"), func(q url.Values) { q.Del("state") }))
	}},
}

func (v *webVisitor) beginsAs(user string) *url.URL {
	v.t.Helper()
	_, location := v.opens(v.origin + "/me")
	callback, err := v.server.Authorize(v.t.Context(), location, user)
	if err != nil {
		v.t.Fatal(err)
	}
	return callback
}

// gets asks a page for a token.
func (v *webVisitor) gets(scope string) string {
	v.t.Helper()
	answer, _ := v.opens(v.origin + "/token?scope=" + url.QueryEscape(scope))
	return answer + ", " + v.who()
}

func claimed(idToken, user string) bool {
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(idToken, ".")[1])
	return err == nil && strings.Contains(string(claims), `"`+user+`"`)
}

func changed(callback *url.URL, change func(url.Values)) *url.URL {
	query := callback.Query()
	change(query)
	other := *callback
	other.RawQuery = query.Encode()
	return &other
}

// TestWebConformance plays the suite's server for an app of package signin.
func TestWebConformance(t *testing.T) {
	t.Parallel()
	var names []string
	for _, m := range webModules {
		names = append(names, "`"+m.name+"`")
	}
	conformance.wantRows(t, "signin", names)
	for _, m := range webModules {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			site := newWebSite(t, "web")
			site.by(site.replica(nil, nil))
			got := m.plays(site.visitor())
			isRefused := regexp.MustCompile(`^[45]\d\d `).MatchString(got)
			switch m.expected {
			case "refused":
				if !isRefused || !strings.HasSuffix(got, ", hello stranger") {
					t.Errorf("got %s, want a page that refuses, and nobody signed in", got)
				}
			case "refused, hello " + aliceAtContoso:
				if !isRefused || !strings.HasSuffix(got, strings.TrimPrefix(m.expected, "refused")) {
					t.Errorf("got %s, want %s", got, m.expected)
				}
			default:
				if got != m.expected {
					t.Errorf("got %s, want %s", got, m.expected)
				}
			}
			conformance.check(t, "signin", "`"+m.name+"`", m.expected, got)
		})
	}
}
