package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/authcode-go/authcode/entratest"
)

// scene is what a script plays in: an emulator behind TLS, and the files and variables that lead to it.
type scene struct {
	*entratest.Server
	held     chan struct{} // closed when a token request is held up
	emulator *background   // nil: the script has not started one
}

type sceneKey struct{}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

// setUp gives a script $AUTHORITY, $TENANT, $CLIENT, $NATIVE, $REDIRECT, ca.pem, secret and pair.pem.
func setUp(env *testscript.Env, pair *certificate) error {
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		if directory.Apps[i].Name == "web" {
			directory.Apps[i].Certificates = []*x509.Certificate{pair.certificate}
		}
	}
	server, err := entratest.NewServer(&entratest.Options{Directory: directory})
	if err != nil {
		return err
	}
	env.Defer(func() { _ = server.Close() })
	env.Values[sceneKey{}] = &scene{Server: server, held: make(chan struct{})}
	web := directory.App("web")
	env.Setenv("AUTHORITY", server.URL())
	env.Setenv("TENANT", directory.Tenant("contoso").ID)
	env.Setenv("CLIENT", web.ClientID)
	env.Setenv("NATIVE", directory.App("native").ClientID)
	env.Setenv("REDIRECT", redirectURI)
	env.Setenv("GORACE", "atexit_sleep_ms=10") // the race detector's own second would pass at every exec
	for name, content := range map[string][]byte{
		"ca.pem": server.CertPEM(), "secret": []byte(web.Secrets[0] + "\n"), "pair.pem": pair.pem,
	} {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

type certificate struct {
	certificate *x509.Certificate
	pem         []byte // with its key
}

func newCertificate(t *testing.T) *certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "web"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	encoded = append(encoded, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	return &certificate{parsed, encoded}
}

// signInByHand is "signin [app]": alice signs in as with somebody's own web framework. It writes code, callback and
// verifier.
func signInByHand(ts *testscript.TestScript, neg bool, args []string) {
	app, redirect := sceneOf(ts).Directory().App("web"), redirectURI
	if len(args) == 1 && args[0] == "native" {
		app, redirect = sceneOf(ts).Directory().App("native"), "http://localhost:3000"
	} else if neg || len(args) > 0 {
		ts.Fatalf("usage: signin [native]")
	}
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id":             {app.ClientID},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
		"redirect_uri":          {redirect},
		"response_type":         {"code"},
		"scope":                 {graphScope + " openid profile offline_access"},
		"state":                 {"s"},
	}
	callback, err := sceneOf(ts).Authorize(context.Background(), sceneOf(ts).URL()+"/"+ts.Getenv("TENANT")+"/oauth2/v2.0/authorize?"+query.Encode(), demoUser)
	ts.Check(err)
	for name, content := range map[string]string{
		"code": callback.Query().Get("code"), "callback": callback.String(), "verifier": verifier,
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(content+"\n"), 0o600))
	}
}

// checkPosts is "posts N": the token requests so far.
func checkPosts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: posts N")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := len(sceneOf(ts).tokenForms()); got != want {
		ts.Fatalf("%d token requests, want %d", got, want)
	}
}

func (s *scene) tokenForms() []url.Values {
	var forms []url.Values
	for _, request := range s.Requests() {
		if request.Endpoint == "token" {
			forms = append(forms, request.Form)
		}
	}
	return forms
}

// checkToken is "token FILE SCP": the file holds an access token alone, one the emulator made.
func checkToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: token FILE SCP")
	}
	claims, err := sceneOf(ts).VerifyAccessToken(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"))
	ts.Check(err)
	if claims["scp"] != args[1] {
		ts.Fatalf("scp is %v, want %s", claims["scp"], args[1])
	}
}

// holdTokens keeps token requests waiting until their client leaves.
func holdTokens(ts *testscript.TestScript, _ bool, _ []string) {
	s := sceneOf(ts)
	s.Inject(entratest.Fault{Latency: time.Hour, Times: 1, When: func(*http.Request) bool {
		close(s.held)
		return true
	}})
}

// awaitRequest waits for a request that hold-tokens holds up, and looks at the commands' arguments meanwhile, as ps does.
func awaitRequest(ts *testscript.TestScript, _ bool, _ []string) {
	<-sceneOf(ts).held
	lists, err := filepath.Glob("/proc/[0-9]*/cmdline")
	ts.Check(err)
	for _, list := range lists {
		arguments, err := os.ReadFile(list)
		if err == nil && bytes.HasPrefix(arguments, []byte("authcode\x00")) { // others are not ours, or have ended
			sceneOf(ts).mustHoldNoSecret(ts, list, arguments)
		}
	}
}

// noSecrets is "no-secrets FILE...", of which stdout and stderr are two.
func noSecrets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: no-secrets FILE...")
	}
	for _, file := range args {
		sceneOf(ts).mustHoldNoSecret(ts, file, []byte(ts.ReadFile(file)))
	}
}

var jwt = regexp.MustCompile(`eyJ[\w-]{8}`)

func (s *scene) mustHoldNoSecret(ts *testscript.TestScript, where string, text []byte) {
	secrets := append(s.Directory().App("web").Secrets, "PRIVATE KEY")
	for _, form := range s.tokenForms() {
		for _, name := range []string{"client_secret", "client_assertion", "code", "code_verifier", "refresh_token"} {
			if secret := form.Get(name); secret != "" {
				secrets = append(secrets, secret)
			}
		}
	}
	for _, secret := range secrets {
		if bytes.Contains(text, []byte(secret)) {
			ts.Fatalf("%s holds the secret %s", where, secret)
		}
	}
	if jwt.Match(text) {
		ts.Fatalf("%s holds a token", where)
	}
}

// checkJSON is "json FILE PATH PATTERN": the whole value at the path, such as steps.0.name, matches; a list is as long
// as its number says.
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: json FILE PATH PATTERN")
	}
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	decoder.UseNumber()
	var value any
	ts.Check(decoder.Decode(&value))
	if decoder.More() {
		ts.Fatalf("%s holds more than one document", args[0])
	}
	for _, name := range strings.Split(args[1], ".") {
		value = member(value, name)
	}
	text := fmt.Sprint(value)
	if list, ok := value.([]any); ok {
		text = strconv.Itoa(len(list))
	}
	if !regexp.MustCompile(`^(?:` + args[2] + `)$`).MatchString(text) {
		ts.Fatalf("%s is %s, want %s", args[1], text, args[2])
	}
}

func member(value any, name string) any {
	switch v := value.(type) {
	case map[string]any:
		return v[name]
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i < len(v) {
			return v[i]
		}
	}
	return nil
}

// verifierToEnv puts what signin wrote into AUTHCODE_CODE_VERIFIER.
func verifierToEnv(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Setenv(envCodeVerifier, strings.TrimSpace(ts.ReadFile("verifier")))
}

// execCode is "exec-code N program args...": the program ends with just this exit code.
func execCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exec-code N program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if failed, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...)); ok {
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
