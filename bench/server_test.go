package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// hello is the first line the server writes: how to reach it.
type hello struct{ Certificate, URL string }

// serve runs the token server until its input ends, which it does when the parent is gone, however that ended.
func serve(input io.Reader, output io.Writer) error {
	s := &server{signed: make(map[string]string)}
	listener := httptest.NewUnstartedServer(s)
	listener.EnableHTTP2 = true
	listener.StartTLS()
	host := strings.TrimPrefix(listener.URL, "https://")
	var err error
	if s.signer, err = newRSASigner(issuerAt(host)); err != nil {
		return err
	}
	if s.anyones, err = s.signer.idToken(0, "another sign-in's"); err != nil {
		return err
	}
	if err := json.NewEncoder(output).Encode(hello{base64.StdEncoding.EncodeToString(listener.Certificate().Raw), listener.URL}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, input)
	return err
}

// server answers token requests with as little work as it can: ID tokens are signed beforehand.
type server struct {
	signer  *signer
	anyones string // an ID token for those who do not look at its nonce

	mu     sync.Mutex
	signed map[string]string // nonce -> ID token
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/token"):
		s.token(w, r)
	case strings.HasSuffix(r.URL.Path, "/sign"):
		s.sign(w, r)
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		reply(w, discovery(r.Host, s.signer.algorithm))
	case strings.HasSuffix(r.URL.Path, "/keys"):
		reply(w, s.signer.jwks())
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body))) // as Entra ID does; net/http leaves it out of answers beyond 2 KB
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body)
}

// token redeems a code, which says whose it is and for which nonce.
func (s *server) token(w http.ResponseWriter, r *http.Request) {
	code := r.PostFormValue("code")
	user, err := userOf("c", code)
	if err != nil || r.PostFormValue("client_secret") != clientSecret || r.PostFormValue("code_verifier") == "" {
		http.Error(w, "a malformed request", http.StatusBadRequest)
		return
	}
	nonce := code[strings.LastIndexByte(code, '.')+1:]
	s.mu.Lock()
	id, known := s.signed[nonce]
	delete(s.signed, nonce)
	s.mu.Unlock()
	if !known {
		id = s.anyones
	}
	reply(w, tokenAnswer{
		access:    tokenText("a", user, accessBytes),
		refresh:   tokenText("r", user, refreshBytes),
		id:        id,
		expiresIn: 4_000,
		user:      user,
	}.json())
}

// codeText is a code that carries what the authorize endpoint would have noted down.
func codeText(user int, nonce string) string {
	return tokenText("c", user, codeBytes-len(nonce)-1) + "." + nonce
}

// sign is the authorize endpoint for many users at once: a line per user, "user nonce".
func (s *server) sign(w http.ResponseWriter, r *http.Request) {
	lines := make(chan string)
	var wg sync.WaitGroup
	var failed sync.Once
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for line := range lines {
				var user int
				var nonce string
				_, err := fmt.Sscanf(line, "%d %s", &user, &nonce)
				var id string
				if err == nil {
					id, err = s.signer.idToken(user, nonce)
				}
				if err != nil {
					failed.Do(func() { http.Error(w, err.Error(), http.StatusBadRequest) })
					continue
				}
				s.mu.Lock()
				s.signed[nonce] = id
				s.mu.Unlock()
			}
		})
	}
	scanner := bufio.NewScanner(r.Body)
	for scanner.Scan() {
		lines <- scanner.Text()
	}
	close(lines)
	wg.Wait()
}

// remote is a server in a process of its own, as its clients see it.
type remote struct {
	roots *x509.CertPool
	url   string
}

func startServer(tb testing.TB) *remote {
	tb.Helper()
	r, err := newRemote(tb)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func newRemote(tb testing.TB) (*remote, error) {
	command := exec.CommandContext(context.Background(), os.Args[0])
	command.Env = append(os.Environ(), serverVariable+"=1")
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	tb.Cleanup(func() {
		_ = input.Close()
		_ = command.Wait()
	})
	var h hello
	if err := json.NewDecoder(output).Decode(&h); err != nil {
		return nil, fmt.Errorf("the server did not start: %w", err)
	}
	der, err := base64.StdEncoding.DecodeString(h.Certificate)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	r := &remote{roots: x509.NewCertPool(), url: h.URL}
	r.roots.AddCert(certificate)
	return r, nil
}

func (r *remote) tokenURL() string { return r.url + "/" + tenantID + "/oauth2/v2.0/token" }

// client is the one HTTP client of all rows. Its connections are kept: making one costs more than a redemption.
func (r *remote) client(tb testing.TB, http2 bool) *http.Client {
	transport := &http.Transport{
		ForceAttemptHTTP2:   http2,
		MaxIdleConns:        2 * callers,
		MaxIdleConnsPerHost: 2 * callers,
		TLSClientConfig:     &tls.Config{RootCAs: r.roots, MinVersion: tls.VersionTLS12},
	}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// authorize signs users in: the server makes an ID token for each nonce.
func (r *remote) authorize(ctx context.Context, client *http.Client, nonces map[string]int) error {
	var lines strings.Builder
	for nonce, user := range nonces {
		fmt.Fprintf(&lines, "%d %s\n", user, nonce)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/sign", strings.NewReader(lines.String()))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(string(text))
	}
	return err
}
