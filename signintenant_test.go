package authcode_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

const carol = "carol@fabrikam.example"

// "*" lets a call name any tenant. It must not let a stranger's directory sign users in.
func TestAnAppForOneTenantSignsInNobodyElse(t *testing.T) {
	e := newEntra(t, nil)
	for _, additional := range [][]string{{"*"}, {"common", "organizations"}} {
		app := e.newApp(&authcode.AppOptions{ClientOptions: e.client(), AdditionallyAllowedTenants: additional})
		for _, tenantID := range []string{"common", "Organizations"} {
			if _, err := app.Begin(&authcode.BeginOptions{TenantID: tenantID}); err == nil || !strings.Contains(err.Error(), "SignInTenants") {
				t.Errorf("%v, %s: got %v", additional, tenantID, err)
			}
			flow, callback := e.beginAs(app, alice, nil)
			flow.TenantID = tenantID
			if _, err := app.Redeem(t.Context(), flow, callback); err == nil || !strings.Contains(err.Error(), "SignInTenants") {
				t.Errorf("%v, a flow at %s: got %v", additional, tenantID, err)
			}
		}
	}
}

func TestSignInTenantsHoldWhateverTenantAFlowIsFor(t *testing.T) {
	e := newEntra(t, nil)
	fabrikam := e.Directory().Tenant("fabrikam.example")
	app, err := authcode.NewApp("organizations", e.app.ClientID, redirectURI, authcode.SecretAuth(e.secret()), &authcode.AppOptions{
		ClientOptions: e.client(), SignInTenants: []string{e.tenant.ID},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	for _, tenantID := range []string{"", fabrikam.ID, fabrikam.Domain} {
		flow, callback := e.beginAs(app, carol, &authcode.BeginOptions{TenantID: tenantID})
		if _, err := app.Redeem(t.Context(), flow, callback); err == nil || !strings.Contains(err.Error(), "may not sign in") {
			t.Errorf("carol at %q: got %v", tenantID, err)
		}
	}
	flow, callback := e.beginAs(app, alice, nil)
	if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
		t.Error(err)
	}
}

func TestACallbackIsRedeemedOnceThoughItComesAgain(t *testing.T) { // threat rows 1 and 2
	e := newEntra(t, nil)
	app := e.newApp(nil)
	flow, callback := e.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
	first, err := app.Redeem(t.Context(), flow, callback)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if again, err := app.Redeem(t.Context(), flow, callback); err != nil || again != first {
			t.Errorf("again: %v, %v", again, err)
		}
	}
	e.wantRequests(1, 0)
	account, _ := first.Account(t.Context())
	if err := app.Forget(t.Context(), account.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Redeem(t.Context(), flow, callback); !errors.Is(err, authcode.ErrStateMismatch) {
		t.Errorf("after the sign-out: %v", err)
	}
	e.wantRequests(1, 0)
}

func TestACallbackWhoseAnswerWasLostIsTriedOnceMore(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	flow, callback := e.beginAs(app, alice, nil)
	e.Inject(entratest.Fault{LoseAnswer: true, Times: 1})
	if _, err := app.Redeem(t.Context(), flow, callback); err == nil || !strings.Contains(err.Error(), "redeem the same callback again") {
		t.Fatalf("got %v", err)
	}
	_, second := app.Redeem(t.Context(), flow, callback)
	if required, ok := errors.AsType[*authcode.AuthenticationRequiredError](second); !ok || !strings.Contains(second.Error(), "an earlier answer for this code was lost") {
		t.Errorf("got %v, %v", second, required)
	}
	for range 3 {
		if _, err := app.Redeem(t.Context(), flow, callback); err != second {
			t.Errorf("got %v", err)
		}
	}
	e.wantRequests(2, 0)
}

func TestAnOutageOfTheMetadataCostsNoCode(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	flow, callback := e.beginAs(app, alice, nil)
	for _, endpoint := range []string{"discovery", "keys"} {
		remove := e.Inject(entratest.Fault{Endpoint: endpoint, Status: http.StatusServiceUnavailable, RetryAfter: "5", Body: "{}"})
		_, err := app.Redeem(t.Context(), flow, callback)
		if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed.RetryAfter == 0 {
			t.Errorf("%s: got %v", endpoint, err)
		}
		remove()
	}
	e.wantRequests(0, 0)
	if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
		t.Error(err)
	}
}
