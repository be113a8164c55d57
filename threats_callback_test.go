package authcode_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// What a browser, or an attacker through it, brings to the callback, as files in testdata/callback: the query, the error
// it deserves, and how many token requests it is worth. What else is done to a sign-in is in the tests below.
//
// Of the list of bad inputs, these cases are about HTTP or a store, which this package knows nothing of:
//
//	 3  a state used before, same browser: the first one's result     the handler claims states in the store;
//	                                                                  here: TestThreatsCallbackReplayed
//	16  a callback by POST: 405                                       the handler's methods
//	17  a cross-site POST: 405                                        the handler's methods
//	19  a replica that lost the store: 503, code not redeemed         the handler claims before it redeems
//	20  a forged Host or X-Forwarded-Host: redirect_uri unchanged     no request reaches an App; here:
//	                                                                  TestThreatsAuthorizeURL has the redirect URI
//	22  a return URL that leaves the site                             the handler keeps return URLs

// callbackVector is one query at the callback of alice, who is about to sign in, and has been signed in before.
type callbackVector struct {
	Name string `json:"name"`
	Why  string `json:"why"`

	At            string   `json:"at"`            // the App's tenant; empty: alice's
	SignInTenants []string `json:"signInTenants"` // at common; empty: alice's
	Promised      bool     `json:"promised"`      // the metadata promises iss (RFC 9207 section 3)
	// Query is as it stands in the URL: $code, $state, $issuer, $verifier and $nonce are filled in, escaped.
	Query string `json:"query"`

	Error         []string `json:"error"`    // the words the error must have; none: alice signs in
	Is            string   `json:"is"`       // "state": ErrStateMismatch
	Code          string   `json:"code"`     // of an *AuthenticationFailedError
	Required      bool     `json:"required"` // inside an *AuthenticationRequiredError
	Not           []string `json:"not"`      // what its text must not have
	TokenRequests int      `json:"tokenRequests"`
}

func TestThreatsCallback(t *testing.T) {
	for _, file := range forgeFiles[callbackVector](t, "callback/*.json") {
		t.Run(strconv.Itoa(file.Case), func(t *testing.T) {
			for _, v := range file.Vectors {
				t.Run(v.Name, func(t *testing.T) { v.run(t) })
			}
		})
	}
}

func (v *callbackVector) run(t *testing.T) {
	e := newEntra(t, nil)
	if v.Promised {
		e.Inject(entratest.Fault{Endpoint: "discovery", Edit: func(document map[string]any) {
			document["authorization_response_iss_parameter_supported"] = true
		}})
	}
	app := callbackApp(e, v.At, &authcode.AppOptions{SignInTenants: v.SignInTenants})
	begin := func() (*authcode.Flow, url.Values) {
		flow, callback := e.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
		if v.Promised {
			callback.Set("iss", e.URL()+"/"+e.tenant.ID+"/v2.0")
		}
		return flow, callback
	}
	flow, right := begin()
	old, err := app.Redeem(t.Context(), flow, right)
	if err != nil {
		t.Fatal(err)
	}
	oldToken := mustToken(t, old, tokenFor(graphScope))
	flow, right = begin()
	e.ResetRequests()

	c, err := app.Redeem(t.Context(), flow, v.values(t, e, flow, right))

	e.wantRequests(v.TokenRequests, 0)
	if len(v.Error) == 0 && v.Is == "" && v.Code == "" {
		if err != nil {
			t.Fatal(err)
		}
		if c != old {
			t.Error("the credential is another than that of the account")
		}
		return
	}
	v.wantError(t, err)
	forgeWantNoSecrets(t, err, callbackSecrets(e, flow, right))
	if now := mustToken(t, old, tokenFor(graphScope)); now != oldToken {
		t.Error("the grant from before was touched")
	}
	e.wantRequests(v.TokenRequests, 0)
	if v.TokenRequests == 0 {
		if _, err := app.Redeem(t.Context(), flow, right); err != nil {
			t.Errorf("the right callback after it: %v", err)
		}
	}
}

func (v *callbackVector) values(t *testing.T, e *entra, flow *authcode.Flow, right url.Values) url.Values {
	t.Helper()
	query := strings.NewReplacer(
		"$code", url.QueryEscape(right.Get("code")),
		"$state", url.QueryEscape(flow.State),
		"$issuer", url.QueryEscape(e.URL()+"/"+e.tenant.ID+"/v2.0"),
		"$origin", url.QueryEscape(e.URL()),
		"$tenant", e.tenant.ID,
		"$other", e.Directory().Tenant("fabrikam.example").ID,
		"$verifier", flow.CodeVerifier,
		"$nonce", flow.Nonce,
	).Replace(forgeRepeat(v.Query))
	values, _ := url.ParseQuery(query) // net/http too goes on with what it could read
	return values
}

func (v *callbackVector) wantError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with the words %q", v.Error)
	}
	for _, word := range v.Error {
		if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(word)) {
			t.Errorf("the error does not name %q: %v", word, err)
		}
	}
	for _, word := range v.Not {
		if strings.Contains(err.Error(), word) {
			t.Errorf("the error shows %q: %v", word, err)
		}
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\u2028' || r == '\u202e' }) {
		t.Errorf("the error has control characters: %q", err.Error())
	}
	if v.Is == "state" && !errors.Is(err, authcode.ErrStateMismatch) {
		t.Errorf("the error is not ErrStateMismatch: %v", err)
	}
	failed, isFailed := errors.AsType[*authcode.AuthenticationFailedError](err)
	if v.Code != "" && (!isFailed || failed.Code != v.Code) {
		t.Errorf("the error is not an *AuthenticationFailedError of %q: %v", v.Code, err)
	}
	if isFailed && len(failed.Description) > 4*512 {
		t.Errorf("the description has %d bytes", len(failed.Description))
	}
	if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); required != v.Required {
		t.Errorf("an *AuthenticationRequiredError: %v, want %v: %v", required, v.Required, err)
	}
}

func callbackSecrets(e *entra, flow *authcode.Flow, callback url.Values) []string {
	secrets := []string{flow.Nonce, flow.CodeVerifier, callback.Get("code"), e.secret()}
	if code := callback.Get("code"); len(code) > 40 {
		secrets = append(secrets, code[:40]) // a value that is quoted may be cut
	}
	return secrets
}

// callbackApp is an App at a tenant by its name; contoso's users may sign in.
func callbackApp(e *entra, tenant string, options *authcode.AppOptions) *authcode.App {
	e.tb.Helper()
	if options == nil {
		options = &authcode.AppOptions{}
	}
	if options.Transport == nil {
		options.ClientOptions = e.client()
	}
	if tenant == "" {
		tenant = e.tenant.ID
	}
	if (tenant == "common" || tenant == "organizations") && options.SignInTenants == nil {
		options.SignInTenants = []string{e.tenant.ID}
	}
	app, err := authcode.NewApp(tenant, e.app.ClientID, redirectURI, authcode.SecretAuth(e.secret()), options)
	if err != nil {
		e.tb.Fatal(err)
	}
	e.tb.Cleanup(func() { _ = app.Close() })
	return app
}

// callbackPass lets time pass in a synctest bubble.
func callbackPass(d time.Duration) { <-time.NewTimer(d).C }

// TestThreatsCallbackExpired is case 4.
func TestThreatsCallbackExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		app := e.newApp(nil)
		for _, c := range []struct {
			after time.Duration
			want  error
		}{
			{15*time.Minute - time.Second, nil},
			{15*time.Minute + time.Second, authcode.ErrFlowExpired},
			{24 * time.Hour, authcode.ErrFlowExpired},
		} {
			flow, err := app.Begin(nil)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := app.SealFlow(flow)
			if err != nil {
				t.Fatal(err)
			}
			callbackPass(c.after)
			callback, err := e.Authorize(t.Context(), flow.URL, alice) // the user took their time at the sign-in page
			if err != nil {
				t.Fatal(err)
			}
			e.ResetRequests()
			opened, err := app.OpenFlow(sealed)
			if err != nil {
				t.Fatal(err) // whether it has expired is Redeem's to say
			}
			for name, flow := range map[string]*authcode.Flow{"begun": flow, "opened": opened} {
				if c.want == nil && name == "begun" {
					continue // the code is good once
				}
				if _, err := app.Redeem(t.Context(), flow, callback.Query()); !errors.Is(err, c.want) {
					t.Errorf("%s, after %v: %v, want %v", name, c.after, err, c.want)
				}
			}
			if c.want != nil {
				e.wantRequests(0, 0)
				// Nobody learns from an expired flow whether a state was right.
				if _, err := app.Redeem(t.Context(), flow, url.Values{"state": {"x"}, "code": {"x"}}); !errors.Is(err, authcode.ErrStateMismatch) {
					t.Errorf("another state: %v", err)
				}
			}
		}
	})
}

// TestThreatsCallbackTogether is case 18: a hundred identical callbacks are one redemption, and one user.
func TestThreatsCallbackTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		app := e.newApp(nil)
		e.Inject(entratest.Fault{Latency: time.Second})
		flow, callback := e.beginAs(app, alice, nil)
		sealed, err := app.SealFlow(flow)
		if err != nil {
			t.Fatal(err)
		}
		var together sync.WaitGroup
		var got sync.Map
		for range 100 {
			together.Go(func() {
				opened, err := app.OpenFlow(sealed) // each tab has its own copy
				if err != nil {
					t.Error(err)
					return
				}
				c, err := app.Redeem(t.Context(), opened, callback)
				if err != nil {
					t.Error(err)
				}
				got.Store(c, true)
			})
		}
		together.Wait()
		e.wantRequests(1, 0)
		n := 0
		got.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("%d credentials, want one", n)
		}
	})
}

// TestThreatsCallbackTogetherRefused: what the server says to the one is said to all.
func TestThreatsCallbackTogetherRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		app := e.newApp(nil)
		e.Inject(entratest.Fault{Latency: time.Second, Error: "invalid_client", AADSTS: 7000215})
		flow, callback := e.beginAs(app, alice, nil)
		var together sync.WaitGroup
		for range 100 {
			together.Go(func() {
				_, err := app.Redeem(t.Context(), flow, callback)
				if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed.Code != "invalid_client" {
					t.Errorf("error %v", err)
				}
			})
		}
		together.Wait()
		e.wantRequests(1, 0)
	})
}

// TestThreatsCallbackRefusedAtOnce: callers of one callback share its error, whole, whether they came before the answer,
// with it or after it; and the code is sent once.
func TestThreatsCallbackRefusedAtOnce(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	accountID := e.Directory().User("alice").HomeAccountID()
	e.signIn(app, bob) // the documents are loaded
	for n := range 10 {
		flow, err := app.Begin(&authcode.BeginOptions{AccountID: accountID, Scopes: []string{graphScope, storageScope}})
		if err != nil {
			t.Fatal(err)
		}
		callback := url.Values{"state": {flow.State}, "code": {fmt.Sprint("guess-", n)}}
		var together sync.WaitGroup
		for range 20 {
			together.Go(func() {
				for range 3 {
					_, err := app.Redeem(t.Context(), flow, callback)
					required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err)
					if !ok || required.AccountID != accountID || len(required.Scopes) != 2 || required.TenantID != e.tenant.ID {
						t.Errorf("error %v", err)
					}
				}
			})
		}
		together.Wait()
	}
	if got := len(e.tokenRequests("authorization_code")); got != 1+10 {
		t.Errorf("%d code POSTs, want 11", got)
	}
}

// TestThreatsCallbackNotIdentical: only identical callbacks share a redemption. One with another code, or for another
// flow, is not let in on the first one's result.
func TestThreatsCallbackNotIdentical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		app := e.newApp(nil)
		e.Inject(entratest.Fault{Latency: time.Second})
		flow, callback := e.beginAs(app, alice, nil)
		other := url.Values{"state": callback["state"], "code": {"stolen-or-guessed"}}
		stepUp := *flow // the same code, but for somebody who must be bob
		stepUp.AccountID = e.Directory().User("bob").HomeAccountID()
		var together sync.WaitGroup
		together.Go(func() {
			if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
				t.Error(err)
			}
		})
		together.Go(func() {
			if _, err := app.Redeem(t.Context(), flow, other); err == nil {
				t.Error("another code was let in")
			}
		})
		callbackPass(time.Millisecond) // so that it is alice's that spends the code
		together.Go(func() {
			if _, err := app.Redeem(t.Context(), &stepUp, callback); err == nil {
				t.Error("another flow was let in")
			}
		})
		together.Wait()
	})
}

// TestThreatsCallbackLeaderLeft: the first of them closes the tab; the redemption goes on for the others, and for the
// account when nobody is left.
func TestThreatsCallbackLeaderLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		app := e.newApp(nil)
		e.signIn(app, bob) // the documents are loaded
		e.ResetRequests()
		e.Inject(entratest.Fault{Latency: time.Second})
		flow, callback := e.beginAs(app, alice, nil)
		leader, leave := context.WithCancel(t.Context())
		var together sync.WaitGroup
		together.Go(func() {
			if _, err := app.Redeem(leader, flow, callback); !errors.Is(err, context.Canceled) {
				t.Errorf("the leader got %v", err)
			}
		})
		synctest.Wait()
		together.Go(func() {
			if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		leave()
		together.Wait()
		e.wantRequests(1, 0)

		flow, callback = e.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{storageScope}})
		alone, leave := context.WithCancel(t.Context())
		together.Go(func() { _, _ = app.Redeem(alone, flow, callback) })
		synctest.Wait()
		leave()
		callbackPass(2 * time.Second)
		together.Wait()
		mustToken(t, app.Credential(e.Directory().User("alice").HomeAccountID()), tokenFor(storageScope))
		e.wantRequests(2, 0)
	})
}

// TestThreatsCallbackReplayed is case 3 as far as it is an App's: a callback that comes again later, by a reload or the
// back button, gets the first one's result and costs no request.
func TestThreatsCallbackReplayed(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	flow, callback := e.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope, storageScope}})
	sealed, err := app.SealFlow(flow)
	if err != nil {
		t.Fatal(err)
	}
	c, err := app.Redeem(t.Context(), flow, callback)
	if err != nil {
		t.Fatal(err)
	}
	token := mustToken(t, c, tokenFor(graphScope))
	replay := func() (*authcode.AuthorizationCodeCredential, error) {
		opened, err := app.OpenFlow(sealed)
		if err != nil {
			t.Fatal(err)
		}
		return app.Redeem(t.Context(), opened, callback)
	}
	for range 3 {
		if again, err := replay(); err != nil || again != c {
			t.Errorf("the replay got %v", err)
		}
	}
	if mustToken(t, c, tokenFor(graphScope)) != token {
		t.Error("the replay touched the grant")
	}
	// In another browser, whose flow is another, it does not get that far.
	theirs, err := app.Begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Redeem(t.Context(), theirs, callback); !errors.Is(err, authcode.ErrStateMismatch) {
		t.Errorf("in another browser: %v", err)
	}
	e.wantRequests(1, 0)

	// The user signs out: the old callback must not undo that, nor once they have signed in again, perhaps elsewhere. What it
	// was good for has ended.
	account := e.Directory().User("alice").HomeAccountID()
	if err := app.Forget(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if again, err := replay(); err == nil || again != nil {
		t.Error("the replay undid the sign-out")
	}
	callbackWantUnknown(t, app, account)
	e.wantRequests(1, 0)
	e.signIn(app, alice, graphScope)
	e.wantRequests(2, 0)
	if again, err := replay(); err == nil || again != nil {
		t.Error("the replay of a sign-in that was ended gave the grant of the next one")
	}
	e.wantRequests(2, 0)
}

// TestThreatsCallbackReplayedInAPause: the first one's result needs no token endpoint, so one that asked to be left alone
// does not stand in the way of it.
func TestThreatsCallbackReplayedInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEntra(t, nil)
		app := e.newApp(nil)
		flow, callback := e.beginAs(app, alice, nil)
		c, err := app.Redeem(t.Context(), flow, callback)
		if err != nil {
			t.Fatal(err)
		}
		e.Inject(entratest.Fault{RetryAfter: "60", Times: 1})
		bobs, bobsCallback := e.beginAs(app, bob, nil)
		if _, err := app.Redeem(t.Context(), bobs, bobsCallback); err == nil {
			t.Fatal("there is no pause")
		}
		began := time.Now()
		if again, err := app.Redeem(t.Context(), flow, callback); again != c || time.Since(began) > 0 {
			t.Errorf("the replay got %v after %v", err, time.Since(began))
		}
	})
}

// TestThreatsCallbackRefusedOnce: what the server refused stays refused, without a request, and the flow is as good as
// before for the code that belongs to it.
func TestThreatsCallbackRefusedOnce(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	flow, callback := e.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope, storageScope}})
	for range 3 {
		_, err := app.Redeem(t.Context(), flow, url.Values{"state": callback["state"], "code": {"guessed"}})
		required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err)
		if failed, _ := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed == nil || failed.Code != "invalid_grant" {
			t.Fatalf("the guess got %v", err)
		}
		// Who passes the error on to Begin asks for what the flow asked for, not for the part that its code is redeemed for.
		if !slices.Equal(required.Scopes, flow.Scopes) || required.TenantID != flow.TenantID {
			t.Errorf("the error has the scopes %q and the tenant %s", required.Scopes, required.TenantID)
		}
		forgeWantNoSecrets(t, err, callbackSecrets(e, flow, callback))
	}
	e.wantRequests(1, 0)
	if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
		t.Error(err)
	}
	e.wantRequests(2, 0)
}

// TestThreatsCallbackLostAnswer is row 2 of the threats: the pipeline never repeats a code by itself.
func TestThreatsCallbackLostAnswer(t *testing.T) {
	for name, fault := range map[string]entratest.Fault{
		"cut":       {LoseAnswer: true, Times: 1},
		"truncated": {TruncateAt: 100, Times: 1},
		"500":       {Status: 500, Times: 1},
		"502":       {Status: 502, Times: 1},
		"504":       {Status: 504, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEntra(t, nil)
			app := e.newApp(nil)
			flow, callback := e.beginAs(app, alice, nil)
			e.Inject(fault)
			_, err := app.Redeem(t.Context(), flow, callback)
			e.wantRequests(1, 0)
			if err == nil || !strings.Contains(err.Error(), "lost") {
				t.Fatalf("the error does not say that the answer was lost: %v", err)
			}
			forgeWantNoSecrets(t, err, callbackSecrets(e, flow, callback))
			// The one later attempt: its refusal says what became of the first, and it is the last.
			_, err = app.Redeem(t.Context(), flow, callback)
			e.wantRequests(2, 0)
			if err == nil {
				return // the server had not processed the first
			}
			if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); !required || !strings.Contains(err.Error(), "lost") {
				t.Errorf("the second attempt: %v", err)
			}
			_, again := app.Redeem(t.Context(), flow, callback)
			e.wantRequests(2, 0)
			if again == nil || again.Error() != err.Error() {
				t.Errorf("the third attempt: %v", again)
			}
		})
	}
}

// TestThreatsCallbackOutage is row 20's other side: what the public documents cannot tell costs no code.
func TestThreatsCallbackOutage(t *testing.T) {
	for _, endpoint := range []string{"discovery", "keys"} {
		for name, fault := range map[string]entratest.Fault{
			"500":       {Status: 500},
			"503":       {Status: 503, RetryAfter: "3600"},
			"HTML":      {Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}},
			"lost":      {LoseAnswer: true},
			"truncated": {TruncateAt: 20},
			"slow":      {Latency: time.Hour},
		} {
			t.Run(endpoint+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := newEntra(t, nil)
					app := e.newApp(nil)
					flow, callback := e.beginAs(app, alice, nil)
					fault.Endpoint = endpoint
					mend := e.Inject(fault)
					began := time.Now()
					_, err := app.Redeem(t.Context(), flow, callback)
					if err == nil {
						t.Fatal("no error")
					}
					forgeWantNoSecrets(t, err, callbackSecrets(e, flow, callback))
					if took := time.Since(began); took > 15*time.Second {
						t.Errorf("it took %v to give up", took)
					}
					e.wantRequests(0, 0)
					mend()
					if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
						t.Errorf("the same callback after the outage: %v", err)
					}
					e.wantRequests(1, 0)
				})
			})
		}
	}
}

// TestThreatsCallbackArguments: nothing that is handed in by mistake gets as far as a request.
func TestThreatsCallbackArguments(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	flow, callback := e.beginAs(app, alice, nil)
	e.ResetRequests()
	for name, flow := range map[string]*authcode.Flow{
		"nil":               nil,
		"zero":              {},
		"no state":          callbackWith(flow, func(f *authcode.Flow) { f.State = "" }),
		"no nonce":          callbackWith(flow, func(f *authcode.Flow) { f.Nonce = "" }),
		"no verifier":       callbackWith(flow, func(f *authcode.Flow) { f.CodeVerifier = "" }),
		"no expiry":         callbackWith(flow, func(f *authcode.Flow) { f.Expires = time.Time{} }),
		"no client":         callbackWith(flow, func(f *authcode.Flow) { f.ClientID = "" }),
		"no tenant":         callbackWith(flow, func(f *authcode.Flow) { f.TenantID = "" }),
		"no tenant, opened": callbackWith(flow, func(f *authcode.Flow) { f.TenantID, f.URL = "", "" }),
		"a tenant":          callbackWith(flow, func(f *authcode.Flow) { f.TenantID = "fabrikam.example" }),
		"a path":            callbackWith(flow, func(f *authcode.Flow) { f.TenantID = "../" + f.TenantID }),
	} {
		if _, err := app.Redeem(t.Context(), flow, callback); err == nil {
			t.Errorf("Redeem took a flow with %s", name)
		}
		if name == "no expiry" {
			continue // Redeem's to say
		}
		if _, err := app.SealFlow(flow); err == nil {
			t.Errorf("SealFlow took a flow with %s", name)
		}
	}
	var none context.Context
	if _, err := app.Redeem(none, flow, callback); err == nil || !strings.Contains(err.Error(), "context") {
		t.Errorf("nil context: %v", err)
	}
	if _, err := app.Redeem(t.Context(), flow, nil); !errors.Is(err, authcode.ErrStateMismatch) {
		t.Errorf("nil query: %v", err)
	}
	_ = app.Close()
	for name, err := range map[string]error{
		"Redeem":   callbackLast(app.Redeem(t.Context(), flow, callback)),
		"Begin":    callbackLast(app.Begin(nil)),
		"SealFlow": callbackLast(app.SealFlow(flow)),
		"OpenFlow": callbackLast(app.OpenFlow("AAAA")),
		"Forget":   app.Forget(t.Context(), "x"),
	} {
		if !errors.Is(err, authcode.ErrClosed) {
			t.Errorf("%s of a closed App: %v", name, err)
		}
	}
	if got := len(e.Requests()); got != 0 {
		t.Errorf("%d requests, want none", got)
	}
}

func callbackLast[T any](_ T, err error) error { return err }

func callbackWith(flow *authcode.Flow, edit func(*authcode.Flow)) *authcode.Flow {
	copied := *flow
	edit(&copied)
	return &copied
}

// TestThreatsFlowOfAnotherApp is the mix-up defence (RFC 9700 section 4.4): a flow belongs to one App, sealed or not.
func TestThreatsFlowOfAnotherApp(t *testing.T) {
	e := newEntra(t, nil)
	key, otherKey := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	sealer, err := authcode.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	otherSealer, err := authcode.NewSealer(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	newApp := func(tenant, client, redirect string, edit func(*authcode.AppOptions)) *authcode.App {
		options := &authcode.AppOptions{ClientOptions: e.client(), Sealer: sealer}
		if edit != nil {
			edit(options)
		}
		app, err := authcode.NewApp(tenant, client, redirect, authcode.SecretAuth(e.secret()), options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = app.Close() })
		return app
	}
	app := newApp(e.tenant.ID, e.app.ClientID, redirectURI, nil)
	fabrikam := e.Directory().Tenant("fabrikam.example").ID
	own := func(authorize, token string) func(*authcode.AppOptions) {
		return func(o *authcode.AppOptions) {
			o.Endpoints = &authcode.Endpoints{
				Authorize: e.URL() + authorize, Token: e.URL() + token, Issuer: e.URL(), JWKS: e.URL() + "/keys",
			}
		}
	}
	elsewhere := newEntra(t, nil)
	for name, c := range map[string]struct {
		theirs, ours *authcode.App
		sealedOnly   bool // the difference is one that a Flow in memory does not have
	}{
		"client":        {app, newApp(e.tenant.ID, "9a710000-8e2c-4d5b-9f3a-71e6d5c4b3a2", redirectURI, nil), false},
		"tenant":        {newApp(fabrikam, e.app.ClientID, redirectURI, nil), app, false},
		"common":        {newApp("common", e.app.ClientID, redirectURI, func(o *authcode.AppOptions) { o.SignInTenants = []string{"*"} }), app, false},
		"key":           {app, newApp(e.tenant.ID, e.app.ClientID, redirectURI, func(o *authcode.AppOptions) { o.Sealer = otherSealer }), true},
		"process":       {app, newApp(e.tenant.ID, e.app.ClientID, redirectURI, func(o *authcode.AppOptions) { o.Sealer = nil }), true},
		"authority":     {newApp(e.tenant.ID, e.app.ClientID, redirectURI, func(o *authcode.AppOptions) { o.ClientOptions = elsewhere.client() }), app, false},
		"public cloud":  {newApp(e.tenant.ID, e.app.ClientID, redirectURI, func(o *authcode.AppOptions) { o.Cloud = cloud.AzurePublic }), app, false},
		"own endpoints": {newApp(e.tenant.ID, e.app.ClientID, redirectURI, own("/authorize", "/token")), app, false},
		"own endpoints, one authorize URL the beginning of the other": {
			newApp("", e.app.ClientID, redirectURI, own("/authorize/b", "/b/token")),
			newApp("", e.app.ClientID, redirectURI, own("/authorize", "/a/token")), false,
		},
		"own endpoints, one policy the beginning of the other": {
			newApp("", e.app.ClientID, redirectURI, own("/authorize?p=b2c_1_signin_weak", "/token?p=b2c_1_signin_weak")),
			newApp("", e.app.ClientID, redirectURI, own("/authorize?p=b2c_1_signin", "/token?p=b2c_1_signin")), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			flow, err := c.theirs.Begin(nil)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := c.theirs.SealFlow(flow)
			if err != nil {
				t.Fatal(err)
			}
			e.ResetRequests()
			if _, err := c.ours.OpenFlow(sealed); err == nil {
				t.Error("OpenFlow opened it")
			}
			if !c.sealedOnly {
				if _, err := c.ours.Redeem(t.Context(), flow, url.Values{"state": {flow.State}, "code": {"code"}}); err == nil || !strings.Contains(err.Error(), "the flow") {
					t.Errorf("Redeem gave %v", err)
				}
				if _, err := c.ours.SealFlow(flow); err == nil {
					t.Error("SealFlow sealed it")
				}
			}
			if n := len(e.Requests()); n != 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestThreatsFlowKeepsItsRedirectURI: the redirect URI is part of what a flow is bound to. A flow of an App with another
// one (two sites of one registration; a deployment that moved the callback) is refused, or keeps its own: with the
// opener's the server would refuse the code, and it would be spent.
func TestThreatsFlowKeepsItsRedirectURI(t *testing.T) {
	e := newEntra(t, nil)
	sealer, err := authcode.NewSealer(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	app := e.newApp(&authcode.AppOptions{ClientOptions: e.client(), Sealer: sealer})
	moved, err := authcode.NewApp(e.tenant.ID, e.app.ClientID, "https://localhost:3000/auth/callback", authcode.SecretAuth(e.secret()), &authcode.AppOptions{ClientOptions: e.client(), Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = moved.Close() })
	flow, callback := e.beginAs(app, alice, nil)
	sealed, err := app.SealFlow(flow)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := moved.OpenFlow(sealed)
	if err != nil {
		return
	}
	if opened.RedirectURI != flow.RedirectURI {
		t.Errorf("the flow's redirect URI became %s, it was %s", opened.RedirectURI, flow.RedirectURI)
	}
	if _, err := moved.Redeem(t.Context(), opened, callback); err != nil {
		t.Error(err)
	}
}

// TestThreatsSealedFlowTampered: no other text than the one SealFlow gave opens.
func TestThreatsSealedFlowTampered(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	flow, err := app.Begin(&authcode.BeginOptions{Scopes: []string{graphScope}})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := app.SealFlow(flow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.OpenFlow(sealed); err != nil {
		t.Fatal(err)
	}
	opens := func(what, text string) {
		if flow, err := app.OpenFlow(text); err == nil {
			t.Errorf("%s: it opened (%v)", what, flow.Expires)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range sealed {
		before, after := sealed[:i], sealed[i+1:]
		for _, other := range alphabet {
			if byte(other) != sealed[i] {
				opens(fmt.Sprintf("byte %d is %c", i, other), before+string(other)+after)
			}
		}
		opens(fmt.Sprintf("byte %d is missing", i), before+after)
		opens(fmt.Sprintf("byte %d stands twice", i), sealed[:i+1]+sealed[i:])
		opens(fmt.Sprintf("cut off at byte %d", i), before)
		opens(fmt.Sprintf("begins at byte %d", i+1), after)
	}
	for _, more := range []string{"A", "=", " ", "\x00", sealed, strings.Repeat("A", 1<<20)} {
		opens(fmt.Sprintf("%.10q behind it", more), sealed+more)
		opens(fmt.Sprintf("%.10q before it", more), more+sealed)
	}
	for _, blank := range []string{"\n", "\r\n"} { // which decoders of base64 tend to skip
		for _, i := range []int{0, 1, len(sealed) / 2, len(sealed)} {
			opens(fmt.Sprintf("%q at byte %d", blank, i), sealed[:i]+blank+sealed[i:])
		}
	}
	for _, text := range []string{"", ".", "AAAA", "null", `{"State":"x"}`, flow.State, strings.ToUpper(sealed), url.QueryEscape("\xff\xfe")} {
		opens(fmt.Sprintf("%.20q", text), text)
	}
	other, err := app.Begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	otherSealed, err := app.SealFlow(other)
	if err != nil {
		t.Fatal(err)
	}
	opens("the halves of two", sealed[:len(sealed)/2]+otherSealed[len(otherSealed)/2:])
}

// TestThreatsSealedFlowLength: a flow fits into 600 characters in all that apps really ask for, so that five of them fit
// into a browser's cookies.
func TestThreatsSealedFlowLength(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(&authcode.AppOptions{ClientOptions: e.client(), AdditionallyAllowedTenants: []string{"*"}})
	account := e.Directory().User("alice").HomeAccountID()
	longRedirect := "https://orders.staging.westeurope.contoso-applications.example/auth/callback"
	for name, options := range map[string]*authcode.BeginOptions{
		"nothing":                      nil,
		"one scope":                    {Scopes: []string{graphScope}},
		"three of Graph":               {Scopes: []string{graphScope, mailScope, "https://graph.microsoft.com/Calendars.ReadWrite"}},
		"short names":                  {Scopes: []string{"User.Read", "Mail.ReadWrite", "Calendars.ReadWrite", "Files.ReadWrite.All", "Sites.Read.All", "offline_access", "email"}},
		"four resources":               {Scopes: []string{graphScope, storageScope, vaultScope, armScope}},
		"an API of one's own":          {Scopes: []string{"api://0bde5000-9c1d-4b7e-8f20-31a2b3c4d5e6/Orders.Read", "api://0bde5000-9c1d-4b7e-8f20-31a2b3c4d5e6/Orders.Write"}},
		"a step-up":                    {AccountID: account, Scopes: []string{graphScope}, Claims: `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`, LoginHint: alice},
		"a step-up for four resources": {AccountID: account, Scopes: []string{graphScope, storageScope, vaultScope, armScope}},
		"another redirect URI":         {RedirectURI: longRedirect, Scopes: []string{graphScope}},
		"another tenant":               {TenantID: e.Directory().Tenant("fabrikam.example").ID, Scopes: []string{graphScope, storageScope}},
		"all of it":                    {AccountID: account, RedirectURI: longRedirect, Scopes: []string{graphScope, storageScope, vaultScope, armScope}, TenantID: e.Directory().Tenant("fabrikam.example").ID},
	} {
		t.Run(name, func(t *testing.T) {
			flow, err := app.Begin(options)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := app.SealFlow(flow)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d characters", len(sealed))
			if len(sealed) > 600 {
				t.Errorf("%d characters, more than 600", len(sealed))
			}
			if strings.Trim(sealed, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Errorf("it is not safe in a URL and a cookie: %s", sealed)
			}
			opened, err := app.OpenFlow(sealed)
			if err != nil {
				t.Fatal(err)
			}
			callbackWantSameFlow(t, opened, flow)
		})
	}
	flow, err := app.Begin(&authcode.BeginOptions{Scopes: slices.Repeat([]string{storageScope}, 30)})
	if err != nil {
		t.Fatal(err)
	}
	if sealed, err := app.SealFlow(flow); err == nil && len(sealed) > 600 {
		t.Errorf("%d characters, more than 600", len(sealed))
	}
}

// callbackWantSameFlow: all that Redeem needs has come through.
func callbackWantSameFlow(t *testing.T, opened, flow *authcode.Flow) {
	t.Helper()
	for name, both := range map[string][2]string{
		"AccountID":    {opened.AccountID, flow.AccountID},
		"ClientID":     {opened.ClientID, flow.ClientID},
		"CodeVerifier": {opened.CodeVerifier, flow.CodeVerifier},
		"Nonce":        {opened.Nonce, flow.Nonce},
		"RedirectURI":  {opened.RedirectURI, flow.RedirectURI},
		"State":        {opened.State, flow.State},
		"TenantID":     {opened.TenantID, flow.TenantID},
	} {
		if both[0] != both[1] {
			t.Errorf("%s is not what it was", name)
		}
	}
	if !slices.Equal(opened.Scopes, flow.Scopes) {
		t.Errorf("the scopes are %q, they were %q", opened.Scopes, flow.Scopes)
	}
	if opened.Expires.After(flow.Expires) || flow.Expires.Sub(opened.Expires) > time.Second {
		t.Errorf("it expires at %v, it did at %v", opened.Expires, flow.Expires)
	}
}

// TestThreatsSealedFlowRoundTrip: what comes out of the cookie redeems.
func TestThreatsSealedFlowRoundTrip(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(&authcode.AppOptions{ClientOptions: e.client(), AdditionallyAllowedTenants: []string{"*"}})
	for name, options := range map[string]*authcode.BeginOptions{
		"nothing":              nil,
		"scopes":               {Scopes: []string{graphScope, storageScope}},
		"account":              {AccountID: e.Directory().User("alice").HomeAccountID()},
		"another redirect URI": {RedirectURI: "https://localhost:3000/auth/callback"},
		"tenant":               {TenantID: e.Directory().Tenant("fabrikam.example").ID},
		"tenant by its domain": {TenantID: "fabrikam.example"},
	} {
		t.Run(name, func(t *testing.T) {
			flow, callback := e.beginAs(app, alice, options)
			sealed, err := app.SealFlow(flow)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := app.OpenFlow(sealed)
			if err != nil {
				t.Fatal(err)
			}
			c, err := app.Redeem(t.Context(), opened, callback)
			if err != nil {
				t.Fatal(err)
			}
			account, err := c.Account(t.Context())
			if err != nil || account.ID != e.Directory().User("alice").HomeAccountID() {
				t.Errorf("account %q, %v", account.ID, err)
			}
		})
	}
}

// TestThreatsFlowsAreDistinct is RFC 9700 section 2.1.1 and RFC 7636 section 7.1: fresh values of 256 bits per flow, and
// no bit of them is the same in all.
func TestThreatsFlowsAreDistinct(t *testing.T) {
	const flows = 10_000
	e := newEntra(t, nil)
	app := e.newApp(nil)
	seen := make(map[string]bool, 3*flows)
	var ones [3][256]int
	for range flows {
		flow, err := app.Begin(nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, value := range []string{flow.State, flow.Nonce, flow.CodeVerifier} {
			raw, err := base64.RawURLEncoding.DecodeString(value)
			if err != nil || len(raw) < 32 {
				t.Fatalf("%d bytes, %v", len(raw), err)
			}
			if seen[value] {
				t.Fatal("a value stands twice")
			}
			seen[value] = true
			for bit := range 256 {
				ones[i][bit] += int(raw[bit/8] >> (bit % 8) & 1)
			}
		}
		if len(flow.CodeVerifier) < 43 || len(flow.CodeVerifier) > 128 {
			t.Fatalf("a verifier of %d characters (RFC 7636 section 4.1)", len(flow.CodeVerifier))
		}
	}
	for i := range ones {
		for bit, n := range ones[i] {
			if n < flows/2-500 || n > flows/2+500 { // ten standard deviations
				t.Errorf("bit %d of value %d is set in %d of %d", bit, i, n, flows)
			}
		}
	}
}

// TestThreatsPendingSignIns is the pending-login flood (CVE-2021-22119): a start keeps nothing.
func TestThreatsPendingSignIns(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	start := func(n int) {
		for range n {
			flow, err := app.Begin(&authcode.BeginOptions{LoginHint: alice, Scopes: []string{graphScope}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := app.SealFlow(flow); err != nil {
				t.Fatal(err)
			}
		}
	}
	start(100)
	before := callbackHeap()
	start(10_000)
	if grown := callbackHeap() - before; grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if n := len(e.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func callbackHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestThreatsCodeInjection: an attacker's code in the victim's callback, and the other way round (RFC 9700 section 4.5).
func TestThreatsCodeInjection(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	bobs := e.signIn(app, bob, graphScope)
	token := mustToken(t, bobs, tokenFor(graphScope))
	_, alices := e.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
	flow, callback := e.beginAs(app, bob, &authcode.BeginOptions{Scopes: []string{graphScope}})
	e.ResetRequests()
	spliced := url.Values{"state": callback["state"], "code": alices["code"]}
	_, err := app.Redeem(t.Context(), flow, spliced)
	if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed.Code != "invalid_grant" {
		t.Errorf("the splice got %v", err)
	}
	forgeWantNoSecrets(t, err, append(callbackSecrets(e, flow, callback), alices.Get("code")))
	e.wantRequests(1, 0)
	if mustToken(t, bobs, tokenFor(graphScope)) != token {
		t.Error("bob's grant was touched")
	}
	callbackWantUnknown(t, app, e.Directory().User("alice").HomeAccountID())
	e.wantRequests(1, 0)
}

// callbackWantUnknown: nothing is known of an account.
func callbackWantUnknown(t *testing.T, app *authcode.App, accountID string) {
	t.Helper()
	_, err := app.Credential(accountID).GetToken(t.Context(), tokenFor(graphScope))
	required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err)
	if !ok || !errors.Is(err, authcode.ErrUnknownAccount) {
		t.Errorf("account %s: %v", accountID, err)
		return
	}
	if required.AccountID != accountID || !slices.Equal(required.Scopes, []string{graphScope}) {
		t.Errorf("the error names the account %q and the scopes %q", required.AccountID, required.Scopes)
	}
}

// TestThreatsStepUpByAnother: a flow for one account ends with that account or not at all.
func TestThreatsStepUpByAnother(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	directory := e.Directory()
	alices := e.signIn(app, alice, graphScope)
	for _, known := range []bool{false, true} {
		if known {
			e.signIn(app, bob, graphScope)
		}
		bobs := app.Credential(directory.User("bob").HomeAccountID())
		before := mustToken(t, alices, tokenFor(graphScope))
		bobsBefore, _ := bobs.GetToken(t.Context(), tokenFor(graphScope))
		flow, callback := e.beginAs(app, bob, &authcode.BeginOptions{AccountID: directory.User("alice").HomeAccountID(), Scopes: []string{graphScope, storageScope}})
		e.ResetRequests()
		_, err := app.Redeem(t.Context(), flow, callback)
		if err == nil || !strings.Contains(err.Error(), "another user") {
			t.Errorf("bob in alice's place: %v", err)
		}
		// With what the error says the app sends them there again: for alice, and all that was asked for.
		if required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err); ok && (required.AccountID != flow.AccountID || !slices.Equal(required.Scopes, flow.Scopes)) {
			t.Errorf("the error has the account %s and the scopes %q", required.AccountID, required.Scopes)
		}
		forgeWantNoSecrets(t, err, callbackSecrets(e, flow, callback))
		if mustToken(t, alices, tokenFor(graphScope)) != before {
			t.Error("alice's grant was touched")
		}
		if known {
			if mustToken(t, bobs, tokenFor(graphScope)) != bobsBefore {
				t.Error("bob's grant was touched")
			}
		} else {
			callbackWantUnknown(t, app, directory.User("bob").HomeAccountID())
		}
		e.wantRequests(1, 0)
	}
	// The one who had to is let in, whatever the case of the ID.
	flow, callback := e.beginAs(app, alice, &authcode.BeginOptions{AccountID: strings.ToUpper(directory.User("alice").HomeAccountID())})
	c, err := app.Redeem(t.Context(), flow, callback)
	if err != nil || c != alices {
		t.Errorf("alice herself: %v", err)
	}
}

// TestThreatsStepUpSubjectCase: elsewhere than at Entra an account is known by its sub, and subjects that differ in case
// are two users (OpenID Connect Core 1.0 section 2).
func TestThreatsStepUpSubjectCase(t *testing.T) {
	f := newForge(t, "")
	app := f.newApp(nil)
	f.user.sub = "Alice"
	c := f.signInOK(t, app)
	account, err := c.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.user.sub = "alice"
	flow, callback := f.begin(app, &authcode.BeginOptions{AccountID: account.ID})
	if _, err := app.Redeem(t.Context(), flow, callback); err == nil {
		t.Error("the user alice was taken for the user Alice")
	}
}

// TestThreatsSignInTenants is who gets in where any directory in the world can answer.
func TestThreatsSignInTenants(t *testing.T) {
	e := newEntra(t, nil)
	directory := e.Directory()
	contoso, fabrikam := directory.Tenant("contoso.example").ID, directory.Tenant("fabrikam.example").ID
	const carol = "carol@fabrikam.example"
	for name, c := range map[string]struct {
		tenant     string
		signIn     []string
		additional []string
		begin      *authcode.BeginOptions
		user       string
		refused    []string // words; none: they get in
		account    authcode.Account
	}{
		"common, one of ours":                       {tenant: "common", signIn: []string{contoso}, user: alice, account: authcode.Account{TenantID: contoso, ObjectID: directory.User("alice").ObjectID}},
		"organizations, one of ours":                {tenant: "organizations", signIn: []string{contoso}, user: bob, account: authcode.Account{TenantID: contoso, ObjectID: directory.User("bob").ObjectID}},
		"common, a stranger":                        {tenant: "common", signIn: []string{contoso}, user: carol, refused: []string{"tenant", "SignInTenants"}},
		"organizations, a stranger":                 {tenant: "organizations", signIn: []string{contoso}, user: carol, refused: []string{"tenant", "SignInTenants"}},
		"Common in capitals":                        {tenant: "COMMON", signIn: []string{contoso}, user: carol, refused: []string{"tenant", "SignInTenants"}},
		"common, either":                            {tenant: "common", signIn: []string{contoso, fabrikam}, user: carol, account: authcode.Account{TenantID: fabrikam, ObjectID: directory.User("carol").ObjectID}},
		"common, in capitals":                       {tenant: "common", signIn: []string{strings.ToUpper(fabrikam)}, user: carol, account: authcode.Account{TenantID: fabrikam, ObjectID: directory.User("carol").ObjectID}},
		"common, any":                               {tenant: "common", signIn: []string{"*"}, user: carol, account: authcode.Account{TenantID: fabrikam, ObjectID: directory.User("carol").ObjectID}},
		"a guest in fabrikam":                       {tenant: fabrikam, user: alice, account: authcode.Account{TenantID: fabrikam, ObjectID: directory.User("alice").Guests[0].ObjectID}},
		"a guest, by the domain":                    {tenant: "fabrikam.example", user: alice, account: authcode.Account{TenantID: fabrikam, ObjectID: directory.User("alice").Guests[0].ObjectID}},
		"a guest, from organizations":               {tenant: "organizations", signIn: []string{contoso, fabrikam}, additional: []string{fabrikam}, begin: &authcode.BeginOptions{TenantID: fabrikam}, user: alice, account: authcode.Account{TenantID: fabrikam, ObjectID: directory.User("alice").Guests[0].ObjectID}},
		"fabrikam's, from contoso's":                {tenant: contoso, additional: []string{fabrikam}, begin: &authcode.BeginOptions{TenantID: fabrikam}, user: carol, account: authcode.Account{TenantID: fabrikam, ObjectID: directory.User("carol").ObjectID}},
		"fabrikam's, from contoso's, by the domain": {tenant: contoso, additional: []string{"*"}, begin: &authcode.BeginOptions{TenantID: "fabrikam.example"}, user: carol, account: authcode.Account{TenantID: fabrikam, ObjectID: directory.User("carol").ObjectID}},
		// A tenant that neither list names must not get in because the flow names it, nor every tenant by a flow at common.
		"a stranger, by way of common":        {tenant: contoso, additional: []string{"*"}, begin: &authcode.BeginOptions{TenantID: "common"}, user: carol, refused: []string{"tenant"}},
		"a stranger, by way of organizations": {tenant: contoso, additional: []string{"organizations"}, begin: &authcode.BeginOptions{TenantID: "Organizations"}, user: carol, refused: []string{"tenant"}},
		"a stranger, by naming their tenant":  {tenant: "organizations", signIn: []string{contoso}, begin: &authcode.BeginOptions{TenantID: fabrikam}, user: carol, refused: []string{"tenant"}},
	} {
		t.Run(name, func(t *testing.T) {
			app := callbackApp(e, c.tenant, &authcode.AppOptions{AdditionallyAllowedTenants: c.additional, ClientOptions: e.client(), SignInTenants: c.signIn})
			flow, err := app.Begin(c.begin)
			if err == nil {
				var callback *url.URL
				if callback, err = e.Authorize(t.Context(), flow.URL, c.user); err != nil {
					t.Fatal(err)
				}
				var credential *authcode.AuthorizationCodeCredential
				credential, err = app.Redeem(t.Context(), flow, callback.Query())
				if err == nil && c.refused == nil {
					account, err := credential.Account(t.Context())
					if err != nil || account.TenantID != c.account.TenantID || account.ObjectID != c.account.ObjectID || account.ID != directory.User(c.user).HomeAccountID() {
						t.Errorf("account %+v, %v", account, err)
					}
				}
			}
			if c.refused == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("they got in")
			}
			for _, word := range c.refused {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the error does not name %q: %v", word, err)
				}
			}
			callbackWantUnknown(t, app, directory.User(c.user).HomeAccountID())
		})
	}
	for name, c := range map[string]struct {
		tenant string
		signIn []string
	}{
		"common without":        {"common", nil},
		"organizations without": {"organizations", nil},
		"common, a domain":      {"common", []string{"contoso.example"}},
		"common, an empty one":  {"common", []string{""}},
		"common, a blank":       {"common", []string{" " + contoso}},
		"one tenant with":       {contoso, []string{contoso}},
	} {
		app, err := authcode.NewApp(c.tenant, e.app.ClientID, redirectURI, authcode.SecretAuth("x"), &authcode.AppOptions{ClientOptions: e.client(), SignInTenants: c.signIn})
		if err == nil {
			_ = app.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "SignInTenants") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestThreatsAuthorizeURL: these parameters and no others.
func TestThreatsAuthorizeURL(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(&authcode.AppOptions{ClientOptions: e.client(), AdditionallyAllowedTenants: []string{"fabrikam.example"}})
	alices := e.signIn(app, alice)
	account, err := alices.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := newForge(t, "")
	own := f.newApp(nil)
	withQuery := f.endpoints()
	withQuery.Authorize += "?p=b2c_1_susi"
	b2c := f.newApp(&authcode.AppOptions{ClientOptions: f.client(), Endpoints: withQuery})
	contosos := e.URL() + "/" + e.tenant.ID + "/oauth2/v2.0/authorize"
	claims := `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	for name, c := range map[string]struct {
		app     *authcode.App
		options *authcode.BeginOptions
		at      string
		more    url.Values // beside what every URL has
	}{
		"nothing":                           {app, nil, contosos, url.Values{"scope": {"openid profile offline_access"}}},
		"empty":                             {app, &authcode.BeginOptions{}, contosos, url.Values{"scope": {"openid profile offline_access"}}},
		"scopes":                            {app, &authcode.BeginOptions{Scopes: []string{graphScope, storageScope}}, contosos, url.Values{"scope": {graphScope + " " + storageScope + " openid profile offline_access"}}},
		"reserved":                          {app, &authcode.BeginOptions{Scopes: []string{"OpenID", "email", graphScope}}, contosos, url.Values{"scope": {"OpenID email " + graphScope + " profile offline_access"}}},
		"twice":                             {app, &authcode.BeginOptions{Scopes: []string{graphScope, graphScope}}, contosos, url.Values{"scope": {graphScope + " openid profile offline_access"}}},
		"prompt":                            {app, &authcode.BeginOptions{Prompt: "consent"}, contosos, url.Values{"prompt": {"consent"}, "scope": {"openid profile offline_access"}}},
		"login hint":                        {app, &authcode.BeginOptions{LoginHint: "a+b@contoso.example&prompt=none"}, contosos, url.Values{"login_hint": {"a+b@contoso.example&prompt=none"}, "scope": {"openid profile offline_access"}}},
		"domain hint":                       {app, &authcode.BeginOptions{DomainHint: "contoso.example"}, contosos, url.Values{"domain_hint": {"contoso.example"}, "scope": {"openid profile offline_access"}}},
		"claims":                            {app, &authcode.BeginOptions{Claims: claims}, contosos, url.Values{"claims": {claims}, "scope": {"openid profile offline_access"}}},
		"a known account":                   {app, &authcode.BeginOptions{AccountID: account.ID}, contosos, url.Values{"login_hint": {alice}, "scope": {"openid profile offline_access"}}},
		"an account and a hint":             {app, &authcode.BeginOptions{AccountID: account.ID, LoginHint: "x"}, contosos, url.Values{"login_hint": {"x"}, "scope": {"openid profile offline_access"}}},
		"an account to choose":              {app, &authcode.BeginOptions{AccountID: account.ID, Prompt: "select_account"}, contosos, url.Values{"prompt": {"select_account"}, "scope": {"openid profile offline_access"}}},
		"a stranger's":                      {app, &authcode.BeginOptions{AccountID: "stranger"}, contosos, url.Values{"scope": {"openid profile offline_access"}}},
		"redirect URI":                      {app, &authcode.BeginOptions{RedirectURI: "https://localhost:3000/auth/callback"}, contosos, url.Values{"redirect_uri": {"https://localhost:3000/auth/callback"}, "scope": {"openid profile offline_access"}}},
		"tenant":                            {app, &authcode.BeginOptions{TenantID: "fabrikam.example"}, e.URL() + "/fabrikam.example/oauth2/v2.0/authorize", url.Values{"scope": {"openid profile offline_access"}}},
		"own endpoints":                     {own, &authcode.BeginOptions{Scopes: []string{"a"}}, f.origin + "/authorize", url.Values{"scope": {"a openid"}}},
		"own endpoints with offline_access": {own, &authcode.BeginOptions{Scopes: []string{"offline_access"}}, f.origin + "/authorize", url.Values{"scope": {"offline_access openid"}}},
		"a query of its own":                {b2c, nil, f.origin + "/authorize", url.Values{"p": {"b2c_1_susi"}, "scope": {"openid"}}},
	} {
		t.Run(name, func(t *testing.T) {
			flow, err := c.app.Begin(c.options)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(flow.URL)
			if err != nil {
				t.Fatal(err)
			}
			challenge := sha256.Sum256([]byte(flow.CodeVerifier))
			want := url.Values{
				"client_id":             {flow.ClientID},
				"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
				"code_challenge_method": {"S256"},
				"nonce":                 {flow.Nonce},
				"redirect_uri":          {redirectURI},
				"response_type":         {"code"},
				"state":                 {flow.State},
			}
			for name, values := range c.more {
				want[name] = values
			}
			query, err := url.ParseQuery(u.RawQuery)
			if err != nil {
				t.Fatal(err)
			}
			u.RawQuery = ""
			if u.String() != c.at {
				t.Errorf("it is at %s, want %s", u, c.at)
			}
			if got, want := query.Encode(), want.Encode(); got != want {
				t.Errorf("the parameters are\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(flow.URL, flow.CodeVerifier) {
				t.Error("the verifier is in the URL")
			}
		})
	}
}

// TestThreatsBeginRefuses: what cannot be asked for is refused before the browser goes anywhere.
func TestThreatsBeginRefuses(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	for name, c := range map[string]struct {
		options authcode.BeginOptions
		word    string
	}{
		"a tenant off the list":       {authcode.BeginOptions{TenantID: "fabrikam.example"}, "AdditionallyAllowedTenants"},
		"common":                      {authcode.BeginOptions{TenantID: "common"}, "AdditionallyAllowedTenants"},
		"a path":                      {authcode.BeginOptions{TenantID: "../common"}, "tenant"},
		"a scope with a blank":        {authcode.BeginOptions{Scopes: []string{"a b"}}, "scope"},
		"an empty scope":              {authcode.BeginOptions{Scopes: []string{""}}, "scope"},
		"claims that are none":        {authcode.BeginOptions{Claims: "acrs"}, "claims"},
		"claims with a member twice":  {authcode.BeginOptions{Claims: `{"a":1,"a":2}`}, "claims"},
		"a line feed in the hint":     {authcode.BeginOptions{LoginHint: "a\r\nSet-Cookie: x"}, "LoginHint"},
		"a line feed in the prompt":   {authcode.BeginOptions{Prompt: "none\n"}, "Prompt"},
		"NUL in the domain":           {authcode.BeginOptions{DomainHint: "a\x00"}, "DomainHint"},
		"a line feed in the account":  {authcode.BeginOptions{AccountID: "a\n"}, "AccountID"},
		"a megabyte of account":       {authcode.BeginOptions{AccountID: strings.Repeat("a", 1<<20)}, "AccountID"},
		"another site over http":      {authcode.BeginOptions{RedirectURI: "http://evil.example/"}, "redirect URI"},
		"a redirect URI with a code":  {authcode.BeginOptions{RedirectURI: redirectURI + "?code=x"}, "redirect URI"},
		"a redirect URI with a state": {authcode.BeginOptions{RedirectURI: redirectURI + "?state=x"}, "redirect URI"},
		"a fragment":                  {authcode.BeginOptions{RedirectURI: redirectURI + "#x"}, "redirect URI"},
		"a script":                    {authcode.BeginOptions{RedirectURI: "javascript:alert(1)"}, "redirect URI"},
		"a native scheme":             {authcode.BeginOptions{RedirectURI: "com.example.app:/callback"}, "redirect URI"},
	} {
		flow, err := app.Begin(&c.options)
		if flow != nil || err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want an error naming %s", name, err, c.word)
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\r\n\x00") || len(err.Error()) > 1000) {
			t.Errorf("%s: the error is unfit to print: %.200q", name, err.Error())
		}
	}
	f := newForge(t, "")
	endpoints := f.endpoints()
	endpoints.Authorize = ""
	without := f.newApp(&authcode.AppOptions{ClientOptions: f.client(), Endpoints: endpoints})
	if _, err := without.Begin(nil); err == nil || !strings.Contains(err.Error(), "Authorize") {
		t.Errorf("no Authorize: %v", err)
	}
}

// TestThreatsOwnEndpointsMissing: what an ID token is verified with is asked for before the code is sent.
func TestThreatsOwnEndpointsMissing(t *testing.T) {
	for field, clear := range map[string]func(*authcode.Endpoints){
		"Issuer": func(e *authcode.Endpoints) { e.Issuer = "" },
		"JWKS":   func(e *authcode.Endpoints) { e.JWKS = "" },
	} {
		f := newForge(t, "")
		endpoints := f.endpoints()
		clear(endpoints)
		app := f.newApp(&authcode.AppOptions{ClientOptions: f.client(), Endpoints: endpoints})
		flow, callback := f.begin(app, nil)
		_, err := app.Redeem(t.Context(), flow, callback)
		f.wantError(err, field)
		f.wantCount("token", 0)
	}
}

func TestThreatsSignOutURL(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	common := callbackApp(e, "common", nil)
	f := newForge(t, "")
	own := f.newApp(nil)
	noLogout := f.endpoints()
	noLogout.EndSession = ""
	without := f.newApp(&authcode.AppOptions{ClientOptions: f.client(), Endpoints: noLogout})
	withQuery := f.endpoints()
	withQuery.EndSession += "?p=b2c_1"
	b2c := f.newApp(&authcode.AppOptions{ClientOptions: f.client(), Endpoints: withQuery})
	logout := e.URL() + "/" + e.tenant.ID + "/oauth2/v2.0/logout"
	for name, c := range map[string]struct {
		app     *authcode.App
		options *authcode.SignOutOptions
		want    string
	}{
		"nothing":            {app, nil, logout},
		"empty":              {app, &authcode.SignOutOptions{}, logout},
		"back":               {app, &authcode.SignOutOptions{PostLogoutRedirectURI: "https://app.example.com/?a=b&c"}, logout + "?post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2F%3Fa%3Db%26c"},
		"hint":               {app, &authcode.SignOutOptions{LogoutHint: "a&post_logout_redirect_uri=evil"}, logout + "?logout_hint=a%26post_logout_redirect_uri%3Devil"},
		"both":               {app, &authcode.SignOutOptions{LogoutHint: "h", PostLogoutRedirectURI: "https://app.example.com/"}, logout + "?logout_hint=h&post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2F"},
		"common":             {common, nil, e.URL() + "/common/oauth2/v2.0/logout"},
		"own":                {own, nil, f.origin + "/logout?client_id=" + forgeClient},
		"own, back":          {own, &authcode.SignOutOptions{PostLogoutRedirectURI: "https://a/"}, f.origin + "/logout?client_id=" + forgeClient + "&post_logout_redirect_uri=https%3A%2F%2Fa%2F"},
		"own without":        {without, &authcode.SignOutOptions{PostLogoutRedirectURI: "https://a/"}, ""},
		"a query of its own": {b2c, nil, f.origin + "/logout?p=b2c_1&client_id=" + forgeClient},
		"a line feed":        {app, &authcode.SignOutOptions{LogoutHint: "a\r\nX: y"}, logout + "?logout_hint=a%0D%0AX%3A+y"},
	} {
		if got := c.app.SignOutURL(c.options); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestThreatsForget is row 41 without a race: what is forgotten is gone, and it can be asked for again and again.
func TestThreatsForget(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	c := e.signIn(app, alice, graphScope)
	others := e.signIn(app, bob, graphScope)
	account := e.Directory().User("alice").HomeAccountID()
	for range 3 {
		if err := app.Forget(t.Context(), account); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Forget(t.Context(), "never seen"); err != nil {
		t.Error(err)
	}
	e.ResetRequests()
	callbackWantUnknown(t, app, account)
	if _, err := c.GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrUnknownAccount) {
		t.Errorf("the credential still held: %v", err)
	}
	if _, err := c.Account(t.Context()); !errors.Is(err, authcode.ErrUnknownAccount) {
		t.Errorf("its account: %v", err)
	}
	mustToken(t, others, tokenFor(graphScope))
	e.wantRequests(0, 0)
	if again := e.signIn(app, alice, graphScope); again != c {
		t.Error("the credential that was still held is not the one of the new sign-in")
	}
	mustToken(t, c, tokenFor(graphScope))

	var none context.Context
	if err := app.Forget(none, account); err == nil {
		t.Error("a nil context was taken")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := app.Forget(ended, account); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	mustToken(t, c, tokenFor(graphScope))
}

// TestThreatsForgetRacesRefresh is row 41: whenever the user signs out while a refresh is on its way, they stay signed
// out. Each moment of the refresh, a hundred of them twice, is tried with callers who wait, callers behind whose
// back it runs, and both.
func TestThreatsForgetRacesRefresh(t *testing.T) {
	const wait = 100 * time.Millisecond
	for name, asked := range map[string]struct {
		scopes []string
		stale  bool
	}{
		"waiting":            {[]string{storageScope}, false},
		"three turns":        {[]string{storageScope, vaultScope, armScope}, false},
		"behind the back":    {[]string{graphScope}, true},
		"behind and waiting": {[]string{graphScope, storageScope}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newForge(t, "")
				f.useEC()
				app := f.newApp(nil)
				for moment := range 2 * 110 {
					f.raceForget(t, app, asked.scopes, asked.stale, wait, time.Duration(moment%110)*time.Millisecond)
				}
			})
		})
	}
}

// useEC has the server sign with a curve: much faster, for tests with thousands of tokens.
func (f *forge) useEC() {
	f.published = []forgeJWK{{Key: "ec-1"}}
	f.mint = func(signIn forgeCode) string {
		return (&forgeVector{Alg: "ES256", Key: "ec-1", Header: forgeMembers("alg", `"ES256"`, "kid", `"ec-1"`)}).mint(f, signIn)
	}
}

func (f *forge) raceForget(t *testing.T, app *authcode.App, scopes []string, stale bool, wait, moment time.Duration) {
	t.Helper()
	f.change(func() { f.latency["token"] = 0 })
	flow, callback := f.begin(app, &authcode.BeginOptions{Scopes: []string{graphScope}})
	c, err := app.Redeem(t.Context(), flow, callback)
	if err != nil {
		t.Fatal(err)
	}
	account, err := c.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stale {
		callbackPass(56 * time.Minute)
	}
	f.change(func() { f.latency["token"] = wait })
	began := time.Now()
	var together sync.WaitGroup
	for _, scope := range scopes {
		together.Go(func() {
			_, err := c.GetToken(t.Context(), tokenFor(scope))
			if err != nil && !errors.Is(err, authcode.ErrUnknownAccount) {
				t.Errorf("moment %v: %v", moment, err)
			}
			if err == nil && !stale && time.Since(began) > moment {
				t.Errorf("moment %v: a token came %v after the start, when the account was forgotten", moment, time.Since(began))
			}
		})
	}
	together.Go(func() {
		callbackPass(max(moment, 1))
		if err := app.Forget(t.Context(), account.ID); err != nil {
			t.Error(err)
		}
	})
	together.Wait()
	callbackPass(4 * wait) // what runs behind the back lands
	before := f.count("token")
	callbackWantUnknown(t, app, account.ID)
	if _, err := c.GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrUnknownAccount) {
		t.Errorf("moment %v: the forgotten account came back: %v", moment, err)
	}
	f.wantCount("token", before)
}

// TestThreatsSignInRacesRefresh: a refresh that began before a new sign-in does not overwrite what the user has just
// signed in for.
func TestThreatsSignInRacesRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge(t, "")
		f.useEC()
		app := f.newApp(nil)
		c := f.signInOK(t, app)
		for _, forget := range []bool{false, true} {
			var late atomic.Bool
			f.change(func() {
				f.instead["token"] = func(*http.Request) *forgeAnswer {
					if late.CompareAndSwap(false, true) { // the refresh, which the sign-in overtakes
						callbackPass(time.Second)
					}
					return nil
				}
			})
			var together sync.WaitGroup
			together.Go(func() { _, _ = c.GetToken(t.Context(), tokenFor(storageScope)) })
			synctest.Wait()
			if forget {
				if err := app.Forget(t.Context(), f.user.sub+"@"+f.origin); err != nil {
					t.Fatal(err)
				}
			}
			if again := f.signInOK(t, app); again != c {
				t.Error("another credential")
			}
			together.Wait()
			before := f.count("token")
			mustToken(t, c, tokenFor(storageScope))
			if f.count("token") != before+1 {
				t.Errorf("forget %v: the token of the grant from before was kept", forget)
			}
		}
	})
}

// TestThreatsCredentialBeforeSignIn: a credential can be asked for first; it works once the user has signed in.
func TestThreatsCredentialBeforeSignIn(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	account := e.Directory().User("alice").HomeAccountID()
	early := app.Credential(account)
	_, err := early.GetToken(t.Context(), tokenFor(graphScope))
	if required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err); !ok || !errors.Is(err, authcode.ErrUnknownAccount) || required.AccountID != account || required.TenantID != e.tenant.ID {
		t.Errorf("before the sign-in: %v", err)
	}
	if _, err := early.Account(t.Context()); !errors.Is(err, authcode.ErrUnknownAccount) {
		t.Errorf("its account: %v", err)
	}
	if got := len(e.Requests()); got != 0 {
		t.Errorf("%d requests", got)
	}
	runtime.GC() // holding it is what keeps it known
	if c := e.signIn(app, alice, graphScope); c != early {
		t.Error("another credential signed in")
	}
	mustToken(t, early, tokenFor(graphScope))
	if err := early.Close(); err != nil {
		t.Error(err)
	}
	mustToken(t, early, tokenFor(graphScope)) // the App owns the grant
	var together sync.WaitGroup
	var same sync.Map
	for range 100 {
		together.Go(func() { same.Store(app.Credential("nobody"), true) })
	}
	together.Wait()
	n := 0
	same.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d credentials of one account", n)
	}
	for _, accountID := range []string{"", " ", strings.Repeat("x", 1<<20), "a\r\nb", "\xff", "../" + account} {
		_, err := app.Credential(accountID).GetToken(t.Context(), tokenFor(graphScope))
		if !errors.Is(err, authcode.ErrUnknownAccount) {
			t.Errorf("account %.20q: %v", accountID, err)
		}
	}
}

// TestThreatsCallbackNotLogged is case 21's other half: whatever azcore is told to log, nothing of a callback is in it.
func TestThreatsCallbackNotLogged(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	azlog.SetListener(func(_ azlog.Event, line string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	})
	defer azlog.SetListener(nil)
	e := newEntra(t, nil)
	options := &authcode.AppOptions{ClientOptions: e.client(), OnEvent: func(_ context.Context, event authcode.Event) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, fmt.Sprintf("%+v", event))
	}}
	options.Logging = policy.LogOptions{IncludeBody: true, AllowedHeaders: []string{"*"}, AllowedQueryParams: []string{"code", "state", "access_token"}}
	app := e.newApp(options)
	for _, fault := range []entratest.Fault{{EchoSecrets: true, Times: 1}, {LoseAnswer: true, Times: 1}, {}} {
		flow, callback := e.beginAs(app, alice, nil)
		callback.Set("access_token", "CANARY-TOKEN")
		callback.Set("id_token", "CANARY-TOKEN")
		remove := e.Inject(fault)
		_, _ = app.Redeem(t.Context(), flow, callback)
		remove()
		_, _ = app.Redeem(t.Context(), flow, url.Values{"state": {flow.State}, "error": {"access_denied"}, "error_description": {"CANARY-TOKEN"}})
		mu.Lock()
		all := strings.Join(lines, "\n")
		mu.Unlock()
		if all == "" {
			t.Fatal("nothing was logged, so nothing is proved")
		}
		for _, secret := range append(callbackSecrets(e, flow, callback), "CANARY-TOKEN", url.QueryEscape(e.secret())) {
			if strings.Contains(all, secret) {
				t.Errorf("the log has the secret %.12q", secret)
			}
		}
	}
}

// whoCanSignIn are the users without a reason to be refused.
func whoCanSignIn(e *entra) []entratest.User {
	return slices.DeleteFunc(e.Directory().Users, func(u entratest.User) bool {
		return u.Blocked || u.Disabled || u.MFARequired || u.PasswordExpired || u.SignInFrequency != 0
	})
}

// TestThreatsNoBleed is row 48: whatever users do and in which order, a credential's token is its account's.
func TestThreatsNoBleed(t *testing.T) {
	e := newEntra(t, nil)
	app := callbackApp(e, "common", &authcode.AppOptions{SignInTenants: []string{"*"}})
	users := whoCanSignIn(e)
	scopes := []string{graphScope, storageScope, vaultScope}
	random := rand.New(rand.NewPCG(1, 2))
	signedIn := map[string]bool{}
	for range 400 {
		user, other := users[random.IntN(len(users))], users[random.IntN(len(users))]
		account := user.HomeAccountID()
		switch random.IntN(6) {
		case 0:
			e.signIn(app, user.Username, scopes[random.IntN(len(scopes))])
			signedIn[account] = true
		case 1: // a step-up that perhaps another answers
			flow, callback := e.beginAs(app, other.Username, &authcode.BeginOptions{AccountID: account})
			_, err := app.Redeem(t.Context(), flow, callback)
			if (err == nil) != (other.ObjectID == user.ObjectID) {
				t.Fatalf("%s in the place of %s: %v", other.Username, user.Username, err)
			}
			signedIn[account] = signedIn[account] || err == nil
		case 2:
			if err := app.Forget(t.Context(), account); err != nil {
				t.Fatal(err)
			}
			signedIn[account] = false
		default:
			token, err := app.Credential(account).GetToken(t.Context(), tokenFor(scopes[random.IntN(len(scopes))]))
			if !signedIn[account] {
				if !errors.Is(err, authcode.ErrUnknownAccount) {
					t.Fatalf("%s is not signed in: %v", user.Username, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			claims, err := e.VerifyAccessToken(token.Token)
			if err != nil || claims["oid"] != user.ObjectID {
				t.Fatalf("%s got the token of %v (%v)", user.Username, claims["oid"], err)
			}
		}
	}
}

// TestThreatsNoBleedAtOnce: the same, with all of them at it at once.
func TestThreatsNoBleedAtOnce(t *testing.T) {
	e := newEntra(t, nil)
	app := callbackApp(e, "common", &authcode.AppOptions{SignInTenants: []string{"*"}})
	var together sync.WaitGroup
	for _, user := range whoCanSignIn(e) {
		for n := range 4 {
			together.Go(func() {
				random := rand.New(rand.NewPCG(3, uint64(n)))
				for range 25 {
					flow, err := app.Begin(&authcode.BeginOptions{Scopes: []string{graphScope}})
					if err != nil {
						t.Error(err)
						return
					}
					callback, err := e.Authorize(t.Context(), flow.URL, user.Username)
					if err != nil {
						t.Error(err)
						return
					}
					c, err := app.Redeem(t.Context(), flow, callback.Query())
					if err != nil {
						t.Error(err)
						return
					}
					if c != app.Credential(user.HomeAccountID()) {
						t.Errorf("%s got another's credential", user.Username)
					}
					token, err := c.GetToken(t.Context(), tokenFor([]string{graphScope, storageScope}[random.IntN(2)]))
					if errors.Is(err, authcode.ErrUnknownAccount) {
						continue // another of the user's tabs signed out
					}
					claims, verifyErr := e.VerifyAccessToken(token.Token)
					if err != nil || verifyErr != nil || claims["oid"] != user.ObjectID {
						t.Errorf("%s got the token of %v (%v, %v)", user.Username, claims["oid"], err, verifyErr)
					}
					if random.IntN(4) == 0 {
						if err := app.Forget(t.Context(), user.HomeAccountID()); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
	}
	together.Wait()
}
