package authcode_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
)

// FuzzCallback hands an App whatever a browser can send it: any query, and any text where the sealed flow should be.
// Nothing may panic; a flow opens from its own text alone; and a code is sent only if the query belongs to the flow, to
// the one token endpoint, once, as it came. Errors may repeat what the browser said, but no secret of the sign-in.
//
// $code, $state, $issuer, $verifier and $nonce in the query, and $sealed in the other text, stand for the real ones, so
// that the corpus means the same in every run.
func FuzzCallback(f *testing.F) {
	for _, file := range forgeFiles[callbackVector](f, "callback/*.json") {
		for _, v := range file.Vectors {
			if seed := forgeRepeat(v.Query); len(seed) <= 64<<10 {
				f.Add(seed, "$sealed")
			}
		}
	}
	for _, sealed := range []string{"", "AAAA", "$sealed=", "$sealed$sealed", "$sealed\n", " $sealed", strings.Repeat("A", 3000), "\xff", "AQAAAAA"} {
		f.Add("code=$code&state=$state", sealed)
	}
	callback := &callbackFuzzer{server: newForge(f, "")}
	callback.app = callback.server.newApp(nil)
	callback.begin(f)
	f.Fuzz(func(t *testing.T, query, sealed string) {
		callback.server.tb = t
		if time.Until(callback.flow.Expires) < time.Minute {
			callback.begin(t)
		}
		callback.run(t, query, sealed)
	})
}

type callbackFuzzer struct {
	server *forge
	app    *authcode.App
	flow   *authcode.Flow
	code   string
	sealed string
}

func (c *callbackFuzzer) begin(tb testing.TB) {
	c.server.codes, c.server.grants, c.server.secrets = map[string]*forgeCode{}, map[string]*forgeCode{}, nil // of the flows before
	flow, callback := c.server.begin(c.app, nil)
	sealed, err := c.app.SealFlow(flow)
	if err != nil {
		tb.Fatal(err)
	}
	c.flow, c.code, c.sealed = flow, callback.Get("code"), sealed
}

func (c *callbackFuzzer) run(t *testing.T, query, sealed string) {
	sealed = strings.ReplaceAll(sealed, "$sealed", c.sealed)
	query = strings.NewReplacer(
		"$code", c.code, "$state", c.flow.State, "$issuer", url.QueryEscape(c.server.origin),
		"$verifier", c.flow.CodeVerifier, "$nonce", c.flow.Nonce,
	).Replace(query)
	flow, err := c.app.OpenFlow(sealed)
	if (err == nil) != (sealed == c.sealed) {
		t.Fatalf("the sealed flow is right: %v, but opening it gave %v", sealed == c.sealed, err)
	}
	values, _ := url.ParseQuery(query) // net/http too goes on with what it could read
	if err != nil {
		c.wantPrintable(t, values, err)
		return
	}
	c.server.requests = nil
	credential, err := c.app.Redeem(t.Context(), flow, values)
	if (credential == nil) != (err != nil) {
		t.Fatalf("both or neither: %v, %v", credential, err)
	}
	c.wantPrintable(t, values, err)
	var sent []forgeRequest
	defer func() {
		if len(sent) > 0 {
			c.begin(t) // the same callback again would get the first one's result
		}
	}()
	for _, request := range c.server.requests {
		if request.endpoint == "token" {
			sent = append(sent, request)
		}
	}
	if wanted := c.belongs(values); len(sent) > 1 || (len(sent) == 1) != wanted {
		t.Fatalf("%d token requests for %q, which belongs to the flow: %v", len(sent), query, wanted)
	}
	if err == nil && values.Get("code") != c.code {
		t.Fatal("signed in with a code that was not issued")
	}
	for _, request := range sent {
		for name, want := range map[string]string{
			"client_id": forgeClient, "client_secret": forgeSecret, "code": values.Get("code"),
			"code_verifier": flow.CodeVerifier, "grant_type": "authorization_code", "redirect_uri": redirectURI,
		} {
			if got := request.form[name]; len(got) != 1 || got[0] != want {
				t.Errorf("the token request has %s %q", name, got)
			}
		}
		if got := request.header.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
			t.Errorf("the token request has the type %s", got)
		}
		if request.header.Get("Cookie") != "" || request.header.Get("Authorization") != "" {
			t.Error("the token request has a cookie or other credentials")
		}
	}
}

// belongs is the rule in other words than the package's: the flow's state, once; no error; one code, of 1 to 16384
// printable ASCII characters that are not all blanks; and no issuer but the server's.
func (c *callbackFuzzer) belongs(values url.Values) bool {
	printable := func(s string) bool {
		return s != "" && strings.Trim(s, " ") != "" && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
	}
	states, codes, issuers := values["state"], values["code"], values["iss"]
	_, failed := values["error"]
	return len(states) == 1 && states[0] == c.flow.State &&
		!failed &&
		len(codes) == 1 && printable(codes[0]) && len(codes[0]) <= 16<<10 &&
		(len(issuers) == 0 || len(issuers) == 1 && issuers[0] == c.server.origin)
}

// wantPrintable: an error is one line of bounded length, and has no secret of the sign-in. That a text is the code can only
// be known where it stands as one.
func (c *callbackFuzzer) wantPrintable(t *testing.T, values url.Values, err error) {
	if err == nil {
		return
	}
	text := err.Error()
	if len(text) > 8<<10 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' }) {
		t.Fatalf("an error unfit to print: %.200q", text)
	}
	secrets := []string{c.flow.CodeVerifier, c.sealed, forgeSecret}
	if slices.Contains(values["code"], c.code) {
		secrets = append(secrets, c.code)
	}
	forgeWantNoSecrets(t, err, secrets)
}
