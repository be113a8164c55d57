package signin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/signin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	origin       = "https://app.example.com"
	graphScope   = "https://graph.microsoft.com/User.Read"
	mailScope    = "https://graph.microsoft.com/Mail.Read"
	storageScope = "https://storage.azure.com/user_impersonation"
	alice        = "alice@contoso.example"
	bob          = "bob@contoso.example"
)

// world is an emulator and what apps of one registration share: a store and a sealer.
type world struct {
	*entratest.Emulator
	t         testing.TB
	directory *entratest.Directory
	store     authcode.Store
	sealer    authcode.Sealer
	log       *logBook
}

// logBook keeps what was logged, for tests that look for secrets in it.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		if directory.Apps[i].Name == "web" {
			directory.Apps[i].FrontChannelLogoutURL = origin + "/auth/frontchannel-logout"
		}
	}
	emulator, err := entratest.NewHandler(&entratest.Options{Directory: directory})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := authcode.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return &world{Emulator: emulator, t: t, directory: directory, store: authcode.NewMemoryStore(), sealer: sealer, log: &logBook{}}
}

// site is one replica of an app: an App, a Handler, and pages behind it.
type site struct {
	*world
	app *authcode.App
	h   *signin.Handler
	mux *http.ServeMux
}

func (w *world) client() azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: w.URL()},
		Transport: &http.Client{Transport: w.Transport()},
	}
}

func (w *world) newApp(redirectURI string, change func(*authcode.AppOptions)) *authcode.App {
	w.t.Helper()
	options := &authcode.AppOptions{ClientOptions: w.client(), Sealer: w.sealer, Store: w.store}
	tenantID := w.directory.Tenant("contoso").ID
	if change != nil {
		change(options)
		if options.SignInTenants != nil {
			tenantID = "organizations"
		}
	}
	web := w.directory.App("web")
	app, err := authcode.NewApp(tenantID, web.ClientID, redirectURI, authcode.SecretAuth(web.Secrets[0]), options)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = app.Close() })
	return app
}

// newSite has the pages /me (who is it), /token?scope= (gets one, or a challenge), /public, and what the test adds.
func (w *world) newSite(options *signin.Options) *site {
	w.t.Helper()
	return w.siteOf(w.newApp(origin+"/auth/callback", nil), options)
}

func (w *world) siteOf(app *authcode.App, options *signin.Options) *site {
	w.t.Helper()
	if options == nil {
		options = &signin.Options{}
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	}
	h, err := signin.New(app, options)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &site{world: w, app: app, h: h, mux: http.NewServeMux()}
	s.mux.Handle("/auth/", h)
	s.mux.Handle("/me", h.RequireUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := signin.UserFrom(r.Context())
		fmt.Fprint(w, user.Account.Username)
	})))
	s.mux.Handle("/public", h.LoadUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, ok := signin.UserFrom(r.Context()); ok {
			fmt.Fprint(w, "hello ", user.Account.Username)
			return
		}
		fmt.Fprint(w, "hello stranger")
	})))
	s.mux.Handle("/token", h.Func(func(w http.ResponseWriter, r *http.Request, user *signin.User) error {
		token, err := user.Credential().GetToken(r.Context(), policy.TokenRequestOptions{Scopes: []string{r.URL.Query().Get("scope")}})
		if err != nil {
			return fmt.Errorf("getting a token: %w", err)
		}
		_, err = fmt.Fprintf(w, "a token of %d bytes", len(token.Token))
		return err
	}))
	return s
}

// page adds one that needs something.
func (s *site) page(pattern, text string, needs ...signin.Need) {
	s.mux.Handle(pattern, s.h.RequireUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text) }), needs...))
}

// browser keeps cookies and follows redirects between the app and the emulator; at the emulator it is always user.
type browser struct {
	t    testing.TB
	jar  *cookiejar.Jar
	site *site // where requests to the app go
	user string
	real bool // signs in at the emulator's page, which then has a session with this browser
}

func (s *site) browser(user string) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{t: s.t, jar: jar, site: s, user: user}
}

// at is the same browser, served by another replica.
func (b *browser) at(s *site) *browser {
	other := *b
	other.site = s
	return &other
}

// answer is a response that was read.
type answer struct {
	*http.Response
	body string
}

func (a *answer) location() string { return a.Header.Get("Location") }

var navigate = http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}}

var fetch = http.Header{"Accept": {"*/*"}, "Sec-Fetch-Mode": {"cors"}}

// send makes one request and follows nothing.
func (b *browser) send(method, target string, header http.Header, body string) *answer {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = origin + target
	}
	u, err := url.Parse(target)
	if err != nil {
		b.t.Fatal(err)
	}
	var response *http.Response
	if strings.HasPrefix(target, b.site.URL()) {
		if strings.Contains(u.Path, "/authorize") && b.user != "" && !b.real {
			u.RawQuery += "&emulator_user=" + url.QueryEscape(b.user)
		}
		form := method == "POST"
		r, err := http.NewRequestWithContext(b.t.Context(), method, u.String(), strings.NewReader(body))
		if err != nil {
			b.t.Fatal(err)
		}
		if form {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		b.addCookies(r, u)
		response, err = b.site.Transport().RoundTrip(r)
		if err != nil {
			b.t.Fatal(err)
		}
	} else {
		r := httptest.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(body))
		r.RequestURI = u.RequestURI()
		for name, values := range header {
			r.Header[name] = values
		}
		if body != "" && r.Header.Get("Content-Type") == "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		b.addCookies(r, u)
		recorder := httptest.NewRecorder()
		b.site.mux.ServeHTTP(recorder, r)
		response = recorder.Result()
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.jar.SetCookies(u, response.Cookies())
	if hidden := hiddenField.FindSubmatch(content); b.real && b.user != "" && method == "GET" && strings.Contains(u.Path, "/authorize") && hidden != nil {
		form := url.Values{html.UnescapeString(string(hidden[1])): {html.UnescapeString(string(hidden[2]))}, "emulator_user": {b.user}}
		return b.send("POST", target, nil, form.Encode())
	}
	return &answer{response, string(content)}
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

func (b *browser) addCookies(r *http.Request, u *url.URL) {
	for _, c := range b.jar.Cookies(u) {
		r.AddCookie(c)
	}
}

func (b *browser) get(target string) *answer {
	b.t.Helper()
	return b.send("GET", target, navigate, "")
}

func (b *browser) fetch(target string) *answer { b.t.Helper(); return b.send("GET", target, fetch, "") }

// open follows redirects to where they end.
func (b *browser) open(target string) *answer {
	b.t.Helper()
	a, _ := b.follow(target, func(string) bool { return false })
	return a
}

// callbackOf goes as far as the callback, and gives its URL without opening it.
func (b *browser) callbackOf(target string) string {
	b.t.Helper()
	_, callback := b.follow(target, atCallback)
	if callback == "" {
		b.t.Fatalf("%s led to no callback", target)
	}
	return callback
}

func atCallback(next string) bool { return strings.HasPrefix(next, origin+"/auth/callback") }

func (b *browser) follow(target string, stop func(string) bool) (*answer, string) {
	b.t.Helper()
	for range 20 {
		a := b.get(target)
		next := a.location()
		if next == "" {
			return a, ""
		}
		if stop(next) {
			return a, next
		}
		target = next
	}
	b.t.Fatalf("too many redirects, at last to %s", target)
	return nil, ""
}

// signIn signs the browser's user in and checks that it worked.
func (b *browser) signIn() *browser {
	b.t.Helper()
	if a := b.open("/me"); a.StatusCode != 200 || a.body != b.user {
		b.t.Fatalf("signing in: %d %s\n%s", a.StatusCode, a.body, b.site.log)
	}
	return b
}

func (b *browser) signOut() *answer {
	b.t.Helper()
	return b.send("POST", "/auth/logout", http.Header{"Origin": {origin}, "Accept": {"text/html"}}, "")
}

// cookies are the app's, by name.
func (b *browser) cookies() map[string]string {
	u, _ := url.Parse(origin + "/")
	all := map[string]string{}
	for _, c := range b.jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}

func (b *browser) sessionCookie() string {
	for name, value := range b.cookies() {
		if strings.HasPrefix(name, "__Host-authcode-") && !strings.Contains(name, "-flow-") && !strings.Contains(name, "-loop") {
			return value
		}
	}
	return ""
}

func (b *browser) flowCookies() (names []string) {
	for name := range b.cookies() {
		if strings.Contains(name, "-flow-") {
			names = append(names, name)
		}
	}
	return names
}

// codePosts counts the emulator's authorization_code requests.
func (w *world) codePosts() int {
	n := 0
	for _, r := range w.Requests() {
		if r.Endpoint == "token" && r.GrantType == "authorization_code" {
			n++
		}
	}
	return n
}

type jsonAnswer struct {
	Error string `json:"error"`
	URL   string `json:"url"`
}

func (a *answer) json(t testing.TB) (j jsonAnswer) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &j); err != nil {
		t.Fatalf("%d %q: %v", a.StatusCode, a.body, err)
	}
	return j
}

// wants checks a status and what the page says.
func (a *answer) wants(t testing.TB, status int, text string) *answer {
	t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, text) {
		t.Errorf("%d, want %d with %q:\n%s\nto %s", a.StatusCode, status, text, a.body, a.location())
	}
	return a
}

// faultyStore fails while broken.
type faultyStore struct {
	authcode.Store
	mu     sync.Mutex
	broken bool
	reads  int
}

func (s *faultyStore) breaks(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

func (s *faultyStore) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.broken {
		return fmt.Errorf("connection refused")
	}
	return nil
}

func (s *faultyStore) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	if err := s.fault(); err != nil {
		return nil, "", false, err
	}
	return s.Store.Get(ctx, key)
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (s *faultyStore) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	if err := s.fault(); err != nil {
		return false, err
	}
	return s.Store.Swap(ctx, key, oldVersion, newVersion, data, ttl)
}

func (s *faultyStore) Delete(ctx context.Context, key string) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key)
}
