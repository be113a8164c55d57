package authcode_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// inBubble runs a test on virtual time against an emulator without sockets.
func inBubble(t *testing.T, options *entratest.Options, test func(t *testing.T, e *entra)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newEntra(t, options)) })
}

func TestTheRefreshRequest(t *testing.T) { // B16, B17, B34
	e := newEntra(t, nil)
	c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{AdditionallyAllowedTenants: []string{"fabrikam.example"}})
	mustToken(t, c, tokenFor(graphScope))
	account, err := c.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		options policy.TokenRequestOptions
		tenant  string
		claims  string
	}{
		{"another scope", tokenFor(storageScope), e.tenant.ID, ""},
		{"CAE", policy.TokenRequestOptions{Scopes: []string{graphScope}, EnableCAE: true}, e.tenant.ID, `{"access_token":{"xms_cc":{"values":["cp1"]}}}`},
		{"another tenant", policy.TokenRequestOptions{Scopes: []string{graphScope}, TenantID: "fabrikam.example"}, "fabrikam.example", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e.ResetRequests()
			mustToken(t, c, test.options)
			requests := e.tokenRequests("")
			if len(requests) != 1 {
				t.Fatalf("%d requests, want 1", len(requests))
			}
			r := requests[0]
			if want := "/" + test.tenant + "/oauth2/v2.0/token"; r.Path != want {
				t.Errorf("sent to %s, want %s", r.Path, want)
			}
			for name, want := range map[string]string{
				"client_id":     e.app.ClientID,
				"client_info":   "1",
				"client_secret": e.secret(),
				"grant_type":    "refresh_token",
				"scope":         test.options.Scopes[0] + " openid profile offline_access",
				"claims":        test.claims,
				"code":          "",
				"redirect_uri":  "",
			} {
				if got := r.Form.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if r.Form.Get("refresh_token") == "" {
				t.Error("no refresh token")
			}
			oid, tid, _ := cutAccount(account.ID)
			if got, want := r.Header.Get("X-Anchormailbox"), "Oid:"+oid+"@"+tid; got != want {
				t.Errorf("X-AnchorMailbox is %q, want %q", got, want)
			}
		})
	}
}

func cutAccount(id string) (oid, tid string, ok bool) {
	for i := range id {
		if id[i] == '.' {
			return id[:i], id[i+1:], true
		}
	}
	return id, "", false
}

func TestAnExpiredTokenIsRefreshedOnceForAll(t *testing.T) { // B18, "1,000 goroutines at expiry: one refresh POST"
	inBubble(t, nil, func(t *testing.T, e *entra) {
		c := e.newCredential(alice, nil)
		first := mustToken(t, c, tokenFor(graphScope))
		time.Sleep(time.Until(first.ExpiresOn))
		e.Inject(entratest.Fault{Latency: 50 * time.Millisecond})
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if token, err := c.GetToken(t.Context(), tokenFor(graphScope)); err != nil || token.Token == first.Token {
					t.Errorf("got the old token or %v", err)
				}
			})
		}
		wg.Wait()
		e.wantRequests(1, 1)
	})
}

func TestRotationKeepsTheNewestToken(t *testing.T) { // B26, B75, B78: a family dies when one of its tokens is used twice
	inBubble(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}, func(t *testing.T, e *entra) {
		c := e.newCredential(alice, nil)
		mustToken(t, c, tokenFor(graphScope))
		scopes := []string{graphScope, storageScope, vaultScope, armScope, ordersScope}
		for range 3 {
			time.Sleep(2 * time.Hour)
			e.Inject(entratest.Fault{Latency: 20 * time.Millisecond, Times: len(scopes)})
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					if _, err := c.GetToken(t.Context(), tokenFor(scopes[i%len(scopes)])); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		e.wantRequests(1, 3*len(scopes))
		used := map[string]bool{}
		for _, r := range e.tokenRequests("refresh_token") {
			if used[r.Form.Get("refresh_token")] {
				t.Error("a refresh token was used twice")
			}
			used[r.Form.Get("refresh_token")] = true
		}
	})
}

func TestTheFirstCallsShareOneRedemption(t *testing.T) { // B70, B71
	kinds := map[string]func(i int) policy.TokenRequestOptions{
		"same scope": func(int) policy.TokenRequestOptions { return tokenFor(graphScope) },
		"scopes": func(i int) policy.TokenRequestOptions {
			return tokenFor([]string{graphScope, storageScope, vaultScope}[i%3])
		},
		"tenants": func(i int) policy.TokenRequestOptions {
			return policy.TokenRequestOptions{Scopes: []string{graphScope}, TenantID: []string{"", "fabrikam.example"}[i%2]}
		},
		"CAE modes": func(i int) policy.TokenRequestOptions {
			return policy.TokenRequestOptions{Scopes: []string{graphScope}, EnableCAE: i%2 == 0}
		},
		"all at once": func(i int) policy.TokenRequestOptions {
			return policy.TokenRequestOptions{Scopes: []string{[]string{graphScope, storageScope}[i%2]}, TenantID: []string{"", "fabrikam.example"}[i/2%2], EnableCAE: i/4%2 == 0}
		},
	}
	for name, options := range kinds {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily}, func(t *testing.T, e *entra) {
				c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{AdditionallyAllowedTenants: []string{"*"}})
				e.Inject(entratest.Fault{Latency: 30 * time.Millisecond})
				var wg sync.WaitGroup
				for i := range 100 {
					wg.Go(func() {
						if _, err := c.GetToken(t.Context(), options(i)); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if got := len(e.tokenRequests("authorization_code")); got != 1 {
					t.Errorf("%d code POSTs, want 1", got)
				}
				for _, r := range e.tokenRequests("authorization_code") {
					if want := "/" + e.tenant.ID + "/oauth2/v2.0/token"; r.Path != want {
						t.Errorf("the code went to %s, want %s", r.Path, want)
					}
				}
			})
		})
	}
}

func TestCAEModesShareTheRefreshTokenAndNothingElse(t *testing.T) { // B48, B50, B52, B78, B79
	for _, order := range [][]bool{{false, true, false, true}, {true, false, true, false}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			e := newEntra(t, &entratest.Options{Rotation: entratest.RotationRefuse})
			c := e.newCredential(alice, nil)
			tokens := map[bool]string{}
			for _, cae := range order {
				token := mustToken(t, c, policy.TokenRequestOptions{Scopes: []string{graphScope}, EnableCAE: cae})
				if tokens[cae] != "" && tokens[cae] != token.Token {
					t.Error("the cached token of this mode was not used")
				}
				tokens[cae] = token.Token
			}
			if tokens[true] == tokens[false] {
				t.Error("both modes got the same token")
			}
			e.wantRequests(1, 1)
			for _, r := range e.tokenRequests("") {
				first := r.GrantType == "authorization_code"
				if got, want := r.Form.Get("claims") != "", order[0] == first; got != want {
					t.Errorf("%s: claims sent: %v, want %v", r.GrantType, got, want)
				}
			}
		})
	}
}

func TestAStaleTokenIsReturnedAndRefreshedBehind(t *testing.T) { // B29, B31
	for name, test := range map[string]struct {
		options   entratest.Options
		staleFrom time.Duration // before jitter
		lifetime  time.Duration
	}{
		"5 minutes before expiry": {entratest.Options{AccessTokenLifetime: time.Hour}, 55 * time.Minute, time.Hour},
		"half of a short life":    {entratest.Options{AccessTokenLifetime: 8 * time.Minute}, 4 * time.Minute, 8 * time.Minute},
		"refresh_in":              {entratest.Options{AccessTokenLifetime: time.Hour, RefreshIn: 20 * time.Minute}, 20 * time.Minute, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &test.options, func(t *testing.T, e *entra) {
				c := e.newCredential(alice, nil)
				began := time.Now()
				first := mustToken(t, c, tokenFor(graphScope))
				earliest := began.Add(test.staleFrom - test.lifetime/20)
				if first.RefreshOn.Before(earliest) || first.RefreshOn.After(began.Add(test.staleFrom)) {
					t.Errorf("RefreshOn after %v, want %v less at most 5 %% of the lifetime", first.RefreshOn.Sub(began), test.staleFrom)
				}
				time.Sleep(time.Until(first.RefreshOn) - time.Second)
				if mustToken(t, c, tokenFor(graphScope)) != first {
					t.Error("another token before RefreshOn")
				}
				synctest.Wait()
				e.wantRequests(1, 0)
				time.Sleep(time.Second)
				e.Inject(entratest.Fault{Latency: time.Second, Times: 1})
				for range 10 { // while the refresh is under way
					if got := mustToken(t, c, tokenFor(graphScope)); got != first {
						t.Error("a stale token was not returned as it is")
						break
					}
				}
				time.Sleep(2 * time.Second)
				e.wantRequests(1, 1)
				if mustToken(t, c, tokenFor(graphScope)) == first {
					t.Error("the refreshed token is not used")
				}
			})
		})
	}
}

func TestAStaleTokenOutlivesAnOutage(t *testing.T) { // B30, B82, B83
	inBubble(t, &entratest.Options{AccessTokenLifetime: time.Hour, RefreshIn: 10 * time.Minute}, func(t *testing.T, e *entra) {
		options := e.client()
		options.Retry.MaxRetries = -1
		c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: options})
		first := mustToken(t, c, tokenFor(graphScope))
		time.Sleep(time.Until(first.RefreshOn))
		recover := e.Inject(entratest.Fault{Status: http.StatusInternalServerError, Body: "down"})
		for range 100 { // 10 minutes, a call every 6 seconds
			if mustToken(t, c, tokenFor(graphScope)) != first {
				t.Fatal("not the valid token")
			}
			time.Sleep(6 * time.Second)
		}
		if got := len(e.tokenRequests("refresh_token")); got > 21 || got < 15 {
			t.Errorf("%d attempts in 10 minutes, want one per 30 seconds", got)
		}
		recover()
		time.Sleep(30 * time.Second)
		mustToken(t, c, tokenFor(graphScope))
		synctest.Wait()
		if mustToken(t, c, tokenFor(graphScope)) == first {
			t.Error("not refreshed after the recovery")
		}
		before := len(e.tokenRequests("refresh_token"))
		mustToken(t, c, tokenFor(graphScope))
		synctest.Wait()
		if after := len(e.tokenRequests("refresh_token")); after != before {
			t.Error("a fresh token is refreshed again")
		}
	})
}

func TestEachCallWithoutATokenTriesOnce(t *testing.T) { // B19
	inBubble(t, nil, func(t *testing.T, e *entra) {
		options := e.client()
		options.Retry.MaxRetries = -1
		c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: options})
		mustToken(t, c, tokenFor(graphScope))
		remove := e.Inject(entratest.Fault{Status: http.StatusInternalServerError, Body: "down"})
		for range 4 {
			if _, err := c.GetToken(t.Context(), tokenFor(storageScope)); err == nil {
				t.Fatal("no error")
			}
		}
		e.wantRequests(1, 4)
		remove()
		mustToken(t, c, tokenFor(storageScope))
	})
}

func TestARefreshIsRetriedACodeIsNot(t *testing.T) { // B28, B72
	inBubble(t, nil, func(t *testing.T, e *entra) {
		c := e.newCredential(alice, nil)
		e.Inject(entratest.Fault{Status: http.StatusInternalServerError, Body: "down", Times: 1})
		_, err := c.GetToken(t.Context(), tokenFor(graphScope))
		if _, typed := errors.AsType[*authcode.AuthenticationFailedError](err); !typed {
			t.Fatalf("got %v", err)
		}
		e.wantRequests(1, 0)
		mustToken(t, c, tokenFor(graphScope)) // the emulator had not looked at the code
		e.Inject(entratest.Fault{Status: http.StatusBadGateway, Body: "down", Times: 1})
		mustToken(t, c, tokenFor(storageScope))
		e.wantRequests(2, 2)
		e.Inject(entratest.Fault{LoseAnswer: true, Times: 1})
		mustToken(t, c, tokenFor(vaultScope))
		e.wantRequests(2, 4)
	})
}

func TestNegativeRetryDelayIsNoDelay(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, e *entra) {
		options := e.client()
		options.Retry = policy.RetryOptions{RetryDelay: -1, MaxRetries: 2}
		c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: options})
		mustToken(t, c, tokenFor(graphScope))
		e.Inject(entratest.Fault{Status: http.StatusBadGateway, Body: "down", Times: 2})
		began := time.Now()
		mustToken(t, c, tokenFor(storageScope))
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestTheUsersRetryRulesAreKeptWithinOurs(t *testing.T) {
	for name, test := range map[string]struct {
		retry policy.RetryOptions
		fault int
		want  int // refresh POSTs
	}{
		"default 502":              {policy.RetryOptions{}, 502, 4},
		"default 429 is the pause": {policy.RetryOptions{}, 429, 1},
		"status list":              {policy.RetryOptions{StatusCodes: []int{418, 429}}, 418, 4},
		"status list without":      {policy.RetryOptions{StatusCodes: []int{418, 429}}, 502, 1},
		"status list never 429":    {policy.RetryOptions{StatusCodes: []int{418, 429}}, 429, 1},
		"ShouldRetry":              {policy.RetryOptions{ShouldRetry: func(*http.Response, error) bool { return true }}, 400, 4},
		"ShouldRetry never 503":    {policy.RetryOptions{ShouldRetry: func(*http.Response, error) bool { return true }}, 503, 1},
		"MaxRetries 1":             {policy.RetryOptions{MaxRetries: 1}, 502, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, e *entra) {
				options := e.client()
				options.Retry = test.retry
				options.Retry.RetryDelay = time.Millisecond
				c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: options})
				mustToken(t, c, tokenFor(graphScope))
				e.Inject(entratest.Fault{Status: test.fault, Body: "{}"})
				if _, err := c.GetToken(t.Context(), tokenFor(storageScope)); err == nil {
					t.Error("no error")
				}
				e.wantRequests(1, test.want)
			})
		})
	}
}

func TestARefreshHasTwelveSeconds(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, e *entra) {
		c := e.newCredential(alice, nil)
		mustToken(t, c, tokenFor(graphScope))
		e.Inject(entratest.Fault{Latency: time.Hour})
		began := time.Now()
		_, err := c.GetToken(t.Context(), tokenFor(storageScope))
		if took := time.Since(began); took != 12*time.Second {
			t.Errorf("took %v, want 12 s", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if t.Context().Err() != nil {
			t.Error("the caller's own context is over")
		}
	})
}

func TestACancelledCallerLeavesTheOthersServed(t *testing.T) { // B66, cases 38 and 44
	for name, warm := range map[string]bool{"redemption": false, "refresh": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, e *entra) {
				c := e.newCredential(alice, nil)
				if warm {
					first := mustToken(t, c, tokenFor(graphScope))
					time.Sleep(time.Until(first.ExpiresOn))
				}
				e.Inject(entratest.Fault{Latency: 5 * time.Second})
				ctx, cancel := context.WithCancel(t.Context())
				leader := make(chan error, 1)
				go func() {
					_, err := c.GetToken(ctx, tokenFor(graphScope))
					leader <- err
				}()
				synctest.Wait()
				follower := make(chan error, 1)
				go func() {
					_, err := c.GetToken(t.Context(), tokenFor(graphScope))
					follower <- err
				}()
				synctest.Wait()
				cancelled := time.Now()
				cancel()
				if err := <-leader; !errors.Is(err, context.Canceled) {
					t.Errorf("the cancelled caller got %v", err)
				}
				if took := time.Since(cancelled); took > 100*time.Millisecond {
					t.Errorf("the cancelled caller waited %v", took)
				}
				if err := <-follower; err != nil {
					t.Errorf("the other caller got %v", err)
				}
				refreshes := 0
				if warm {
					refreshes = 1
				}
				e.wantRequests(1, refreshes)
			})
		})
	}
}

func TestRefusalsAreToldApart(t *testing.T) { // B27, B85, B86, cases 58, 60, 61
	for name, test := range map[string]struct {
		fault    entratest.Fault
		required bool
		dead     bool // the grant
	}{
		"dead refresh token":   {entratest.Fault{Error: "invalid_grant", AADSTS: 700082}, true, true},
		"login_required":       {entratest.Fault{Error: "login_required", AADSTS: 50078}, true, true},
		"consent_required":     {entratest.Fault{Error: "invalid_grant", Suberror: "consent_required", AADSTS: 65001}, true, false},
		"basic_action":         {entratest.Fault{Error: "invalid_grant", Suberror: "basic_action", AADSTS: 50076, Claims: `{"access_token":{"polids":{}}}`}, true, false},
		"message_only":         {entratest.Fault{Error: "invalid_grant", Suberror: "message_only", AADSTS: 53003}, true, false},
		"additional_action":    {entratest.Fault{Error: "invalid_grant", Suberror: "additional_action", AADSTS: 53000}, true, false},
		"interaction_required": {entratest.Fault{Error: "interaction_required", AADSTS: 50076}, true, false},
		"claims alone":         {entratest.Fault{Error: "invalid_grant", AADSTS: 50076, Claims: `{"access_token":{}}`}, true, false},
		"wrong secret":         {entratest.Fault{Error: "invalid_client", AADSTS: 7000215}, false, false},
		"expired secret":       {entratest.Fault{Error: "invalid_client", AADSTS: 7000222}, false, false},
		"invalid_request":      {entratest.Fault{Error: "invalid_request", AADSTS: 900144}, false, false},
		"invalid_scope":        {entratest.Fault{Error: "invalid_scope", AADSTS: 70011}, false, false},
		"throttled":            {entratest.Fault{Error: "temporarily_unavailable", Status: 429, AADSTS: 90055}, false, false},
		"500 invalid_grant":    {entratest.Fault{Error: "invalid_grant", Status: 500, AADSTS: 90033}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, e *entra) {
				options := e.client()
				options.Retry.MaxRetries = -1
				c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: options})
				mustToken(t, c, tokenFor(graphScope))
				remove := e.Inject(test.fault)
				_, err := c.GetToken(t.Context(), tokenFor(storageScope))
				required, isRequired := errors.AsType[*authcode.AuthenticationRequiredError](err)
				if isRequired != test.required {
					t.Fatalf("got %v", err)
				}
				failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
				if !ok || failed.Code != test.fault.Error || failed.Suberror != test.fault.Suberror || !slices.Equal(failed.STSCodes, []int{test.fault.AADSTS}) {
					t.Errorf("the server's words are lost: %+v", failed)
				}
				if isRequired && (required.Claims != test.fault.Claims || required.LoginHint != alice || !slices.Equal(required.Scopes, []string{storageScope})) {
					t.Errorf("cannot sign in with Claims %q LoginHint %q Scopes %v", required.Claims, required.LoginHint, required.Scopes)
				}
				mustToken(t, c, tokenFor(graphScope)) // a valid token is served whatever happened
				remove()
				sent := len(e.tokenRequests(""))
				_, err = c.GetToken(t.Context(), tokenFor(storageScope))
				if test.dead {
					if _, still := errors.AsType[*authcode.AuthenticationRequiredError](err); !still {
						t.Errorf("the dead grant gave %v", err)
					}
					if now := len(e.tokenRequests("")); now != sent {
						t.Error("a dead refresh token was sent again")
					}
				} else if err != nil {
					t.Errorf("the grant was lost: %v", err)
				}
			})
		})
	}
}

func TestInvalidRequestKillsAGrantOnlyAtOwnEndpoints(t *testing.T) { // case 59: dex
	e := newEntra(t, nil)
	base := e.URL() + "/" + e.tenant.ID + "/oauth2/v2.0"
	c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: e.client(), Endpoints: &authcode.Endpoints{Token: base + "/token"}})
	mustToken(t, c, tokenFor(graphScope))
	e.Inject(entratest.Fault{Error: "invalid_request", Times: 1})
	for range 2 {
		_, err := c.GetToken(t.Context(), tokenFor(storageScope))
		if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); !required {
			t.Errorf("got %v", err)
		}
	}
	e.wantRequests(1, 1)
}

func TestConsentForOneScopeLeavesTheOthers(t *testing.T) {
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	mustToken(t, c, tokenFor(graphScope))
	e.WithdrawConsent(alice, e.app.ClientID, storageScope)
	_, err := c.GetToken(t.Context(), tokenFor(storageScope))
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
	if !ok || failed.Suberror != "consent_required" {
		t.Fatalf("got %v", err)
	}
	mustToken(t, c, tokenFor(vaultScope))
	mustToken(t, c, tokenFor(graphScope))
	e.Consent(alice, e.app.ClientID, storageScope)
	mustToken(t, c, tokenFor(storageScope))
}

func TestRetryAfterPausesTheEndpoint(t *testing.T) { // B87, cases 39 and 62
	inBubble(t, nil, func(t *testing.T, e *entra) {
		a, b := e.newCredential(alice, nil), e.newCredential(bob, nil)
		mustToken(t, a, tokenFor(graphScope))
		mustToken(t, b, tokenFor(graphScope))
		e.Inject(entratest.Fault{Status: 429, RetryAfter: "30", Body: "{}", Times: 1})
		_, err := a.GetToken(t.Context(), tokenFor(storageScope))
		if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed.RetryAfter < 29*time.Second {
			t.Fatalf("got %v", err)
		}
		time.Sleep(5 * time.Second)
		_, err = b.GetToken(t.Context(), tokenFor(storageScope)) // the other user is in the same queue
		failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
		if !ok || failed.RetryAfter > 25*time.Second || failed.RetryAfter < 24*time.Second {
			t.Fatalf("got %v", err)
		}
		mustToken(t, b, tokenFor(graphScope)) // a valid token is served
		e.wantRequests(2, 1)
		time.Sleep(17 * time.Second) // 8 are left: worth waiting for
		began := time.Now()
		mustToken(t, b, tokenFor(storageScope))
		if waited := time.Since(began); waited < 7*time.Second || waited > 9*time.Second {
			t.Errorf("waited %v, want what was left of the pause", waited)
		}
		e.wantRequests(2, 2)
	})
}

func TestTheCallerWhoMetAShortPauseTriesOnceMore(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, e *entra) {
		c := e.newCredential(alice, nil)
		mustToken(t, c, tokenFor(graphScope))
		e.Inject(entratest.Fault{Status: 503, RetryAfter: "4", Body: "{}", Times: 1})
		began := time.Now()
		mustToken(t, c, tokenFor(storageScope))
		if waited := time.Since(began); waited < 4*time.Second || waited > 5*time.Second {
			t.Errorf("waited %v, want 4 s", waited)
		}
		e.Inject(entratest.Fault{Status: 503, RetryAfter: "4", Body: "{}"})
		before := len(e.tokenRequests("refresh_token"))
		if _, err := c.GetToken(t.Context(), tokenFor(vaultScope)); err == nil {
			t.Error("no error")
		}
		if tries := len(e.tokenRequests("refresh_token")) - before; tries != 2 {
			t.Errorf("%d tries, want 2", tries)
		}
	})
}

func TestAPauseLongerThanTheContextIsNotWaitedFor(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, e *entra) {
		c := e.newCredential(alice, nil)
		mustToken(t, c, tokenFor(graphScope))
		e.Inject(entratest.Fault{Status: 429, RetryAfter: "8", Body: "{}", Times: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.GetToken(ctx, tokenFor(storageScope))
		if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed.RetryAfter == 0 {
			t.Errorf("got %v", err)
		}
		if time.Since(began) > time.Second {
			t.Error("waited for a pause that outlasts the context")
		}
	})
}

func TestAPausedCodeIsKeptAndSentLater(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, e *entra) {
		c := e.newCredential(alice, nil)
		e.Inject(entratest.Fault{Status: 429, RetryAfter: "5", Body: "{}", Times: 1})
		_, err := c.GetToken(t.Context(), tokenFor(graphScope))
		if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed.RetryAfter != 5*time.Second {
			t.Fatalf("got %v", err)
		}
		e.wantRequests(1, 0) // not again in the same call
		began := time.Now()
		mustToken(t, c, tokenFor(graphScope))
		if waited := time.Since(began); waited < 5*time.Second {
			t.Errorf("the kept code was sent %v into the pause", waited)
		}
		e.wantRequests(2, 0)
	})
}

func TestARefreshForAnotherUserStoresNothing(t *testing.T) { // case 69
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	mustToken(t, c, tokenFor(graphScope))
	other := e.newCredential(bob, nil)
	mustToken(t, other, tokenFor(graphScope))
	var answers []map[string]any
	remove := e.Inject(entratest.Fault{GrantType: "refresh_token", Edit: func(answer map[string]any) { answers = append(answers, answer) }})
	mustToken(t, other, tokenFor(storageScope))
	remove()
	bobs := answers[0]
	remove = e.Inject(entratest.Fault{GrantType: "refresh_token", Edit: func(answer map[string]any) {
		for name, value := range bobs {
			answer[name] = value
		}
	}})
	_, err := c.GetToken(t.Context(), tokenFor(storageScope))
	if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed.Code != "" {
		t.Fatalf("got %v", err)
	}
	remove()
	mustToken(t, c, tokenFor(storageScope))
	requests := e.tokenRequests("refresh_token")
	if got := requests[len(requests)-1].Form.Get("refresh_token"); got == bobs["refresh_token"] {
		t.Error("the other user's refresh token was stored")
	}
}
