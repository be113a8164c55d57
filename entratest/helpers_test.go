package entratest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

const (
	alice    = "alice@contoso.example"
	bob      = "bob@contoso.example"
	carol    = "carol@fabrikam.example"
	callback = "https://app.example.com/auth/callback"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	graph    = "openid profile offline_access User.Read"
	storage  = "https://storage.azure.com/.default"
	arm      = "https://management.azure.com/.default"
	orders   = "api://orders/Orders.Read"
)

var (
	directory = entratest.DefaultDirectory()
	web       = directory.App("web")
	native    = directory.App("native")
	contoso   = directory.Tenant("contoso").ID
	fabrikam  = directory.Tenant("fabrikam").ID
)

// fixture is an emulator and the clumsiest client there can be.
type fixture struct {
	*entratest.Emulator
	t      testing.TB
	tenant string
	client *http.Client
}

func start(t testing.TB, options *entratest.Options) *fixture {
	t.Helper()
	e, err := entratest.NewHandler(options)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{Emulator: e, t: t, tenant: contoso, client: &http.Client{
		Transport:     e.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// at is the same emulator, seen from another tenant.
func (f *fixture) at(tenant string) *fixture {
	g := *f
	g.tenant = tenant
	return &g
}

// in is the same emulator, in a subtest.
func (f *fixture) in(t testing.TB) *fixture {
	g := *f
	g.t = t
	return &g
}

// with sets parameters in a copy; an empty value removes one.
func with(v url.Values, pairs ...string) url.Values {
	v = maps.Clone(v)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		} else {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

func s256(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// authorizeQuery is a good request of the web app.
func authorizeQuery(pairs ...string) url.Values {
	return with(url.Values{
		"client_id":             {web.ClientID},
		"response_type":         {"code"},
		"redirect_uri":          {callback},
		"scope":                 {graph},
		"state":                 {"st&te=1"},
		"nonce":                 {"n-1"},
		"code_challenge":        {s256(verifier)},
		"code_challenge_method": {"S256"},
	}, pairs...)
}

func (f *fixture) authorizeURL(pairs ...string) string {
	return f.URL() + "/" + f.tenant + "/oauth2/v2.0/authorize?" + authorizeQuery(pairs...).Encode()
}

// signIn gets a code; pairs change the authorize request.
func (f *fixture) signIn(username string, pairs ...string) string {
	f.t.Helper()
	u, err := f.Authorize(f.t.Context(), f.authorizeURL(pairs...), username)
	if err != nil {
		f.t.Fatal(err)
	}
	code := u.Query().Get("code")
	if code == "" {
		f.t.Fatalf("no code in %s", u)
	}
	return code
}

func codeForm(code string, pairs ...string) url.Values {
	return with(url.Values{
		"grant_type":    {"authorization_code"},
		"client_id":     {web.ClientID},
		"client_secret": {web.Secrets[0]},
		"code":          {code},
		"redirect_uri":  {callback},
		"code_verifier": {verifier},
		"client_info":   {"1"},
	}, pairs...)
}

func refreshForm(refreshToken string, pairs ...string) url.Values {
	return with(url.Values{
		"grant_type":    {"refresh_token"},
		"client_id":     {web.ClientID},
		"client_secret": {web.Secrets[0]},
		"refresh_token": {refreshToken},
		"client_info":   {"1"},
	}, pairs...)
}

// answer is a token endpoint's answer, good or bad.
type answer struct {
	Status       int    `json:"-"`
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope"`
	ExpiresIn    int    `json:"expires_in"`
	ExtExpiresIn int    `json:"ext_expires_in"`
	RefreshIn    int    `json:"refresh_in"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	ClientInfo   string `json:"client_info"`

	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri"`
	Suberror      string `json:"suberror"`
	Claims        string `json:"claims"`
}

func (f *fixture) tokenURL() string { return f.URL() + "/" + f.tenant + "/oauth2/v2.0/token" }

func (f *fixture) tokenRequest(form url.Values) *http.Request {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.tokenURL(), strings.NewReader(form.Encode()))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (f *fixture) send(r *http.Request) (*http.Response, []byte) {
	f.t.Helper()
	response, err := f.client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return response, body
}

func (f *fixture) sendToken(r *http.Request) answer {
	f.t.Helper()
	response, body := f.send(r)
	a := answer{Status: response.StatusCode}
	if err := json.Unmarshal(body, &a); err != nil {
		f.t.Fatalf("%v in %s", err, body)
	}
	return a
}

func (f *fixture) token(form url.Values) answer {
	f.t.Helper()
	return f.sendToken(f.tokenRequest(form))
}

// mustToken is token for requests that cannot fail.
func (f *fixture) mustToken(form url.Values) answer {
	f.t.Helper()
	a := f.token(form)
	if a.Status != http.StatusOK {
		f.t.Fatalf("token: %d %s %s", a.Status, a.Error, a.Description)
	}
	return a
}

// mustRefuse checks an error answer.
func (f *fixture) mustRefuse(form url.Values, code string, number int) answer {
	f.t.Helper()
	a := f.token(form)
	f.t.Log(a.Description)
	checkRefusal(f.t, a, code, number)
	return a
}

func checkRefusal(t testing.TB, a answer, code string, number int) {
	t.Helper()
	status := http.StatusBadRequest
	if code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	if a.Status != status || a.Error != code || len(a.Codes) != 1 || a.Codes[0] != number {
		t.Fatalf("got %d %s %v, want %d %s %d: %s", a.Status, a.Error, a.Codes, status, code, number, a.Description)
	}
}

// get fetches a URL.
func (f *fixture) get(target string, header ...string) (*http.Response, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, target, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, body := f.send(r)
	return response, string(body)
}

// claimsOf reads a JWT without verifying it.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", token)
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(data, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
