package entratest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/authcode-go/authcode/entratest"
)

// documentedErrors are the AADSTS numbers a client of the token endpoint must tell apart, from "Microsoft Entra
// authentication & authorization error codes".
var documentedErrors = []int{
	54005, 70008, 70000, 50089, 700005, 9002313, 900144, 50011, 70004, 500112, 900971, 501481, 50147, 501491, 65001, 65004,
	90094, 90008, 650052, 50076, 50079, 50074, 50072, 50078, 50158, 700020, 16000, 53003, 53000, 53001, 53002, 530032,
	50105, 700082, 70043, 700084, 50173, 50132, 50133, 50057, 50055, 7000215, 70002, 7000222, 7000218, 700025, 700027,
	50012, 700030, 500133, 50048, 700016, 90002, 50020, 50034, 500011, 7000112, 70011, 28002, 28003, 700022, 650057,
	65005, 90038, 900432, 900382, 50196, 90055, 90024, 50033, 90006, 90012, 90033, 50087, 40010,
}

// notCaused are those that nothing a client does can cause here, with the reason. [entratest.Fault] answers them all.
var notCaused = map[int]string{
	50089:  "there is no flow token: the sign-in page is one form",
	50011:  "the authorize endpoint's",
	70004:  "the v1.0 endpoint's; here it is 500112",
	900971: "the authorize endpoint's; here it is 900144",
	501491: "the authorize endpoint's",
	65004:  "the authorize endpoint's",
	90094:  "the authorize endpoint's; here it is 65001",
	90008:  "an app that asks for itself by another name: any name of a resource is good here",
	650052: "the resource's service principal is missing: every resource is in every tenant here",
	50079:  "policies are met by claims, and the number for that is 50076",
	50074:  "policies are met by claims, and the number for that is 50076",
	50072:  "no user has to enroll for anything",
	50078:  "a proof does not expire by itself; the sign-in frequency is 70043",
	50158:  "there is no external provider of proofs",
	700020: "policies are met by claims, and the number for that is 50076",
	16000:  "the authorize endpoint's",
	53000:  "there are no devices; what a policy blocks is 53003",
	53001:  "there are no devices; what a policy blocks is 53003",
	53002:  "there are no approved apps; what a policy blocks is 53003",
	530032: "there are no security policies; what a policy blocks is 53003",
	50132:  "revocation is 50173, whatever its cause",
	50133:  "revocation is 50173, whatever its cause",
	70002:  "a wrong secret is 7000215",
	50012:  "a wrong assertion is 700027",
	700030: "certificates are registered themselves, not by subject name and issuer",
	28002:  "a wrong scope is 70011",
	700022: "several resources are 28000",
	650057: "an app need not list what it asks for",
	65005:  "an app need not list what it asks for",
	90038:  "there is one cloud",
	900432: "there is one cloud",
	900382: "there is one cloud",
	50196:  "transient", 90055: "transient", 90024: "transient", 50033: "transient", 90006: "transient", 90012: "transient",
	90033: "transient", 50087: "transient", 40010: "transient",
}

// errorCase is something to do that causes an error.
type errorCase struct {
	name, code, suberror string
	number, status       int // status zero: 400, or 401 for invalid_client
	do                   func(f *fixture) answer
}

// change gives the fixture another directory from now on.
func (f *fixture) change(edit func(*entratest.Directory)) {
	f.t.Helper()
	d := f.Directory()
	edit(d)
	if err := f.SetDirectory(d); err != nil {
		f.t.Fatal(err)
	}
}

// refreshed is the answer to a refresh, after something happened to the user of a sign-in.
func refreshed(happens func(f *fixture, user *entratest.User)) func(f *fixture) answer {
	return func(f *fixture) answer {
		token := f.mustToken(codeForm(f.signIn(alice))).RefreshToken
		f.change(func(d *entratest.Directory) { happens(f, &d.Users[0]) })
		return f.token(refreshForm(token))
	}
}

// redeemed is the answer to a code request that differs from a good one.
func redeemed(pairs ...string) func(f *fixture) answer {
	return func(f *fixture) answer { return f.token(codeForm(f.signIn(alice), pairs...)) }
}

// asserted is the answer to a client assertion.
func asserted(key any, algorithm jose.SignatureAlgorithm, pairs ...any) func(f *fixture) answer {
	return func(f *fixture) answer {
		return f.token(federatedForm(podToken(f.t, key, algorithm, pairs...)))
	}
}

func errorCases() []errorCase {
	fromBrowser := func(f *fixture, form url.Values) answer {
		r := f.tokenRequest(form)
		r.Header.Set("Origin", "http://localhost:3000")
		return f.sendToken(r)
	}
	spa := []string{"client_id", directory.App("spa").ClientID, "client_secret", "", "redirect_uri", "http://localhost:3000/"}
	return []errorCase{
		{"code twice", "invalid_grant", "", 54005, 0, func(f *fixture) answer {
			code := f.signIn(alice)
			f.mustToken(codeForm(code))
			return f.token(codeForm(code))
		}},
		{"code after ten minutes", "invalid_grant", "", 70008, 0, func(f *fixture) answer {
			code := f.signIn(alice)
			f.Advance(10 * time.Minute)
			return f.token(codeForm(code))
		}},
		{"another client's code", "invalid_grant", "", 70000, 0, redeemed("client_id", native.ClientID, "client_secret", "")},
		{"code at another tenant", "invalid_grant", "", 700005, 0, func(f *fixture) answer {
			return f.at(fabrikam).token(codeForm(f.signIn(alice)))
		}},
		{"malformed code", "invalid_grant", "", 9002313, 0, redeemed("code", "1.AAAA")},
		{"no code", "invalid_request", "", 900144, 0, redeemed("code", "")},
		{"another redirect URI", "invalid_client", "", 500112, 0, redeemed("redirect_uri", callback+"?")},
		{"another verifier", "invalid_grant", "", 501481, 0, redeemed("code_verifier", strings.Repeat("x", 43))},
		{"a verifier too short", "invalid_grant", "", 50147, 0, redeemed("code_verifier", strings.Repeat("x", 42))},
		{"a verifier too long", "invalid_grant", "", 50147, 0, redeemed("code_verifier", strings.Repeat("x", 129))},
		{"no consent", "invalid_grant", "consent_required", 65001, 0, func(f *fixture) answer {
			code := f.signIn(alice)
			f.WithdrawConsent(alice, "web", "User.Read")
			return f.token(codeForm(code))
		}},
		{"a policy wants claims", "invalid_grant", "basic_action", 50076, 0, refreshed(func(f *fixture, _ *entratest.User) {
			f.RequireClaims(alice, "", step)
		})},
		{"a policy wants claims, on behalf of", "interaction_required", "basic_action", 50076, 0, func(f *fixture) answer {
			token := f.ordersToken(alice)
			f.RequireClaims(alice, "", step)
			return f.token(oboForm(token))
		}},
		{"no second factor", "invalid_grant", "basic_action", 50076, 0, refreshed(func(_ *fixture, u *entratest.User) { u.MFARequired = true })},
		{"a policy blocks", "invalid_grant", "message_only", 53003, 0, refreshed(func(_ *fixture, u *entratest.User) { u.Blocked = true })},
		{"not assigned", "invalid_grant", "", 50105, 0, func(f *fixture) answer {
			token := f.mustToken(codeForm(f.signIn(alice))).RefreshToken
			f.change(func(d *entratest.Directory) { d.Apps[0].Assigned = []string{bob} })
			return f.token(refreshForm(token))
		}},
		{"unused for 90 days", "invalid_grant", "", 700082, 0, refreshed(func(f *fixture, _ *entratest.User) { f.Advance(90 * 24 * time.Hour) })},
		{"signed in too long ago", "invalid_grant", "token_expired", 70043, 0, refreshed(func(f *fixture, u *entratest.User) {
			u.SignInFrequency = time.Hour
			f.Advance(time.Hour)
		})},
		{"single-page app after 24 hours", "invalid_grant", "", 700084, 0, func(f *fixture) answer {
			code := f.signIn(alice, spa...)
			token := fromBrowser(f, codeForm(code, spa...)).RefreshToken
			f.Advance(24 * time.Hour)
			return fromBrowser(f, refreshForm(token, spa[:4]...))
		}},
		{"revoked", "invalid_grant", "bad_token", 50173, 0, refreshed(func(f *fixture, _ *entratest.User) {
			if err := f.RevokeSessions(alice); err != nil {
				f.t.Fatal(err)
			}
		})},
		{"account disabled", "invalid_grant", "", 50057, 0, refreshed(func(_ *fixture, u *entratest.User) { u.Disabled = true })},
		{"password expired", "invalid_grant", "user_password_expired", 50055, 0, refreshed(func(_ *fixture, u *entratest.User) { u.PasswordExpired = true })},
		{"account gone", "invalid_grant", "bad_token", 50034, 0, refreshed(func(_ *fixture, u *entratest.User) {
			u.ObjectID, u.Guests = "11111111-2222-4333-8444-555555555555", nil
		})},
		{"no member of the tenant", "invalid_grant", "", 50020, 0, func(f *fixture) answer {
			return f.at(fabrikam).token(refreshForm(f.mustToken(codeForm(f.signIn(bob))).RefreshToken))
		}},
		{"wrong secret", "invalid_client", "", 7000215, 0, redeemed("client_secret", "wrong")},
		{"expired secret", "invalid_client", "", 7000222, 0, func(f *fixture) answer {
			return f.token(appForm(graphDefault, "client_id", directory.App("consent").ClientID, "client_secret", "expired-secret"))
		}},
		{"no secret", "invalid_client", "", 7000218, 0, redeemed("client_secret", "")},
		{"public app with a secret", "invalid_client", "", 700025, 0, redeemed("client_id", native.ClientID)},
		{"unregistered certificate", "invalid_client", "", 700027, 0, asserted(testKey(), jose.PS256, "iss", web.ClientID, "sub", web.ClientID)},
		{"subject is not issuer", "invalid_client", "", 50048, 0, func(f *fixture) answer {
			p := newPair(f.t, testKey(), time.Now().AddDate(1, 0, 0))
			f.change(func(d *entratest.Directory) { d.Apps[0].Certificates = append(d.Apps[0].Certificates, p.certificate) })
			return f.token(federatedForm(assertion(f.t, p.key, jose.PS256, x5tS256(p.certificate), map[string]any{
				"iss": web.ClientID, "sub": native.ClientID, "aud": f.tokenURL(), "jti": "1", "exp": time.Now().Unix() + 600,
			})))
		}},
		{"expired user assertion", "invalid_grant", "", 500133, 0, func(f *fixture) answer {
			token := f.ordersToken(alice)
			f.Advance(time.Hour)
			return f.token(oboForm(token))
		}},
		{"unknown app", "unauthorized_client", "", 700016, 0, redeemed("client_id", "11111111-2222-4333-8444-555555555555")},
		{"app of another tenant", "unauthorized_client", "", 700016, 0, func(f *fixture) answer {
			return f.at(fabrikam).token(oboForm("x"))
		}},
		{"unknown tenant", "invalid_request", "", 90002, 0, func(f *fixture) answer { return f.at("nowhere.example").token(codeForm("x")) }},
		{"unknown resource", "invalid_resource", "", 500011, 0, redeemed("scope", "https://nowhere.example/.default")},
		{"app disabled", "unauthorized_client", "", 7000112, 0, func(f *fixture) answer {
			f.change(func(d *entratest.Directory) { d.Apps[0].Disabled = true })
			return f.token(codeForm("x"))
		}},
		{"unknown permission", "invalid_scope", "", 70011, 0, redeemed("scope", "api://orders/Nothing")},
		{"several resources and no scope", "invalid_request", "", 28003, 0, func(f *fixture) answer {
			return f.token(codeForm(f.signIn(alice, "scope", storage+" "+arm)))
		}},

		// Numbers beyond the page's table of these grants.
		{"several resources", "invalid_scope", "", 28000, 0, redeemed("scope", storage+" "+arm)},
		{"single-tenant app at common", "invalid_request", "", 50194, 0, func(f *fixture) answer { return f.at("common").token(oboForm("x")) }},
		{"unsupported grant", "unsupported_grant_type", "", 70003, 0, redeemed("grant_type", "password")},
		{"duplicated parameter", "invalid_request", "", 9000411, 0, func(f *fixture) answer {
			form := codeForm("x")
			form.Add("scope", "a")
			form.Add("scope", "a")
			return f.token(form)
		}},
		{"GET", "invalid_request", "", 900561, http.StatusMethodNotAllowed, func(f *fixture) answer {
			r := f.tokenRequest(codeForm("x"))
			r.Method = http.MethodGet
			return f.sendToken(r)
		}},
		{"too large", "invalid_request", "", 9002313, http.StatusRequestEntityTooLarge, redeemed("code", strings.Repeat("x", 1<<20))},
		{"two ways to authenticate", "invalid_request", "", 90023, 0, redeemed("client_assertion", "x")},
		{"web app from a browser", "invalid_request", "", 9002326, 0, func(f *fixture) answer { return fromBrowser(f, codeForm("x")) }},
		{"single-page app without a browser", "invalid_request", "", 9002327, 0, redeemed(spa...)},
		{"an app's token, on behalf of", "unauthorized_client", "", 7000114, 0, func(f *fixture) answer {
			return f.token(oboForm(f.mustToken(appForm("api://orders/.default")).AccessToken))
		}},
		{"another API's token", "invalid_grant", "", 500131, 0, func(f *fixture) answer {
			return f.token(oboForm(f.mustToken(codeForm(f.signIn(alice))).AccessToken))
		}},
		{"an unsigned user assertion", "invalid_grant", "", 50013, 0, func(f *fixture) answer { return f.token(oboForm(f.ordersToken(alice) + "AAAA")) }},
		{"a malformed user assertion", "invalid_request", "", 50027, 0, func(f *fixture) answer { return f.token(oboForm("x")) }},
		{"no .default", "invalid_scope", "", 1002012, 0, func(f *fixture) answer { return f.token(appForm("User.Read")) }},
		{"an app at common", "invalid_request", "", 50059, 0, func(f *fixture) answer { return f.at("common").token(appForm(graphDefault)) }},
		{"an app at consumers", "invalid_request", "", 9001023, 0, func(f *fixture) answer { return f.at("consumers").token(appForm(graphDefault)) }},
		{"an app without a scope", "invalid_request", "", 90014, 0, func(f *fixture) answer { return f.token(appForm("")) }},
		{"no federated credential", "invalid_request", "", 70021, 0, func(f *fixture) answer {
			f.change(func(d *entratest.Directory) { d.Apps[0].FederatedCredentials = nil })
			return asserted(testKey(), jose.RS256)(f)
		}},
		{"another issuer", "invalid_client", "", 700211, 0, asserted(testKey(), jose.RS256, "iss", "https://x.example")},
		{"another audience", "invalid_client", "", 700212, 0, asserted(testKey(), jose.RS256, "aud", "x")},
		{"another subject", "invalid_client", "", 700213, 0, asserted(testKey(), jose.RS256, "sub", "x")},
		{"subject in another case", "invalid_client", "", 7002138, 0, asserted(testKey(), jose.RS256, "sub", strings.ToUpper(pod))},
		{"expired federated assertion", "invalid_client", "", 700024, 0, asserted(testKey(), jose.RS256, "exp", 1)},
		{"HS256", "invalid_client", "", 5002738, 0, asserted(make([]byte, 32), jose.HS256)},
	}
}

// Every documented error is answered to what causes it, or there is a reason why nothing does.
func TestEveryDocumentedError(t *testing.T) {
	cases := errorCases()
	for _, number := range documentedErrors {
		caused := slices.ContainsFunc(cases, func(c errorCase) bool { return c.number == number })
		if _, reason := notCaused[number]; caused == reason {
			t.Errorf("%d: caused %v, and a reason why not %v", number, caused, reason)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, &entratest.Options{Directory: federation(publicKey("k1", testKey()))})
			a := c.do(f)
			status := c.status
			switch {
			case status == 0 && c.code == "invalid_client":
				status = http.StatusUnauthorized
			case status == 0:
				status = http.StatusBadRequest
			}
			if a.Status != status || a.Error != c.code || a.Suberror != c.suberror || !slices.Equal(a.Codes, []int{c.number}) {
				t.Errorf("got %d %s %q %v, want %d %s %q %d: %s", a.Status, a.Error, a.Suberror, a.Codes, status, c.code, c.suberror, c.number, a.Description)
			}
			checkErrorMembers(t, f, a)
		})
	}
	for number := range notCaused {
		f := start(t, nil)
		f.Inject(entratest.Fault{Error: "temporarily_unavailable", AADSTS: number, Status: http.StatusServiceUnavailable, RetryAfter: "1"})
		if a := f.token(codeForm("x")); a.Status != http.StatusServiceUnavailable || !slices.Equal(a.Codes, []int{number}) ||
			strings.Contains(a.Description, "The request was refused.") {
			t.Errorf("%d as a fault: %+v", number, a)
		}
	}
}

// checkErrorMembers checks what every error has, and that its text was filled in.
func checkErrorMembers(t *testing.T, f *fixture, a answer) {
	t.Helper()
	stamp, err := time.Parse("2006-01-02 15:04:05Z", a.Timestamp)
	if err != nil || stamp.IsZero() || len(a.TraceID) != 36 || len(a.CorrelationID) != 36 {
		t.Errorf("%+v", a)
	}
	number := a.URI[strings.LastIndex(a.URI, "=")+1:]
	want := " Trace ID: " + a.TraceID + " Correlation ID: " + a.CorrelationID + " Timestamp: " + a.Timestamp
	if a.URI != f.URL()+"/error?code="+number || !strings.HasPrefix(a.Description, "AADSTS"+number+": ") || !strings.HasSuffix(a.Description, want) {
		t.Errorf("%+v", a)
	}
	if strings.Contains(a.Description, "{0}") || strings.Contains(a.Description, "The request was refused.") {
		t.Errorf("the text of %s: %s", number, a.Description)
	}
	for _, secret := range append(slices.Clone(web.Secrets), verifier, "api-secret", "expired-secret") {
		if strings.Contains(a.Description, secret) {
			t.Errorf("a secret is in %s", a.Description)
		}
	}
}
