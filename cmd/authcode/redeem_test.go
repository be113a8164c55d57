package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/authcode-go/authcode"
)

func TestCodeFromCallback(t *testing.T) {
	for name, test := range map[string]struct{ callback, redirectURI, code, err string }{
		"query":               {"https://a.example/cb?code=C&state=s", "https://a.example/cb", "C", ""},
		"fragment":            {"https://a.example/cb#code=C&state=s", "https://a.example/cb", "C", ""},
		"encoded":             {"https://a.example/cb?code=a%2Fb%2Bc", "https://a.example/cb", "a/b+c", ""},
		"no path":             {"http://localhost:3000/?code=C", "http://localhost:3000", "C", ""},
		"a query of its own":  {"https://a.example/cb?x=1&code=C", "https://a.example/cb?x=1", "C", ""},
		"case of the host":    {"HTTPS://A.example/cb?code=C", "https://a.EXAMPLE/cb", "C", ""},
		"an app's own scheme": {"msal1://auth?code=C", "msal1://auth", "C", ""},
		"another host":        {"https://b.example/cb?code=C", "https://a.example/cb", "", "begins with https://b.example/cb, not with --redirect-uri"},
		"another path":        {"https://a.example/CB?code=C", "https://a.example/cb", "", "begins with"},
		"another port":        {"http://localhost:1/?code=C", "http://localhost:2/", "", "begins with"},
		"no code":             {"https://a.example/cb?state=s", "https://a.example/cb", "", "does not hold one code"},
		"an empty code":       {"https://a.example/cb?code=", "https://a.example/cb", "", "does not hold one code"},
		"two codes":           {"https://a.example/cb?code=C&code=D", "https://a.example/cb", "", "does not hold one code"},
		"an error":            {"https://a.example/cb?error=access_denied&code=C", "https://a.example/cb", "", "an error: access_denied"},
		"a bad escape":        {"https://a.example/cb?code=%zz", "https://a.example/cb", "", "cannot be read"},
		"no URL":              {"https://a.example:port/cb?code=C", "https://a.example/cb", "", "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			code, err := codeFromCallback(test.callback, test.redirectURI)
			if code != test.code || (err == nil) != (test.err == "") {
				t.Fatalf("code %q, error %v", code, err)
			}
			if err != nil && (!strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "code=")) {
				t.Errorf("error is %q, want %q in it, and no code", err, test.err)
			}
		})
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupt")
	cancel(why)
	reader, writer := io.Pipe() // nobody writes
	defer func() { _ = writer.Close() }()
	if _, err := readAll(ctx, reader); !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
}

func TestExitCodes(t *testing.T) {
	failed, misuse := errors.New("authcode: it\nfailed \x1b[2J"), &usageError{command: "authcode demo", text: "no"}
	for name, test := range map[string]struct {
		err         error
		interrupted bool
		code        int
		text        string
	}{
		"done":                    {nil, false, exitOK, ""},
		"done, then interrupted":  {nil, true, exitOK, ""},
		"failed":                  {failed, false, exitFailed, "authcode: it failed ?[2J\n"},
		"called wrongly":          {misuse, false, exitUsage, "authcode: no\nRun 'authcode demo --help' for what it takes.\n"},
		"interrupted while at it": {failed, true, exitInterrupted, "authcode: interrupted\n"},
	} {
		var out bytes.Buffer
		if code := report(&out, test.err, test.interrupted); code != test.code || out.String() != test.text {
			t.Errorf("%s: code %d, text %q", name, code, out.String())
		}
	}
}

func TestRedeemedTokenIsDescribed(t *testing.T) {
	r := redeemed{
		token:   azcore.AccessToken{Token: "the-token", ExpiresOn: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)},
		account: &authcode.Account{Name: "Alice\x1b Anders", TenantID: "contoso", Username: "alice@contoso.example"},
	}
	want := "Access token, good until 2026-01-02 03:04:05, for alice@contoso.example (Alice? Anders) of tenant contoso."
	if got := r.describe(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.account = nil
	if got := r.describe(); got != "Access token, good until 2026-01-02 03:04:05." {
		t.Errorf("without an account: %q", got)
	}
	if err := r.print(streams{out: fullDisk{}, err: io.Discard}, outputText); !errors.Is(err, errFull) {
		t.Errorf("a full disk gives %v", err)
	}
}

func TestShortenTellsLittle(t *testing.T) {
	for value, want := range map[string]string{
		"":                         "[redacted] (0 characters)",
		"short-secret":             "[redacted] (12 characters)",
		strings.Repeat("äbcd", 20): "äbcd… (80 characters)",
	} {
		if got := shorten(value); got != want {
			t.Errorf("shorten(%q) is %q, want %q", value, got, want)
		}
	}
}
