package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// provider is an emulated Entra for many users and many replicas: it takes its time, says how long its tokens last, and keeps a
// ledger of the refresh tokens it took and gave.
type provider struct {
	*entratest.Emulator
	app    entratest.App
	tenant entratest.Tenant
	users  []entratest.User
	server *httptest.Server
	ca     []byte

	mu        sync.Mutex
	latency   func() time.Duration // of a refresh; half of it passes before it is processed, half before it is answered
	lifetime  time.Duration        // of access tokens, whole seconds
	processed func(*tokenPOST)     // is called when a refresh was processed, and the answer waits for it; nil: nobody
	posts     []*tokenPOST
	owners    map[string]string // refresh tokens' account IDs

	lastExpiry time.Time // of all access tokens: their lives began with the requests
}

// tokenPOST is one request to the token endpoint.
type tokenPOST struct {
	worker   string // the replica's name
	user     string // account ID
	refresh  bool
	in, out  string // refresh tokens; out "": refused
	access   string // token
	code     string // OAuth error
	began    time.Time
	ended    time.Time // zero: not yet
	answered bool      // the answer was written
}

func startProvider(t *testing.T, rotation entratest.Rotation, users int) *provider {
	t.Helper()
	p := &provider{latency: usualLatency, lifetime: time.Hour, owners: map[string]string{}}
	p.server = httptest.NewUnstartedServer(p)
	p.server.EnableHTTP2 = true
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // processes are killed in their handshakes, too
	directory := entratest.DefaultDirectory()
	p.app, p.tenant = directory.App("web"), directory.Tenant("contoso.example")
	for i := range users {
		p.users = append(p.users, entratest.User{
			Name: fmt.Sprintf("User %d", i), ObjectID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i),
			TenantID: p.tenant.ID, Username: fmt.Sprintf("user%d@contoso.example", i),
		})
	}
	directory.Users = append(directory.Users, p.users...)
	emulator, err := entratest.NewHandler(&entratest.Options{
		Directory: directory, LogSize: -1, Origin: "https://" + p.server.Listener.Addr().String(), Rotation: rotation,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Emulator = emulator
	p.server.StartTLS()
	p.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

// usualLatency is 10 to 60 ms, and for one request in ten 150 to 350.
func usualLatency() time.Duration {
	if rand.IntN(10) == 0 {
		return 150*time.Millisecond + rand.N(200*time.Millisecond)
	}
	return 10*time.Millisecond + rand.N(50*time.Millisecond)
}

func constantly(latency time.Duration) func() time.Duration {
	return func() time.Duration { return latency }
}

// spec is a replica of the app at this provider.
func (p *provider) spec(protocol string, store storeSpec) replicaSpec {
	return replicaSpec{
		Protocol: protocol, Authority: p.URL(), CA: p.ca, TenantID: p.tenant.ID, ClientID: p.app.ClientID, Secret: p.app.Secrets[0],
		Key: bytes.Repeat([]byte{7}, 32), Store: store,
	}
}

func (p *provider) accounts() []string {
	ids := make([]string, len(p.users))
	for i, u := range p.users {
		ids[i] = u.HomeAccountID()
	}
	return ids
}

// set changes how it behaves from now on.
func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// ServeHTTP is the emulator's, but at the token endpoint.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/token") {
		p.Emulator.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	x, latency := p.enter(r, string(body))
	defer p.leave(x)
	wait(r.Context(), latency/2)
	recorder := httptest.NewRecorder()
	p.Emulator.ServeHTTP(recorder, r)
	answer := p.process(x, recorder)
	wait(r.Context(), latency/2)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(recorder.Code)
	_, err = w.Write(answer)
	p.set(func() { x.answered = err == nil })
}

// wait ends the exchange if the client leaves.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

func (p *provider) enter(r *http.Request, body string) (*tokenPOST, time.Duration) {
	form, err := url.ParseQuery(body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	name, _, _ := strings.Cut(r.UserAgent(), " ")
	x := &tokenPOST{worker: name, in: form.Get("refresh_token"), refresh: form.Get("grant_type") == "refresh_token", began: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	x.user = p.owners[x.in]
	p.posts = append(p.posts, x)
	if !x.refresh {
		return x, 0
	}
	return x, p.latency()
}

func (p *provider) leave(x *tokenPOST) {
	p.set(func() { x.ended = time.Now() })
}

// process notes what became of it, and gives the answer's body.
func (p *provider) process(x *tokenPOST, recorder *httptest.ResponseRecorder) []byte {
	var answer map[string]any
	if json.Unmarshal(recorder.Body.Bytes(), &answer) != nil {
		return recorder.Body.Bytes()
	}
	p.mu.Lock()
	x.code, _ = answer["error"].(string)
	if x.code == "" {
		x.out, _ = answer["refresh_token"].(string)
		x.access, _ = answer["access_token"].(string)
		x.user = owner(answer)
		p.owners[x.out] = x.user
		p.lastExpiry = later(p.lastExpiry, time.Now().Add(usable(p.lifetime)))
		answer["expires_in"] = int(p.lifetime / time.Second)
		answer["refresh_in"] = int(p.lifetime / time.Second)
	}
	processed := p.processed
	p.mu.Unlock()
	if processed != nil && x.refresh {
		processed(x)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return body
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// owner is the account ID in an answer's client_info.
func owner(answer map[string]any) string {
	var info struct{ UID, UTID string }
	text, _ := answer["client_info"].(string)
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(data, &info) != nil {
		return ""
	}
	return info.UID + "." + info.UTID
}

// refreshes are copies of the ledger's refreshes that began at a time or later.
func (p *provider) refreshes(since time.Time) []tokenPOST {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []tokenPOST
	for _, x := range p.posts {
		if x.refresh && !x.began.Before(since) {
			found = append(found, *x)
		}
	}
	return found
}

// signIn takes a user through a flow of an app's.
func (p *provider) signIn(ctx context.Context, app *authcode.App, user entratest.User) error {
	flow, err := app.Begin(&authcode.BeginOptions{Scopes: []string{fleetScope, "offline_access"}})
	if err != nil {
		return err
	}
	callback, err := p.Authorize(ctx, flow.URL, user.Username)
	if err != nil {
		return err
	}
	_, err = app.Redeem(ctx, flow, callback.Query())
	return err
}

// signAllIn signs the users in by a replica of the spec in this process, with tokens that are good for an instant.
func (p *provider) signAllIn(t *testing.T, spec replicaSpec) {
	t.Helper()
	var before time.Duration
	p.set(func() { before, p.lifetime = p.lifetime, time.Second })
	defer p.set(func() { p.lifetime = before })
	spec.Name = "sign-in"
	one, err := openReplica(&spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = one.close() }()
	var all sync.WaitGroup
	for some := range slices.Chunk(p.users, (len(p.users)+3)/4) {
		all.Go(func() {
			for _, user := range some {
				var err error
				switch r := one.(type) {
				case *appReplica:
					err = p.signIn(t.Context(), r.App, user)
				case *naive:
					err = r.signIn(t.Context(), p, user)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
