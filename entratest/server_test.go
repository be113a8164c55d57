package entratest_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

func serve(t *testing.T, options *entratest.Options) (*entratest.Server, *fixture) {
	t.Helper()
	s, err := entratest.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, &fixture{Emulator: s.Emulator, t: t, tenant: contoso, client: s.Client()}
}

func TestServer(t *testing.T) {
	s, f := serve(t, nil)
	if !strings.HasPrefix(s.URL(), "https://localhost:") {
		t.Errorf("URL %s", s.URL())
	}
	f.mustToken(codeForm(f.signIn(alice)))

	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CertPEM()) {
		t.Fatal("no certificate")
	}
	for _, h2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: h2}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		for _, host := range []string{"localhost", "127.0.0.1"} {
			response, err := client.Get(strings.Replace(s.URL(), "localhost", host, 1) + "/common/discovery/v2.0/keys")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if want := map[bool]int{false: 1, true: 2}[h2]; response.ProtoMajor != want {
				t.Errorf("%s, want HTTP/%d", response.Proto, want)
			}
		}
	}
	if _, err := http.Get(s.URL()); err == nil {
		t.Error("everybody trusts the throwaway CA")
	}
}

func TestServerFaults(t *testing.T) {
	s, f := serve(t, nil)
	h1 := s.Client().Transport.(*http.Transport).Clone()
	h1.TLSClientConfig.NextProtos, h1.ForceAttemptHTTP2 = nil, false
	h1.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	defer h1.CloseIdleConnections()
	for name, client := range map[string]*http.Client{"h1": {Transport: h1}, "h2": s.Client()} {
		t.Run(name, func(t *testing.T) {
			code := f.signIn(alice)
			s.Inject(entratest.Fault{LoseAnswer: true, Times: 1})
			if _, err := client.Do(f.tokenRequest(codeForm(code))); err == nil {
				t.Error("the answer was not lost")
			}
			f.mustRefuse(codeForm(code), "invalid_grant", 54005)

			s.Inject(entratest.Fault{TruncateAt: 10, Times: 1})
			response, err := client.Do(f.tokenRequest(codeForm(f.signIn(alice))))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err == nil || len(body) != 10 {
				t.Errorf("%q %v", body, err)
			}
		})
	}
}

func TestServerCloses(t *testing.T) {
	before := runtime.NumGoroutine()
	s, f := serve(t, nil)
	f.mustToken(codeForm(f.signIn(alice)))
	s.Inject(entratest.Fault{Latency: time.Hour})
	failed := make(chan error)
	go func() {
		_, err := s.Client().Do(f.tokenRequest(codeForm("x")))
		failed <- err
	}()
	for len(s.Requests()) < 3 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("Close took %v", took)
	}
	if err := <-failed; err == nil {
		t.Error("a request outlived the server")
	}
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		stacks := make([]byte, 1<<16)
		t.Errorf("%d goroutines, %d before:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
	}
}

func TestServerClientGivesUp(t *testing.T) {
	_, f := serve(t, nil)
	code := f.signIn(alice)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.Inject(entratest.Fault{Latency: time.Hour, Times: 1, When: func(*http.Request) bool {
		cancel() // the request has arrived
		return true
	}})
	if _, err := f.client.Do(f.tokenRequest(codeForm(code)).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f.mustToken(codeForm(code))
}

func TestServerAddress(t *testing.T) {
	_, err := entratest.NewServer(&entratest.Options{Addr: "nonsense"})
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("listening on nonsense gives %v", err)
	}
	if _, err := entratest.NewServer(&entratest.Options{Rotation: 9}); err == nil {
		t.Error("takes any options")
	}
}

// One authority outlives its servers, so that clients trust it once.
func TestServerCA(t *testing.T) {
	ca := must(entratest.NewCA("entra.test", "192.0.2.7"))
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	for _, host := range []string{"", "entra.test", "192.0.2.7"} {
		s, f := serve(t, &entratest.Options{CA: ca, Host: host})
		_, port, _ := net.SplitHostPort(s.Addr().String())
		if want := "https://" + cmp.Or(host, "localhost") + ":" + port; s.URL() != want {
			t.Errorf("%q: URL is %s, want %s", host, s.URL(), want)
		}
		f.mustToken(codeForm(f.signIn(alice))) // by the server's own client, whatever the name
		for _, name := range []string{"localhost", "127.0.0.1", cmp.Or(host, "localhost")} {
			connection, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: roots, ServerName: name})
			if err != nil {
				t.Errorf("%q: %s: %v", host, name, err)
				continue
			}
			connection.Close()
		}
	}
}

func TestServerCARefused(t *testing.T) {
	local := must(entratest.NewCA())
	keyless := tls.Certificate{Certificate: local.Certificate}
	for name, test := range map[string]struct {
		options entratest.Options
		want    string
	}{
		"a host it may not speak for": {entratest.Options{CA: local, Host: "entra.test"}, "make one with NewCA"},
		"no key":                      {entratest.Options{CA: keyless}, "has no private key"},
		"no certificate":              {entratest.Options{CA: tls.Certificate{Certificate: [][]byte{{1}}, PrivateKey: local.PrivateKey}}, "x509"},
	} {
		if _, err := entratest.NewServer(&test.options); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want %q in it", name, err, test.want)
		}
	}
	again := must(entratest.NewCA())
	if again.Leaf.Subject.CommonName == local.Leaf.Subject.CommonName || again.Leaf.SerialNumber.Cmp(local.Leaf.SerialNumber) == 0 {
		t.Error("two authorities have one name or one number: browsers refuse the second")
	}
}
