package authcode_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
)

// The OpenID Foundation's tests of relying parties (gitlab.com/openid/conformance-suite), re-enacted module by module
// under the modules' own names: the server that the suite plays is the forge here. Each module runs against a server
// with Endpoints of its own and, where "entra" is said, against one laid out as Entra ID. This is no certification,
// which needs the public suite.
//
// Not applicable, since nothing here calls a userinfo endpoint, takes an authorization answer other than a code, or
// sends request objects and sender-constrained tokens:
//
//	oidcc-client-test-userinfo-invalid-sub               no userinfo
//	oidcc-client-test-userinfo-signed                    no userinfo
//	oidcc-client-test-userinfo-bearer-header, -body      no userinfo
//	oidcc-client-test-missing-chash, -invalid-chash      hybrid: c_hash comes with an ID token from the front channel
//	oidcc-client-test-missing-athash                     implicit; with a code at_hash is optional, a wrong one is below
//	oidcc-client-test-request-uri-*                      no request objects
//	oidcc-client-test-3rd-party-init-login               an endpoint of the site, not of this package
//	…-rs-dpop-auth-scheme-case-insensitivity             no DPoP
//	…-happy-path-no-dpop-nonce                           no DPoP
//
// Of oidcc-client-test and oidcc-client-test-scope-userinfo-claims the part without userinfo is done: the code flow, and
// the claims in the ID token.

// conformanceModule plays one module: it prepares the server, signs in, and says what must come of it.
type conformanceModule struct {
	name   string
	entra  bool // also against an Entra layout
	notOwn bool // only there

	token   forgeVector                      // what is wrong with the ID token
	server  func(*forge)                     // what is wrong with the server
	arrives func(*forge, url.Values)         // what is wrong with the callback
	auth    authcode.ClientAuth              // nil: the secret, posted
	fails   []string                         // the words of the refusal; none: the user signs in
	later   string                           // the word of what is refused after the sign-in, at a refresh
	unsent  bool                             // the refusal comes before the code is sent
	after   func(*testing.T, *conformedUser) // what is done once the user has signed in
}

// conformedUser is a user who got in.
type conformedUser struct {
	c   *authcode.AuthorizationCodeCredential
	app *authcode.App
	f   *forge

	refused error // at a refresh
}

func TestConformanceBasicRP(t *testing.T) {
	conformanceRun(t, "Basic RP", []conformanceModule{
		{name: "oidcc-client-test", entra: true, after: func(t *testing.T, u *conformedUser) {
			if mustToken(t, u.c, tokenFor(graphScope)).Token == "" {
				t.Error("no token")
			}
			u.f.wantCount("token", 1)
		}},
		{name: "oidcc-client-test-invalid-iss", entra: true,
			token: forgeVector{Claims: forgeMembers("iss", `"https://issuer.invalid"`)}, fails: []string{"issuer"}},
		{name: "oidcc-client-test-invalid-aud", entra: true,
			token: forgeVector{Claims: forgeMembers("aud", `"invalid_aud"`)}, fails: []string{"audience"}},
		{name: "oidcc-client-test-missing-sub", entra: true,
			token: forgeVector{ClaimsWithout: []string{"sub"}}, fails: []string{"subject"}},
		{name: "oidcc-client-test-missing-iat", entra: true,
			token: forgeVector{ClaimsWithout: []string{"iat"}}, fails: []string{"(iat)"}},
		{name: "oidcc-client-test-kid-absent-single-jwks", entra: true,
			token:  forgeVector{HeaderWithout: []string{"kid"}},
			server: func(f *forge) { f.published = []forgeJWK{{Key: "rsa-1", Without: []string{"kid"}}} }},
		{name: "oidcc-client-test-kid-absent-multiple-jwks", entra: true,
			token: forgeVector{HeaderWithout: []string{"kid"}},
			server: func(f *forge) {
				f.published = []forgeJWK{{Key: "rsa-2", Without: []string{"kid"}}, {Key: "rsa-1", Without: []string{"kid"}}}
			}},
		{name: "oidcc-client-test-idtoken-sig-rs256", entra: true,
			token: forgeVector{Header: forgeMembers("alg", `"RS256"`), Alg: "RS256"}},
		{name: "oidcc-client-test-idtoken-sig-none", entra: true,
			token: forgeVector{Header: forgeMembers("alg", `"none"`), HeaderWithout: []string{"kid"}, Alg: "none"}, fails: []string{"algorithm"}},
		{name: "oidcc-client-test-invalid-sig-rs256", entra: true,
			token: forgeVector{Shape: "flip:2"}, fails: []string{"signature"}},
		{name: "oidcc-client-test-invalid-sig-es256",
			token:  forgeVector{Header: forgeMembers("alg", `"ES256"`, "kid", `"ec-1"`), Alg: "ES256", Key: "ec-1", Shape: "flip:2"},
			server: func(f *forge) { f.published = []forgeJWK{{Key: "ec-1"}} }, fails: []string{"signature"}},
		{name: "oidcc-client-test-invalid-sig-hs256", entra: true,
			token: forgeVector{Header: forgeMembers("alg", `"HS256"`), Alg: "HS256 n"}, fails: []string{"algorithm"}},
		{name: "oidcc-client-test-nonce-invalid", entra: true,
			token: forgeVector{Claims: forgeMembers("nonce", `"invalid"`)}, fails: []string{"nonce"}},
		{name: "oidcc-client-test-scope-userinfo-claims", entra: true,
			token: forgeVector{Claims: forgeMembers("email", `"mallory@forge.example"`, "phone_number", `"+1 555 0100"`, "address", `{"country":"Wonderland"}`)},
			after: conformanceClaims},
		{name: "oidcc-client-test-client-secret-basic", entra: true, auth: authcode.SecretBasicAuth(forgeSecret),
			after: func(t *testing.T, u *conformedUser) {
				for _, request := range u.f.requests {
					if request.endpoint == "token" && (request.form.Has("client_secret") || request.header.Get("Authorization") == "") {
						t.Error("the secret is not, or not only, in the Authorization header (RFC 6749 section 2.3)")
					}
				}
			}},
	})
}

func conformanceClaims(t *testing.T, u *conformedUser) {
	account, err := u.c.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Email   string `json:"email"`
		Phone   string `json:"phone_number"`
		Address struct {
			Country string `json:"country"`
		} `json:"address"`
	}
	if err := account.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if claims.Email != "mallory@forge.example" || claims.Phone != "+1 555 0100" || claims.Address.Country != "Wonderland" {
		t.Errorf("the claims are %+v", claims)
	}
}

func TestConformanceConfigRP(t *testing.T) {
	conformanceRun(t, "Config RP", []conformanceModule{
		{name: "oidcc-client-test-discovery-openid-config", entra: true, after: func(t *testing.T, u *conformedUser) {
			if !u.f.isOwn() {
				u.f.wantCount("discovery", 1)
			}
		}},
		{name: "oidcc-client-test-discovery-issuer-mismatch", entra: true, notOwn: true,
			server: func(f *forge) {
				f.document = func(document map[string]any) { document["issuer"] = "https://issuer.invalid/" + f.segment + "/v2.0" }
			},
			fails: []string{"issuer"}, unsent: true},
		// With own endpoints there is no document: what is configured is what counts.
		{name: "oidcc-client-test-discovery-issuer-mismatch, configured",
			token: forgeVector{Claims: forgeMembers("iss", `"https://issuer.invalid"`)}, fails: []string{"issuer"}},
		{name: "oidcc-client-test-discovery-jwks-uri-keys", entra: true,
			server: func(f *forge) {
				f.document = func(document map[string]any) { document["jwks_uri"] = f.origin + "/a/keys" }
			},
			after: func(t *testing.T, u *conformedUser) { u.f.wantCount("keys", 1) }},
	})
}

func TestConformanceKeyRotation(t *testing.T) {
	rotated := forgeVector{Key: "rsa-2", Header: forgeMembers("kid", `"rsa-2"`)}
	conformanceRun(t, "key rotation", []conformanceModule{
		{name: "oidcc-client-test-signing-key-rotation", entra: true, after: func(t *testing.T, u *conformedUser) {
			u.f.published = []forgeJWK{{Key: "rsa-1"}, {Key: "rsa-2"}}
			u.f.mint = func(signIn forgeCode) string { return rotated.mint(u.f, signIn) }
			u.f.signInOK(t, u.app)
			u.f.wantCount("keys", 2)
		}},
		{name: "oidcc-client-test-signing-key-rotation-just-before-signing", entra: true, after: func(t *testing.T, u *conformedUser) {
			u.f.mint = func(signIn forgeCode) string {
				u.f.published = []forgeJWK{{Key: "rsa-2"}}
				return rotated.mint(u.f, signIn)
			}
			u.f.signInOK(t, u.app)
			u.f.wantCount("keys", 2)
		}},
	})
}

func TestConformanceRefresh(t *testing.T) {
	// refreshes has the ID tokens of refreshes minted otherwise.
	refreshes := func(v forgeVector) func(*forge) {
		return func(f *forge) {
			good := f.mint
			f.mint = func(signIn forgeCode) string {
				if signIn.refresh {
					return v.mint(f, signIn)
				}
				return good(signIn)
			}
		}
	}
	// refused: the answer is an error that names what changed, the old grant serves on, and nothing of the new one is
	// kept: the next call asks again.
	refused := func(what string) func(*testing.T, *conformedUser) {
		return func(t *testing.T, u *conformedUser) {
			token := mustToken(t, u.c, tokenFor(graphScope))
			for n := range 2 {
				_, err := u.c.GetToken(t.Context(), tokenFor(storageScope))
				u.f.wantError(err, what)
				u.f.wantCount("token", 2+n)
				u.refused = err
			}
			if mustToken(t, u.c, tokenFor(graphScope)) != token {
				t.Error("the grant from before was touched")
			}
		}
	}
	conformanceRun(t, "refresh", []conformanceModule{
		{name: "oidcc-client-test-refresh-token", entra: true, after: func(t *testing.T, u *conformedUser) {
			mustToken(t, u.c, tokenFor(storageScope))
			mustToken(t, u.c, tokenFor(vaultScope))
			u.f.wantCount("token", 3)
			first, second := u.f.requests[len(u.f.requests)-2].form, u.f.requests[len(u.f.requests)-1].form
			if first.Get("grant_type") != "refresh_token" || second.Get("grant_type") != "refresh_token" {
				t.Error("these were no refreshes")
			}
			if first.Get("refresh_token") == second.Get("refresh_token") {
				t.Error("the second refresh did not use the token of the first")
			}
		}},
		{name: "oidcc-client-test-refresh-token without an ID token", entra: true,
			server: func(f *forge) {
				good := f.mint
				f.mint = func(signIn forgeCode) string {
					if signIn.refresh {
						return ""
					}
					return good(signIn)
				}
			},
			after: func(t *testing.T, u *conformedUser) { mustToken(t, u.c, tokenFor(storageScope)) }},
		{name: "oidcc-client-test-refresh-token-invalid-issuer", entra: true,
			server: refreshes(forgeVector{Claims: forgeMembers("iss", `"https://issuer.invalid"`)}), after: refused("issuer"), later: "issuer"},
		{name: "oidcc-client-test-refresh-token-invalid-sub", entra: true,
			server: refreshes(forgeVector{Claims: forgeMembers("sub", `"invalid"`)}), after: refused("not stored"), later: "not stored"},
		{name: "oidcc-client-test-refresh-token with another audience", entra: true,
			server: refreshes(forgeVector{Claims: forgeMembers("aud", `"other"`)}), after: refused("audience"), later: "audience"},
	})
}

func TestConformanceExtras(t *testing.T) {
	conformanceRun(t, "extras", []conformanceModule{
		{name: "oidcc-client-test-nonce-unless-code-flow", entra: true, // with a code it is optional; ours always sends one
			token: forgeVector{ClaimsWithout: []string{"nonce"}}, fails: []string{"nonce"}},
		{name: "oidcc-client-test-invalid-athash", entra: true,
			token: forgeVector{Claims: forgeMembers("at_hash", `"AAAAAAAAAAAAAAAAAAAAAA"`)}, fails: []string{"at_hash"}},
		{name: "oidcc-client-test-invalid-athash, a right one", entra: true,
			token: forgeVector{Claims: forgeMembers("at_hash", `"$athash"`)}},
		{name: "oidcc-client-test-missing-aud", entra: true,
			token: forgeVector{ClaimsWithout: []string{"aud"}}, fails: []string{"audience"}},
		{name: "oidcc-client-test-aggregated-claims", entra: true,
			token: forgeVector{Claims: forgeMembers("_claim_names", `{"address":"src1"}`, "_claim_sources", `{"src1":{"JWT":"eyJhbGciOiJub25lIn0.e30."}}`)},
			after: conformanceNoFetch},
		{name: "oidcc-client-test-distributed-claims", entra: true,
			token: forgeVector{Claims: forgeMembers("_claim_names", `{"groups":"src1"}`, "_claim_sources", `{"src1":{"endpoint":"https://claims.invalid/","access_token":"x"}}`)},
			after: conformanceNoFetch},
	})
}

// conformanceNoFetch: what a token points to is the app's to read; nothing is fetched here (a request to another host
// fails the test).
func conformanceNoFetch(t *testing.T, u *conformedUser) {
	account, err := u.c.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := account.Claims(&claims); err != nil || claims["_claim_sources"] == nil {
		t.Errorf("the sources are not there for the app: %v, %v", claims, err)
	}
}

func TestConformanceFAPI2(t *testing.T) {
	const prefix = "fapi2-security-profile-final-client-test-"
	promises := func(f *forge) {
		f.document = func(document map[string]any) { document["authorization_response_iss_parameter_supported"] = true }
	}
	withIssuer := func(f *forge, callback url.Values) { callback.Set("iss", f.issuer(forgeTenant)) }
	conformanceRun(t, "FAPI 2", []conformanceModule{
		{name: prefix + "happy-path", entra: true, server: promises, arrives: withIssuer},
		{name: prefix + "discovery-issuer-mismatch", entra: true, unsent: true, // of the callback where there is no document
			server: func(f *forge) {
				f.document = func(document map[string]any) { document["issuer"] = "https://issuer.invalid" }
			},
			arrives: func(f *forge, callback url.Values) { callback.Set("iss", "https://issuer.invalid") }, fails: []string{"issuer"}},
		{name: prefix + "invalid-iss", entra: true,
			token: forgeVector{Claims: forgeMembers("iss", `"$issuer/1"`)}, fails: []string{"issuer"}},
		{name: prefix + "invalid-aud", entra: true,
			token: forgeVector{Claims: forgeMembers("aud", `"$client1"`)}, fails: []string{"audience"}},
		{name: prefix + "invalid-secondary-aud", entra: true,
			token: forgeVector{Claims: forgeMembers("aud", `["$client","https://other.invalid"]`)}, fails: []string{"audience"}},
		{name: prefix + "invalid-null-alg", entra: true,
			token: forgeVector{Header: forgeMembers("alg", `"none"`), Alg: "none"}, fails: []string{"algorithm"}},
		{name: prefix + "invalid-alternate-alg",
			token:  forgeVector{Header: forgeMembers("alg", `"RS256"`), Alg: "RS256"},
			server: func(f *forge) { f.published = []forgeJWK{{Key: "rsa-1", Set: forgeMembers("alg", `"PS256"`)}} }, fails: []string{"signature"}},
		{name: prefix + "invalid-expired-exp", entra: true,
			token: forgeVector{Claims: forgeMembers("exp", `"$now-600"`)}, fails: []string{"(exp)"}},
		{name: prefix + "invalid-missing-exp", entra: true,
			token: forgeVector{ClaimsWithout: []string{"exp"}}, fails: []string{"(exp)"}},
		{name: prefix + "invalid-missing-aud", entra: true,
			token: forgeVector{ClaimsWithout: []string{"aud"}}, fails: []string{"audience"}},
		{name: prefix + "invalid-missing-iss", entra: true,
			token: forgeVector{ClaimsWithout: []string{"iss"}}, fails: []string{"issuer"}},
		{name: prefix + "valid-aud-as-array", entra: true,
			token: forgeVector{Claims: forgeMembers("aud", `["$client"]`)}},
		{name: prefix + "invalid-nonce", entra: true,
			token: forgeVector{Claims: forgeMembers("nonce", `"$nonce1"`)}, fails: []string{"nonce"}},
		{name: prefix + "invalid-missing-nonce", entra: true,
			token: forgeVector{ClaimsWithout: []string{"nonce"}}, fails: []string{"nonce"}},
		{name: prefix + "invalid-authorization-response-iss", entra: true, server: promises,
			arrives: func(f *forge, callback url.Values) { callback.Set("iss", f.issuer(forgeTenant)+"1") }, fails: []string{"issuer"}, unsent: true},
		{name: prefix + "remove-authorization-response-iss", entra: true, server: promises, // promised by metadata alone
			arrives: func(f *forge, callback url.Values) {
				if f.isOwn() {
					callback.Set("iss", "")
				}
			}, fails: []string{"issuer"}, unsent: true},
		{name: prefix + "ensure-authorization-response-with-invalid-state-fails", entra: true,
			arrives: func(_ *forge, callback url.Values) { callback.Set("state", callback.Get("state")+"1") }, fails: []string{"state"}, unsent: true},
		{name: prefix + "ensure-authorization-response-with-invalid-missing-state-fails", entra: true,
			arrives: func(_ *forge, callback url.Values) { callback.Del("state") }, fails: []string{"state"}, unsent: true},
		{name: prefix + "token-endpoint-response-without-expires_in", entra: true,
			server: func(f *forge) { f.answerWith = func(answer map[string]any) { delete(answer, "expires_in") } },
			after: func(t *testing.T, u *conformedUser) {
				left := time.Until(mustToken(t, u.c, tokenFor(graphScope)).ExpiresOn)
				if left <= 0 || left > 5*time.Minute {
					t.Errorf("a token whose life nobody knows lives %v", left)
				}
			}},
		{name: prefix + "token-type-case-insensitivity", entra: true,
			server: func(f *forge) { f.answerWith = func(answer map[string]any) { answer["token_type"] = "bEARER" } }},
	})
}

// conformanceRun plays a plan's modules, and compares what came of them with the document.
func conformanceRun(t *testing.T, plan string, modules []conformanceModule) {
	var rows []conformanceRow
	complete := true
	for _, m := range modules {
		row := conformanceRow{name: m.name, expected: m.expected()}
		if !m.notOwn {
			t.Run(m.name+"/own endpoints", func(t *testing.T) { row.own = m.run(t, "") })
			complete = complete && row.own != ""
		}
		if m.entra {
			t.Run(m.name+"/Entra layout", func(t *testing.T) { row.entra = m.run(t, forgeTenant) })
			complete = complete && row.entra != ""
		}
		rows = append(rows, row)
	}
	if complete { // not only some, by -run
		wantDocumented(t, plan, rows)
	}
}

// run plays the module and says what came of it.
func (m conformanceModule) run(t *testing.T, segment string) (observed string) {
	f := newForge(t, segment)
	f.mint = func(signIn forgeCode) string { return m.token.mint(f, signIn) }
	if m.server != nil {
		m.server(f)
	}
	auth := m.auth
	if auth == nil {
		auth = authcode.SecretAuth(forgeSecret)
	}
	app := f.newAppAs(auth, nil)
	flow, callback := f.begin(app, &authcode.BeginOptions{Scopes: []string{graphScope}})
	if m.arrives != nil {
		m.arrives(f, callback)
	}
	c, err := app.Redeem(t.Context(), flow, callback)
	if m.fails == nil {
		if err != nil {
			t.Fatal(err)
		}
		if m.after != nil {
			u := &conformedUser{c: c, app: app, f: f}
			m.after(t, u)
			if u.refused != nil {
				return f.observed(nil) + "; " + conformanceError(u.refused)
			}
		}
		return f.observed(nil)
	}
	observed = f.observed(err)
	f.wantError(err, m.fails...)
	f.wantNothingKept(app)
	if m.unsent {
		f.wantCount("token", 0)
	}
	if strings.Contains(m.name, "state-fails") && !errors.Is(err, authcode.ErrStateMismatch) {
		t.Errorf("the error is not ErrStateMismatch: %v", err)
	}
	return observed
}
