package authcode_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
)

// FuzzIDToken hands any text to the verification of ID tokens: what it takes is, byte for byte, a token that the server
// minted. Another text that means the same would be another key wherever tokens are compared or logged, and is how
// parsers come to disagree.
//
// An ECDSA signature has a twin, (r, -s), that any verifier takes; a fuzzer does not come upon it.
func FuzzIDToken(f *testing.F) {
	fuzzed := newIDTokenFuzzer(f)
	for layout := range fuzzed {
		for token := range fuzzed[layout].minted {
			f.Add(uint8(layout), token)
		}
	}
	for _, file := range forgeFiles[forgeVector](f, "idtoken/*.json") {
		for _, v := range file.Vectors {
			if file.Case == 78 || v.Published != nil || v.At == "adfs" || v.Alg == "PS256" {
				continue // of a time that comes to pass while a fuzzer runs; of another server than these; good elsewhere
			}
			layout := v.layout()
			if v.Claims["exp"] == nil { // so that nothing but the vector's own fault speaks against it
				v.Claims = maps.Clone(v.Claims)
				if v.Claims == nil {
					v.Claims = map[string]json.RawMessage{}
				}
				maps.Copy(v.Claims, idTokenFuzzerLong)
			}
			if token := v.mintAt(fuzzed[layout].server, idTokenFuzzerSignIn(), idTokenFuzzerNow); len(v.Error) > 0 && len(token) < 64<<10 {
				f.Add(uint8(layout), token)
			}
		}
	}
	f.Fuzz(func(t *testing.T, layout uint8, token string) {
		one := fuzzed[int(layout)%len(fuzzed)]
		one.server.tb = t
		err := authcode.VerifyIDToken(t.Context(), one.app, one.server.segment, token, "n")
		switch {
		case err == nil && !one.minted[token]:
			t.Fatalf("a text of %d bytes was taken that nobody minted: %q", len(token), token)
		case err != nil && one.minted[token]:
			t.Fatalf("a good token was refused: %v", err)
		case err != nil && (len(err.Error()) > 2<<10 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f })):
			t.Fatalf("an error unfit to print: %.200q", err.Error())
		}
	})
}

// idTokenFuzzed is a server, and the tokens of it that are good for decades: every worker of a fuzz run mints the same.
type idTokenFuzzed struct {
	server *forge
	app    *authcode.App
	minted map[string]bool
}

// idTokenFuzzerLong is good until 2100.
var idTokenFuzzerLong = forgeMembers("exp", "4102444800")

var idTokenFuzzerNow = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func idTokenFuzzerSignIn() forgeCode {
	return forgeCode{user: forgeNewUser("mallory"), query: url.Values{"nonce": {"n"}}}
}

// layout is where a vector belongs: 0 an Entra tenant, 1 common, 2 own endpoints.
func (v *forgeVector) layout() int {
	return map[string]int{"common": 1, "organizations": 1, "own": 2}[v.At]
}

func newIDTokenFuzzer(f *testing.F) []*idTokenFuzzed {
	long := idTokenFuzzerLong
	good := []forgeVector{{Claims: long}, {Claims: long, HeaderWithout: []string{"kid", "typ"}}, {Claims: forgeMembers("exp", "4102444800", "aud", `["$client"]`)}}
	var fuzzed []*idTokenFuzzed
	for i, at := range []string{forgeTenant, "common", "own"} {
		one := &idTokenFuzzed{minted: map[string]bool{}}
		v := forgeVector{At: at, Published: []forgeJWK{{Key: "rsa-1"}, {Key: "ec-1"}}}
		one.server, one.app = v.newForge(f)
		// The issuer is in the tokens, and each process counts its servers.
		one.server.origin = []string{"https://fuzz-tenant.example", "https://fuzz-common.example", "https://fuzz-own.example"}[i]
		_ = one.app.Close()
		one.app = one.server.newApp(nil)
		for _, v := range good {
			one.minted[v.mintAt(one.server, idTokenFuzzerSignIn(), idTokenFuzzerNow)] = true
		}
		if at == "own" {
			es256 := forgeVector{Claims: long, Header: forgeMembers("alg", `"ES256"`, "kid", `"ec-1"`), Alg: "ES256", Key: "ec-1"}
			one.minted[es256.mintAt(one.server, idTokenFuzzerSignIn(), idTokenFuzzerNow)] = true
		}
		fuzzed = append(fuzzed, one)
	}
	return fuzzed
}
