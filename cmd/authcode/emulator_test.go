package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/authcode-go/authcode/entratest"
)

const (
	oneUser  = `{"tenants":[{"domain":"tailspin.example"}],"users":[{"username":"ana@tailspin.example"}]}`
	twoUsers = `{"tenants":[{"domain":"tailspin.example"}],"users":[{"username":"ana@tailspin.example"},{"username":"ben@tailspin.example"}]}`
)

// replaceFile writes a file as editors do, so that nobody reads half of it.
func replaceFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// events reads what emulator --json prints.
func events(t *testing.T, output io.Reader) func() eventDocument {
	lines := bufio.NewScanner(output)
	return func() eventDocument {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the output ended")
		}
		var d eventDocument
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
}

func TestEmulatorFollowsItsConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.json")
	replaceFile(t, path, oneUser)
	file := &configFile{path: path}
	directory, err := file.read()
	if err != nil {
		t.Fatal(err)
	}
	server, err := entratest.NewServer(&entratest.Options{Directory: directory})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	state, err := openStateDir(filepath.Join(t.TempDir(), "new", "state"))
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		run := &emulation{server: server, state: state, file: file, every: time.Millisecond, out: &emulatorJSON{out: writer}}
		ended <- run.serve(ctx)
	}()
	next := events(t, reader)
	users := func() int {
		t.Helper()
		content, err := os.ReadFile(state.path(stateFile))
		if err != nil {
			t.Fatal(err)
		}
		var d stateDocument
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatal(err)
		}
		if told, known := len(d.Users), len(server.Directory().Users); told != known {
			t.Errorf("%s has %d users, the emulator %d", stateFile, told, known)
		}
		return len(d.Users)
	}
	if d := next(); d.Event != "listening" || d.Config != path || users() != 1 {
		t.Fatalf("it began with %+v", d)
	}
	replaceFile(t, path, twoUsers)
	if d := next(); d.Event != "reloaded" || users() != 2 {
		t.Fatalf("after a good change: %+v", d)
	}
	for name, test := range map[string]struct{ content, want string }{
		"no JSON":   {`{"users":`, `not JSON`},
		"no tenant": {`{"users":[{"username":"ana@tailspin.example","tenant_id":"nowhere"}]}`, `users\[0\]\.tenant_id`},
	} {
		replaceFile(t, path, test.content)
		if d := next(); d.Event != "not-reloaded" || !regexp.MustCompile(test.want).MatchString(d.Error) || users() != 2 {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if d := next(); d.Event != "not-reloaded" || !strings.Contains(d.Error, "cannot be read") || users() != 2 {
		t.Errorf("after the file was removed: %+v", d)
	}
	replaceFile(t, path, oneUser)
	if d := next(); d.Event != "reloaded" || users() != 1 {
		t.Errorf("after it came back: %+v", d)
	}
	cancel()
	if d := next(); d.Event != "stopped" {
		t.Errorf("it ended with %+v", d)
	}
	if err := <-ended; err != nil {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Stat(state.path(stateFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", stateFile, err)
	}
}

func TestEmulatorSaysForPeopleWhyItDidNotReload(t *testing.T) {
	var out, errs bytes.Buffer
	p := &emulatorText{out: &out, err: &errs}
	err := p.notReloaded("d.json", problems{errors.New("entratest: a: no\nentratest: b: \x1b[2Jno")})
	if want := "authcode: not reloaded, the directory is as it was: a: no; b: ?[2Jno\n"; err != nil || out.Len() > 0 || errs.String() != want {
		t.Errorf("error %v, output %q, errors %q", err, &out, &errs)
	}
	full := &emulatorText{out: fullDisk{}}
	if err := full.reloaded("d.json", stateDocument{}); !errors.Is(err, errFull) {
		t.Errorf("a full disk gives %v", err)
	}
}

// Colours are on the text, not in its place: the columns stay where they are.
func TestEmulatorColoursAreOnlyColours(t *testing.T) {
	show := func(on bool) string {
		var out bytes.Buffer
		p := &emulatorText{out: &out, palette: palette{on}}
		server, err := entratest.NewServer(&entratest.Options{Addr: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = server.Close() }()
		d := newStateDocument(server, "/state/ca.pem")
		d.Authority = "https://localhost:8443"
		p.listening(started{document: d, address: server.Addr(), console: "c", stateFile: "s"})
		return regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(out.String(), "ADDRESS")
	}
	plain, coloured := show(false), show(true)
	if strings.Contains(plain, "\x1b") || !strings.Contains(coloured, "\x1b[") {
		t.Fatalf("plain %q, coloured %q", plain, coloured)
	}
	trim := func(text string) string { return regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, "") }
	if stripped := trim(regexp.MustCompile(`\x1b\[[\d;]*m`).ReplaceAllString(coloured, "")); stripped != trim(plain) {
		t.Errorf("with colours:\n%s\nwithout:\n%s", stripped, plain)
	}
}

func TestEmulatorVariablesAreQuoted(t *testing.T) {
	for value, want := range map[string][2]string{
		"/home/a/ca.pem":        {"export X=/home/a/ca.pem", "$env:X = '/home/a/ca.pem'"},
		"/home/a b/it's/ca.pem": {`export X='/home/a b/it'\''s/ca.pem'`, "$env:X = '/home/a b/it''s/ca.pem'"},
		"$(rm)":                 {`export X='$(rm)'`, "$env:X = '$(rm)'"},
		"":                      {"export X=''", "$env:X = ''"},
	} {
		v := variable{name: "X", value: value}
		if got := [2]string{v.export("linux"), v.export("windows")}; got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestEmulatorAuthorityIsRenewed(t *testing.T) {
	state, err := openStateDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	first, renewed, err := state.authority("localhost", now)
	if err != nil || renewed {
		t.Fatalf("renewed %v, error %v", renewed, err)
	}
	serial := func() string {
		t.Helper()
		content, err := os.ReadFile(state.path(caFile))
		if err != nil {
			t.Fatal(err)
		}
		block, rest := pem.Decode(content)
		if block == nil || len(rest) > 0 {
			t.Fatalf("%s holds %q", caFile, content)
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return ca.SerialNumber.String()
	}
	for _, test := range []struct {
		name, host string
		at         time.Time
		renewed    bool
	}{
		{"the next day", "localhost", now.AddDate(0, 0, 1), false},
		{"by address", "127.0.0.1", now, false},
		{"before it expires", "localhost", now.AddDate(0, 11, 10), true},
		{"for a host", "entra.test", now, true},
		{"for the host again", "ENTRA.test", now, false},
		{"for an address", "192.0.2.7", now, true},
	} {
		before := serial()
		ca, renewed, err := state.authority(test.host, test.at)
		if err != nil || renewed != test.renewed || (serial() != before) != test.renewed || ca.Leaf.SerialNumber.String() != serial() {
			t.Errorf("%s: renewed %v, error %v", test.name, renewed, err)
		}
	}
	if serial() == first.Leaf.SerialNumber.String() {
		t.Error("the first is still there")
	}
}

// An emulator that ends leaves another's file alone.
func TestEmulatorWithdrawsItsOwnFile(t *testing.T) {
	dir := t.TempDir()
	one, err := openStateDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	two := one
	if err := errors.Join(one.publish(stateDocument{Authority: "https://localhost:1"}), two.publish(stateDocument{Authority: "https://localhost:2"})); err != nil {
		t.Fatal(err)
	}
	one.withdraw()
	if content, err := os.ReadFile(one.path(stateFile)); err != nil || !bytes.Contains(content, []byte("localhost:2")) {
		t.Errorf("%q %v", content, err)
	}
	two.withdraw()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

func TestEmulatorListener(t *testing.T) {
	for name, test := range map[string]struct {
		flags               emulatorFlags
		listen, host, wrong string
	}{
		"default":              {emulatorFlags{addr: "127.0.0.1:8443"}, "127.0.0.1:8443", "localhost", ""},
		"by name":              {emulatorFlags{addr: "localhost:1"}, "127.0.0.1:1", "localhost", ""},
		"IPv6":                 {emulatorFlags{addr: "[::1]:1"}, "[::1]:1", "::1", ""},
		"another loopback":     {emulatorFlags{addr: "127.0.0.2:1"}, "127.0.0.2:1", "127.0.0.2", ""},
		"a name for it":        {emulatorFlags{addr: "127.0.0.1:1", host: "entra.test"}, "127.0.0.1:1", "entra.test", ""},
		"everywhere, allowed":  {emulatorFlags{addr: ":1", allowRemote: true}, ":1", "localhost", ""},
		"all of IPv4, allowed": {emulatorFlags{addr: "0.0.0.0:1", allowRemote: true}, "0.0.0.0:1", "localhost", ""},
		"one address, allowed": {emulatorFlags{addr: "192.0.2.7:1", allowRemote: true}, "192.0.2.7:1", "192.0.2.7", ""},
		"and a name for it":    {emulatorFlags{addr: "0.0.0.0:1", allowRemote: true, host: "entra.test"}, "0.0.0.0:1", "entra.test", ""},
		"everywhere":           {emulatorFlags{addr: ":1"}, "", "", "add --allow-remote"},
		"one address":          {emulatorFlags{addr: "192.0.2.7:1"}, "", "", "add --allow-remote"},
		"no port":              {emulatorFlags{addr: "127.0.0.1"}, "", "", "--addr is HOST:PORT"},
		"a port in the host":   {emulatorFlags{addr: "127.0.0.1:1", host: "entra.test:1"}, "", "", "without a port"},
	} {
		listen, host, err := test.flags.listener(&cobra.Command{Use: "emulator"})
		if listen != test.listen || host != test.host || (err == nil) != (test.wrong == "") || (err != nil && !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%s: %q %q %v", name, listen, host, err)
		}
	}
}
