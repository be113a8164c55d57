package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"html"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/signin"
)

// webSite is a web app at https://localhost:PORT whose users sign in at an emulator. What serves it may be changed: a restart,
// replicas behind a proxy.
type webSite struct {
	t         *testing.T
	server    *entratest.Server
	origin    string
	client    entratest.App
	authority *x509.Certificate // of the site's certificate
	roots     *x509.CertPool
	log       *webLog
	front     atomic.Pointer[http.Handler]
}

// webLog is what the app logged.
type webLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *webLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *webLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newWebSite is one of the app of this name in the emulator's directory, which nothing serves yet.
func newWebSite(t *testing.T, name string) *webSite {
	t.Helper()
	s := &webSite{t: t, log: &webLog{}}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.origin = fmt.Sprintf("https://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		if app := &directory.Apps[i]; app.Name == name {
			app.RedirectURIs = append(app.RedirectURIs, s.origin+"/auth/callback", s.origin+"/", s.origin+"/idp")
			app.FrontChannelLogoutURL = s.origin + "/auth/frontchannel-logout"
		}
	}
	if s.server, err = entratest.NewServer(&entratest.Options{Directory: directory}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.server.Close() })
	s.client = directory.App(name)
	s.serve(listener)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the app's log:\n%s", s.log)
		}
	})
	return s
}

func (s *webSite) serve(listener net.Listener) {
	certificate := s.certificate()
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			http.NotFound(w, r)
			return
		}
		(*s.front.Load()).ServeHTTP(w, r)
	}))
	_ = front.Listener.Close()
	front.Listener = listener
	front.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that the browser did not need
	front.StartTLS()
	s.t.Cleanup(front.Close)
}

// certificate is for localhost and 127.0.0.1, and its own authority.
func (s *webSite) certificate() tls.Certificate {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	der := selfSigned(s.t, key.Public(), key, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "authcode e2e web"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:        true,
	})
	if s.authority, err = x509.ParseCertificate(der); err != nil {
		s.t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(s.authority)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// by lets a handler serve the site from now on.
func (s *webSite) by(handler http.Handler) { s.front.Store(&handler) }

// webKey seals what the replicas of a site share.
var webKey = bytes.Repeat([]byte{7}, 32)

func webSealer(t *testing.T) authcode.Sealer {
	t.Helper()
	sealer, err := authcode.NewSealer(webKey)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// webReplica is a process of the app, as far as one can be in this one: it shares nothing with others but the store.
type webReplica struct {
	http.Handler
	signin *signin.Handler
	app    *authcode.App
	served atomic.Int64
}

// replica makes one. store may be nil: then it keeps everything to itself.
func (s *webSite) replica(store authcode.Store, options *signin.Options) *webReplica {
	s.t.Helper()
	sealer := authcode.Sealer(nil)
	if store != nil {
		sealer = webSealer(s.t)
	}
	return s.sealedReplica(store, sealer, options)
}

func (s *webSite) sealedReplica(store authcode.Store, sealer authcode.Sealer, options *signin.Options) *webReplica {
	s.t.Helper()
	app, err := authcode.NewApp(s.server.Directory().Tenant("contoso").ID, s.client.ClientID, s.origin+"/auth/callback",
		authcode.SecretAuth(s.client.Secrets[0]), &authcode.AppOptions{
			ClientOptions: azcore.ClientOptions{
				Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: s.server.URL()},
				Transport: s.server.Client(),
			},
			Sealer: sealer,
			Store:  store,
		})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = app.Close() })
	if options == nil {
		options = &signin.Options{Scopes: []string{"User.Read"}}
	}
	options.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	h, err := signin.New(app, options)
	if err != nil {
		s.t.Fatal(err)
	}
	replica := &webReplica{app: app, signin: h}
	pages := webPages(h)
	replica.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		replica.served.Add(1)
		pages.ServeHTTP(w, r)
	})
	return replica
}

// webPages are the app: each page says in its heading what came of it.
func webPages(h *signin.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/auth/", h)
	mux.Handle("/{$}", h.LoadUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "stranger"
		if user, ok := signin.UserFrom(r.Context()); ok {
			who = user.Account.Username
		}
		heading(w, "hello "+who, fmt.Sprintf(`<a id="signin" href="%s">Sign in</a>`, html.EscapeString(h.LoginURL("/me"))))
	})))
	mux.Handle("/me", h.Func(func(w http.ResponseWriter, r *http.Request, user *signin.User) error {
		heading(w, "you are "+user.Account.Username, "")
		return nil
	}))
	mux.Handle("/token", h.Func(token))
	mux.Handle("/secure", h.Func(func(w http.ResponseWriter, r *http.Request, user *signin.User) error {
		heading(w, fmt.Sprintf("proved %s", user.AuthenticationContexts()), "")
		return nil
	}, signin.Need{AuthenticationContexts: []string{"c1"}}))
	// A page whose script asks for something, and goes where the answer sends it.
	mux.Handle("/script", h.Func(func(w http.ResponseWriter, r *http.Request, _ *signin.User) error {
		heading(w, "working", `<script>
			fetch("/token?scope=" + new URLSearchParams(location.search).get("scope")).then(async (answer) => {
				if (answer.status === 401) {
					const challenge = await answer.json()
					location = challenge.url + "&return=" + encodeURIComponent(location.pathname + location.search)
					return
				}
				document.querySelector("h1").textContent = "fetched " + answer.status
			})</script>`)
		return nil
	}))
	mux.HandleFunc("/idp", func(w http.ResponseWriter, r *http.Request) {
		heading(w, "the server says "+r.FormValue("error"), "")
	})
	return mux
}

func token(w http.ResponseWriter, r *http.Request, user *signin.User) error {
	scope := r.FormValue("scope")
	got, err := user.Credential().GetToken(r.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return fmt.Errorf("getting a token: %w", err)
	}
	if got.Token == "" {
		return fmt.Errorf("an empty token for %s", scope)
	}
	heading(w, "a token for "+scope, "")
	return nil
}

func heading(w http.ResponseWriter, text, rest string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, `<!DOCTYPE html><title>app</title><link rel="icon" href="data:,"><h1>%s</h1>%s`, html.EscapeString(text), rest)
}

// codePosts is how many codes the emulator was sent.
func (s *webSite) codePosts() int {
	n := 0
	for _, r := range s.server.Requests() {
		if r.Endpoint == "token" && r.GrantType == "authorization_code" {
			n++
		}
	}
	return n
}

// authorizations are the queries of the authorize requests.
func (s *webSite) authorizations() (all []url.Values) {
	for _, r := range s.server.Requests() {
		if r.Endpoint == "authorize" && r.Method == http.MethodGet {
			all = append(all, r.Query)
		}
	}
	return all
}

// withForm adds a form, at /form, that anybody can fill in and only users can send.
func withForm(replica *webReplica) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", replica)
	mux.HandleFunc("GET /form", func(w http.ResponseWriter, r *http.Request) {
		heading(w, "a form", `<form method="post"><input name="text"><button>Save</button></form>`)
	})
	mux.Handle("POST /form", replica.signin.Func(func(w http.ResponseWriter, r *http.Request, _ *signin.User) error {
		heading(w, "saved "+r.FormValue("text"), "")
		return nil
	}))
	return mux
}
