package authcode_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

const challenge = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`

func TestClaimsAreSentAndReplaceTheToken(t *testing.T) { // B49, B51, B53, B80, B81
	for _, cae := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "CAE"}[cae]
		t.Run(name, func(t *testing.T) {
			e := newEntra(t, nil)
			c := e.newCredential(alice, nil)
			options := policy.TokenRequestOptions{Scopes: []string{graphScope}, EnableCAE: cae}
			first := mustToken(t, c, options)
			withClaims := options
			withClaims.Claims = challenge
			second := mustToken(t, c, withClaims)
			if first == second {
				t.Error("the claims got the token from before them")
			}
			want := map[string]any{"access_token": map[string]any{"nbf": map[string]any{"essential": true, "value": "1604106651"}}}
			if cae {
				want["access_token"].(map[string]any)["xms_cc"] = map[string]any{"values": []any{"cp1"}}
			}
			var sent map[string]any
			if err := json.Unmarshal([]byte(e.tokenRequests("refresh_token")[0].Form.Get("claims")), &sent); err != nil || !reflect.DeepEqual(sent, want) {
				t.Errorf("sent claims %v, want %v", sent, want)
			}
			if mustToken(t, c, options) != second {
				t.Error("the token obtained for the claims does not serve later calls without them")
			}
			e.wantRequests(1, 1)
			third := mustToken(t, c, withClaims) // asked again: the resource wants yet another
			if third == second {
				t.Error("claims were answered from the cache")
			}
			e.wantRequests(1, 2)
		})
	}
}

func TestClaimsWithoutCAEAreSentAsTheyAre(t *testing.T) { // B51
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	mustToken(t, c, tokenFor(graphScope))
	mustToken(t, c, policy.TokenRequestOptions{Scopes: []string{storageScope}, Claims: challenge})
	mustToken(t, c, tokenFor(vaultScope))
	for i, want := range []string{"", challenge, ""} {
		if got := e.tokenRequests("")[i].Form.Get("claims"); got != want {
			t.Errorf("request %d: claims %q, want %q", i, got, want)
		}
	}
}

func TestClaimsOfTheFirstCallGoWithTheCode(t *testing.T) {
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	mustToken(t, c, policy.TokenRequestOptions{Scopes: []string{graphScope}, Claims: challenge})
	e.wantRequests(1, 0)
	if got := e.tokenRequests("")[0].Form.Get("claims"); got != challenge {
		t.Errorf("claims %q", got)
	}
}

func TestInvalidClaimsAreRefusedBeforeAnyRequest(t *testing.T) {
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	for _, claims := range []string{"{", "[]", "x", `{"access_token":1}`, `{"a":1,"a":2}`, strings.Repeat(" ", 20<<10) + "{}"} {
		_, err := c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graphScope}, Claims: claims, EnableCAE: true})
		if err == nil || !strings.Contains(err.Error(), "claims") {
			t.Errorf("claims %.20q: got %v", claims, err)
		}
	}
	e.wantRequests(0, 0)
}

func TestTheUserMustActOnClaims(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	c := e.signIn(app, alice, graphScope)
	const required = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	e.RequireClaims(alice, "https://storage.azure.com", required)
	_, err := c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{storageScope}, Claims: challenge})
	needed, ok := errors.AsType[*authcode.AuthenticationRequiredError](err)
	if !ok || needed.Claims != required {
		t.Fatalf("got %v with claims %q", err, needed.Claims)
	}
	mustToken(t, c, tokenFor(graphScope))
	mustToken(t, c, tokenFor(vaultScope))
	flow, callback := e.beginAs(app, alice, &authcode.BeginOptions{
		AccountID: needed.AccountID, Claims: needed.Claims, LoginHint: needed.LoginHint, Scopes: needed.Scopes, TenantID: needed.TenantID,
	})
	again, err := app.Redeem(t.Context(), flow, callback)
	if err != nil || again != c {
		t.Fatalf("the step-up gave %v, %v", again, err)
	}
	mustToken(t, c, tokenFor(storageScope))
}

func TestARedemptionOutranksARefreshInFlight(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, e *entra) {
		app := e.newApp(nil)
		c := e.signIn(app, alice, graphScope)
		hold := make(chan struct{})
		var weak string
		e.Inject(entratest.Fault{GrantType: "refresh_token", Times: 1, Edit: func(answer map[string]any) {
			weak, _ = answer["refresh_token"].(string)
			<-hold
		}})
		refreshed := make(chan error, 1)
		go func() {
			_, err := c.GetToken(t.Context(), tokenFor(storageScope))
			refreshed <- err
		}()
		synctest.Wait()
		e.signIn(app, alice, graphScope)
		close(hold)
		if err := <-refreshed; err != nil {
			t.Errorf("the refresh's own caller got %v", err)
		}
		mustToken(t, c, tokenFor(vaultScope))
		requests := e.tokenRequests("refresh_token")
		if requests[len(requests)-1].Form.Get("refresh_token") == weak {
			t.Error("the refresh that was in flight put the older grant back")
		}
	})
}
