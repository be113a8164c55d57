package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/signin"
)

// roundRobin is a proxy that ends TLS and sends each request to the next replica. It tells them a host that is not theirs, and what
// strangers can put into headers.
func roundRobin(t *testing.T, replicas ...*webReplica) http.Handler {
	t.Helper()
	var backends []*url.URL
	for _, replica := range replicas {
		backend := httptest.NewServer(replica)
		t.Cleanup(backend.Close)
		address, err := url.Parse(backend.URL)
		if err != nil {
			t.Fatal(err)
		}
		backends = append(backends, address)
	}
	var next atomic.Int64
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(backends[int(next.Add(1))%len(backends)])
			r.Out.Host = "evil.example"
			for name, value := range map[string]string{
				"Forwarded": "for=192.0.2.1;host=evil.example;proto=http", "X-Forwarded-Host": "evil.example",
				"X-Forwarded-Port": "80", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Proto": "http",
				"X-Forwarded-Server": "evil.example", "X-Host": "evil.example", "X-Original-URL": "/evil", "X-Rewrite-URL": "/evil",
			} {
				r.Out.Header.Set(name, value)
			}
		},
	}
}

// Two replicas that share a store, behind a proxy that sends a browser to either, are one app: a sign-in begun at one ends at the
// other, and so do step-up and sign-out. What the proxy says about hosts changes nothing.
func TestWebReplicas(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) [2]leasedStore{"redis": openRedis, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stores := open(t)
			site := newWebSite(t, "web")
			replicas := []*webReplica{site.replica(stores[0], nil), site.replica(stores[1], nil)}
			site.by(roundRobin(t, replicas...))
			u := site.user()
			u.signsIn("/me?deep")
			for range 4 {
				u.wants("/me", "you are "+aliceAtContoso)
			}
			site.server.RequireClaims(u.name, "https://graph.microsoft.com", policyClaims)
			u.signsIn("/token?scope=" + mailScope)
			for range 4 {
				u.wants("/token?scope="+mailScope, "a token for "+mailScope)
			}
			if got := u.sessions(replicas[0]); got != 1 {
				t.Errorf("%d sessions, want one", got)
			}
			for n, replica := range replicas {
				if replica.served.Load() < 6 {
					t.Errorf("replica %d served %d requests", n, replica.served.Load())
				}
			}
			for _, query := range site.authorizations() {
				if got := query.Get("redirect_uri"); got != site.origin+"/auth/callback" {
					t.Errorf("the redirect URI is %s", got)
				}
			}
			u.signsOut(false)
			u.becomes("hello stranger")
			u.wantAt("/")
			if got := u.idp(); got != "login_required" {
				t.Errorf("the server says %q, want login_required", got)
			}
			if strings.Contains(strings.Join(u.requested(), " "), "evil") {
				t.Errorf("the browser was sent to %q", u.requested())
			}
		})
	}
}

// requested are the addresses the tab asked for.
func (u *webUser) requested() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.urls...)
}

// An app that starts again over its store knows its users; one without a store asks the server, which does.
func TestWebRestart(t *testing.T) {
	t.Parallel()
	site := newWebSite(t, "web")
	store := openRedis(t)
	first := site.replica(store[0], nil)
	site.by(first)
	u := site.user()
	u.signsIn("/token?scope=" + mailScope)
	session := u.session()
	u.must(first.app.Close())
	site.by(site.replica(store[1], nil))
	u.wants("/", "hello "+aliceAtContoso)
	u.wants("/token?scope="+mailScope, "a token for "+mailScope)
	if u.session() != session || site.codePosts() != 1 {
		t.Errorf("%d codes were sent, and the session is the same: %t", site.codePosts(), u.session() == session)
	}

	site.by(site.replica(nil, nil))
	u.wants("/", "hello stranger")
	u.wants("/me", "you are "+aliceAtContoso) // without a page: the server knows them
	site.by(site.replica(nil, nil))
	u.goes("/me")
	u.wantHeading("you are " + aliceAtContoso)
	if got := site.codePosts(); got != 3 {
		t.Errorf("%d codes were sent, want 3", got)
	}
}

// agingSealer makes sessions look older than they are when they are opened: time that has passed, for tests that cannot wait.
type agingSealer struct {
	authcode.Sealer
	seen, signedIn time.Duration
}

func (s agingSealer) DecryptWithContext(ctx context.Context, sealed, data []byte) ([]byte, error) {
	plain, err := s.Sealer.DecryptWithContext(ctx, sealed, data)
	if err != nil {
		return nil, err
	}
	return shifted(plain, data, map[string]time.Duration{"seen": -s.seen, "signed_in": -s.signedIn})
}

// EncryptWithContext gives a session that is written again its own age back.
func (s agingSealer) EncryptWithContext(ctx context.Context, plain, data []byte) ([]byte, error) {
	plain, err := shifted(plain, data, map[string]time.Duration{"signed_in": s.signedIn})
	if err != nil {
		return nil, err
	}
	return s.Sealer.EncryptWithContext(ctx, plain, data)
}

// shifted changes the times of a session, and leaves other texts alone.
func shifted(plain, data []byte, by map[string]time.Duration) ([]byte, error) {
	if !bytes.HasPrefix(data, []byte("authcode signin session v1\x00")) {
		return plain, nil
	}
	var record map[string]json.RawMessage
	if err := json.Unmarshal(plain, &record); err != nil {
		return nil, err
	}
	for name, d := range by {
		var when time.Time
		if err := json.Unmarshal(record[name], &when); err != nil {
			return nil, err
		}
		text, err := json.Marshal(when.Add(d))
		if err != nil {
			return nil, err
		}
		record[name] = text
	}
	return json.Marshal(record)
}

// A session ends after its time without a request, and in any case after its whole time; the browser's next page is a sign-in.
func TestWebSessionExpires(t *testing.T) {
	t.Parallel()
	const idle, absolute = 10 * time.Minute, time.Hour
	options := func() *signin.Options {
		return &signin.Options{AbsoluteTimeout: absolute, IdleTimeout: idle, Scopes: []string{"User.Read"}}
	}
	site := newWebSite(t, "web")
	store := authcode.NewMemoryStore()
	site.by(site.replica(store, options()))
	u := site.user()
	u.signsIn("/me")
	session := u.session()
	for _, test := range []struct {
		name           string
		seen, signedIn time.Duration
		want           string
	}{
		{"before the idle timeout", idle - time.Minute, idle - time.Minute, "hello " + aliceAtContoso},
		{"after the idle timeout", idle, idle, "hello stranger"},
		{"before the absolute timeout", 0, absolute - time.Minute, "hello " + aliceAtContoso},
		{"after the absolute timeout", 0, absolute, "hello stranger"},
	} {
		site.by(site.sealedReplica(store, agingSealer{webSealer(t), test.seen, test.signedIn}, options()))
		u.goes("/")
		if got := u.heading(); got != test.want {
			t.Errorf("%s: the page says %q, want %q", test.name, got, test.want)
		}
	}
	u.wants("/me", "you are "+aliceAtContoso) // the server knows them still
	if got := u.session(); got == session || got == "" {
		t.Error("the session is the one that had ended")
	}
}
