package main

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// background is an "authcode emulator" that a script started.
type background struct {
	process *exec.Cmd
	output  *bufio.Scanner
	errors  strings.Builder
	lines   strings.Builder // of the output so far
	ended   bool
}

// startEmulatorProcess is "start-emulator ARGS...": when it is done, the emulator accepts connections.
func startEmulatorProcess(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: start-emulator ARGS...")
	}
	startProcess(ts, append([]string{"emulator"}, args...))
}

// startDemoProcess is "start-demo ARGS...": the same for "authcode demo --serve".
func startDemoProcess(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: start-demo ARGS...")
	}
	startProcess(ts, append([]string{"demo", "--serve"}, args...))
}

func startProcess(ts *testscript.TestScript, args []string) {
	b := &background{process: exec.Command(programOf(ts), args...)}
	b.process.Dir = ts.MkAbs(".")
	b.process.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "XDG_CACHE_HOME="+ts.MkAbs("cache"), "LocalAppData="+ts.MkAbs("cache"), "GORACE=atexit_sleep_ms=10")
	b.process.Stderr = &b.errors
	output, err := b.process.StdoutPipe()
	ts.Check(err)
	b.output = bufio.NewScanner(output)
	ts.Check(b.process.Start())
	ts.Defer(func() {
		if !b.ended {
			_ = b.process.Process.Kill()
			_ = b.process.Wait()
		}
	})
	sceneOf(ts).emulator = b
	awaitOutput(ts, false, []string{`^listening on |"event":"listening"`})
}

func programOf(ts *testscript.TestScript) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		for _, name := range []string{"authcode", "authcode.exe"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return filepath.Join(dir, name)
			}
		}
	}
	ts.Fatalf("there is no authcode in PATH")
	return ""
}

// awaitOutput is "await-output PATTERN": it reads the emulator's output until a line matches.
func awaitOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await-output PATTERN")
	}
	b, pattern := sceneOf(ts).emulator, regexp.MustCompile(args[0])
	for b.output.Scan() {
		fmt.Fprintln(&b.lines, b.output.Text())
		if pattern.MatchString(b.output.Text()) {
			return
		}
	}
	err := b.process.Wait()
	b.ended = true
	ts.Fatalf("the output ended (%v) before %s:\n%s%s", err, args[0], &b.lines, &b.errors)
}

// endEmulator is "end-emulator INT|TERM": the emulator gets the signal, ends with exit code 0, and its output is in the
// files emulator-stdout and emulator-stderr.
func endEmulator(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: end-emulator INT|TERM")
	}
	b := sceneOf(ts).emulator
	ts.Check(b.process.Process.Signal(map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}[args[0]]))
	for b.output.Scan() {
		fmt.Fprintln(&b.lines, b.output.Text())
	}
	err := b.process.Wait()
	b.ended = true
	ts.Check(os.WriteFile(ts.MkAbs("emulator-stdout"), []byte(b.lines.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("emulator-stderr"), []byte(b.errors.String()), 0o600))
	if err != nil {
		ts.Fatalf("the emulator ended with %v: %s", err, &b.errors)
	}
}

// checkMode is "mode FILE 0600".
func checkMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE 0600")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("the mode of %s is %s, want %s", args[0], got, args[1])
	}
}

// setMode is "chmod-file FILE 0644".
func setMode(ts *testscript.TestScript, _ bool, args []string) {
	mode, err := strconv.ParseUint(args[1], 8, 32)
	ts.Check(err)
	ts.Check(os.Chmod(ts.MkAbs(args[0]), os.FileMode(mode)))
}

// signInAt is "signin-at DIR": the first user signs in to the first app of the emulator whose
// state directory it is, as a script in any language would let them. It writes code, verifier and secret, and sets
// $ADDR, $AUTHORITY, $CLIENT, $REDIRECT and $TENANT.
func signInAt(ts *testscript.TestScript, neg bool, args []string) {
	var state stateDocument
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0]+"/emulator.json")), &state))
	app, user := state.Apps[0], state.Users[0]
	ts.Setenv("ADDR", strings.TrimPrefix(state.Authority, "https://"))
	ts.Setenv("AUTHORITY", state.Authority)
	ts.Setenv("REDIRECT", app.RedirectURIs[0])
	ts.Setenv("CLIENT", app.ClientID)
	ts.Setenv("TENANT", app.TenantID)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile(state.CAFile)))
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id":             {app.ClientID},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
		"emulator_user":         {user.Username},
		"redirect_uri":          {app.RedirectURIs[0]},
		"response_type":         {"code"},
		"scope":                 {"openid profile offline_access User.Read"},
	}
	response, err := client.Get(state.Authority + "/" + app.TenantID + "/oauth2/v2.0/authorize?" + query.Encode())
	ts.Check(err)
	body, err := io.ReadAll(response.Body)
	ts.Check(errors.Join(err, response.Body.Close()))
	callback, err := response.Location()
	if err != nil {
		ts.Fatalf("authorize answers %s: %s", response.Status, body)
	}
	for name, content := range map[string]string{"code": callback.String(), "verifier": verifier, "secret": app.Secrets[0]} {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(content), 0o600))
	}
}
