package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/authcode-go/authcode"
)

// Two flows of one browser are under way, and the code of the one arrives in the callback of the other: the provider finds
// that the code verifier is not the code's. The flow that the code belongs to is not harmed.
func TestOIDCProviderRefusesACodeInAnotherFlow(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, longLived, webClient())
	app, w := p.newWebApp(t)
	flowA, callbackA := p.authorize(t, app, offline)
	flowB, callbackB := p.authorize(t, app, offline)

	callbackB.Set("code", callbackA.Get("code"))
	_, err := app.Redeem(t.Context(), flowB, callbackB)
	wantRefusal(t, err, "invalid_grant", true)
	w.wantSent(t, 1, 0)

	if _, err := app.Redeem(t.Context(), flowA, callbackA); err != nil {
		t.Errorf("the code's own flow: %v", err)
	}
}

// A callback that names another issuer than the flow's (RFC 9207) is refused before the code is sent anywhere.
func TestOIDCProviderRefusesACallbackOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	p := startOIDCProvider(t, longLived, webClient())
	app, w := p.newWebApp(t)
	flow, callback := p.authorize(t, app, offline)
	issuer := callback.Get("iss")
	if issuer != p.endpoints.Issuer {
		t.Fatalf("the provider's callback has the issuer %q", issuer)
	}
	for _, wrong := range []string{"https://other.example.com", issuer + "/", strings.ToUpper(issuer), ""} {
		callback.Set("iss", wrong)
		if _, err := app.Redeem(t.Context(), flow, callback); err == nil || !strings.Contains(err.Error(), "issuer (iss)") {
			t.Errorf("issuer %q: %v", wrong, err)
		}
	}
	w.wantSent(t, 0, 0)
	callback.Set("iss", issuer)
	if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
		t.Errorf("the right issuer: %v", err)
	}
}

// Two providers, one of them an attacker's: a callback or a flow of the one is no use at the App of the other, and no code
// reaches a provider that did not issue it (RFC 9700 section 4.4).
func TestOIDCProvidersAreNotMixedUp(t *testing.T) {
	t.Parallel()
	honest, attacker := startOIDCProvider(t, longLived, webClient()), startOIDCProvider(t, longLived, webClient())
	sealer, err := authcode.NewSealer([]byte("thirty-two bytes for all my apps"))
	if err != nil {
		t.Fatal(err)
	}
	honestApp, honestWire := honest.newSealedApp(t, sealer)
	attackerApp, attackerWire := attacker.newSealedApp(t, sealer)
	flowH, callbackH := honest.authorize(t, honestApp, offline)
	flowA, callbackA := attacker.authorize(t, attackerApp, offline)

	refused := func(what string, app *authcode.App, flow *authcode.Flow, callback url.Values) {
		t.Helper()
		if _, err := app.Redeem(t.Context(), flow, callback); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	refused("the honest provider's callback in the attacker's flow", attackerApp, flowA, callbackH)
	refused("the honest provider's callback under the attacker's state", attackerApp, flowA, with(callbackH, "state", flowA.State))
	refused("the attacker's callback under the honest state", honestApp, flowH, with(callbackA, "state", flowH.State))
	callbackH.Del("iss") // as from a provider that does not know RFC 9207
	refused("the honest flow at the attacker's App", attackerApp, flowH, callbackH)
	if sealed, err := honestApp.SealFlow(flowH); err != nil {
		t.Error(err)
	} else if _, err := attackerApp.OpenFlow(sealed); err == nil {
		t.Error("the attacker's App opened the honest flow")
	}
	honestWire.wantSent(t, 0, 0)
	attackerWire.wantSent(t, 0, 0)

	if _, err := honestApp.Redeem(t.Context(), flowH, callbackH); err != nil {
		t.Errorf("the honest sign-in: %v", err)
	}
}

// newSealedApp is an App of webClient whose flows other Apps with the same Sealer might open.
func (p *oidcProvider) newSealedApp(t *testing.T, sealer authcode.Sealer) (*authcode.App, *wire) {
	t.Helper()
	w := p.newWire()
	app, err := authcode.NewApp("", "web", redirectURI, authcode.SecretAuth(webSecret), &authcode.AppOptions{
		ClientOptions: azcore.ClientOptions{Transport: w.client()},
		Endpoints:     &p.endpoints,
		Sealer:        sealer,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	return app, w
}

func with(query url.Values, name, value string) url.Values {
	changed := url.Values{}
	for name := range query {
		changed.Set(name, query.Get(name))
	}
	changed.Set(name, value)
	return changed
}
