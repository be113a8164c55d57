// Package stage is what the examples' tests play on: an emulated Entra ID, APIs that want its tokens, and users with browsers.
package stage

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/examples/internal/setup"
)

// Stage is an emulator, and an address for an app that is registered there.
type Stage struct {
	*entratest.Server
	// Env is the environment of the example. Tests change it before they start one.
	Env map[string]string

	t        *testing.T
	listener net.Listener
	ca       []byte
}

// New starts an emulator.
func New(t *testing.T) *Stage {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	origin := "http://" + listener.Addr().String()
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		directory.Apps[i].RedirectURIs = append(directory.Apps[i].RedirectURIs, origin+"/auth/callback", origin+"/")
	}
	server, err := entratest.NewServer(&entratest.Options{Directory: directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	t.Setenv("AZURE_AUTHORITY_HOST", server.URL()) // package authcode reads it
	web := directory.App("web")
	s := &Stage{Server: server, t: t, listener: listener, ca: server.CertPEM()}
	s.Env = map[string]string{
		"AZURE_TENANT_ID": web.TenantID, "AZURE_CLIENT_ID": web.ClientID, "AZURE_CLIENT_SECRET": web.Secrets[0],
		"REDIRECT_URI": origin + "/auth/callback",
	}
	s.writeCA()
	return s
}

func (s *Stage) writeCA() {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, s.ca, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.Env["CA_FILE"] = path
}

// Getenv is Env as an environment.
func (s *Stage) Getenv() setup.Environment { return func(name string) string { return s.Env[name] } }

// Serve serves the app, which the emulator knows by this origin.
func (s *Stage) Serve(handler http.Handler) (origin string) {
	server := &httptest.Server{Listener: s.listener, Config: &http.Server{Handler: handler}}
	server.Start()
	s.t.Cleanup(server.Close)
	return server.URL
}

// API starts a resource server behind TLS that the example trusts. It answers 401 to requests without a good token for the
// audience, and else what serve answers, who is told the token's claims.
func (s *Stage) API(audience string, serve func(w http.ResponseWriter, r *http.Request, claims map[string]any)) (address string) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := s.VerifyAccessToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if err != nil || claims["aud"] != audience {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		serve(w, r, claims)
	}))
	s.t.Cleanup(server.Close)
	s.ca = append(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})...)
	s.writeCA()
	return server.URL
}

// Browser keeps cookies and follows redirects; at the emulator it is always one user.
type Browser struct {
	client *http.Client
	t      *testing.T
}

// NewBrowser is one of a user, such as alice@contoso.example, without cookies.
func (s *Stage) NewBrowser(user string) *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	plain := http.DefaultTransport.(*http.Transport).Clone()
	s.t.Cleanup(plain.CloseIdleConnections)
	return &Browser{t: s.t, client: &http.Client{Jar: jar, Transport: asUser{user: user, emulator: s.Client().Transport, others: plain, authority: s.URL()}}}
}

// asUser signs in without the emulator's pages.
type asUser struct {
	user, authority  string
	emulator, others http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (a asUser) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.String(), a.authority) {
		return a.others.RoundTrip(r)
	}
	if strings.HasSuffix(r.URL.Path, "/authorize") {
		r = r.Clone(r.Context())
		r.URL.RawQuery += "&emulator_user=" + url.QueryEscape(a.user)
	}
	return a.emulator.RoundTrip(r)
}

// Page is an answer.
type Page struct {
	URL, Body string
	Status    int
	Header    http.Header
}

// Open opens an address.
func (b *Browser) Open(address string) Page {
	b.t.Helper()
	return b.do(http.MethodGet, address, nil)
}

// Submit posts a form of a page of the same origin.
func (b *Browser) Submit(address string, form url.Values) Page {
	b.t.Helper()
	return b.do(http.MethodPost, address, form)
}

func (b *Browser) do(method, address string, form url.Values) Page {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", request.URL.Scheme+"://"+request.URL.Host)
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return Page{URL: response.Request.URL.String(), Body: string(body), Status: response.StatusCode, Header: response.Header}
}

// Wants fails the test unless the page has the status and the texts.
func (p Page) Wants(t *testing.T, status int, texts ...string) Page {
	t.Helper()
	if p.Status != status {
		t.Fatalf("%s: status %d, want %d\n%s", p.URL, p.Status, status, p.Body)
	}
	for _, text := range texts {
		if !strings.Contains(p.Body, text) {
			t.Fatalf("%s: without %q\n%s", p.URL, text, p.Body)
		}
	}
	return p
}
