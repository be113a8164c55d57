package e2e

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// oboClients are the clients that get tokens on behalf of a user.
var oboClients = []struct {
	name string
	open appOpener
}{
	{"MSAL Go", openMSALOnBehalfOf},
	{"azidentity OnBehalfOfCredential", openAzidentityOnBehalfOf},
	{"@azure/msal-node", openNodeApp("@azure/msal-node", "msal-node.mjs", "onBehalfOf")},
	{"@azure/identity OnBehalfOfCredential", openNodeApp("@azure/identity", "azure-identity.mjs", "onBehalfOf")},
	{"openid-client", openNodeApp("openid-client", "openid-client.mjs", "onBehalfOf")},
}

// An API that alice called calls another one on her behalf.
func TestClientsActOnBehalfOfAUser(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range oboClients {
		names = append(names, c.name)
	}
	docs.wantRows(t, "obo", names)
	for _, c := range oboClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := startClientEntra(t)
			api := e.Directory().App("api")
			b := &appBench{clientEntra: e, settings: e.settings(api, ""), open: c.open, check: e.wantUserToken}
			b.settings.Assertion = e.userToken(t, "api://orders/Orders.Read")
			first, again := b.tokens(t)

			secret := b.settings
			secret.Secret = wrongSecret
			foreign := b.settings
			foreign.Assertion = e.userToken(t, clientScope) // another API's
			cells := []string{first, again, b.refused(t, secret), b.refused(t, foreign)}

			e.WithdrawConsent(aliceAtContoso, api.ClientID, clientScope)
			cells = append(cells, b.refused(t, b.settings))
			e.Consent(aliceAtContoso, api.ClientID, clientScope)

			e.RequireClaims(aliceAtContoso, arm, `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`)
			cells = append(cells, b.refused(t, b.settings))
			docs.check(t, "obo", c.name, cells...)
		})
	}
}

// userToken is alice's token for an API, from the app "web".
func (e *clientEntra) userToken(t *testing.T, scope string) string {
	t.Helper()
	settings := e.settings(e.app, redirectURI)
	settings.Scopes = []string{scope}
	web := mustOpen(t, openOAuth2, e, settings)
	callback, err := e.Authorize(t.Context(), web.begin(t), aliceAtContoso)
	if err != nil {
		t.Fatal(err)
	}
	token, err := web.redeem(t, callback)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func openMSALOnBehalfOf(t *testing.T, e *clientEntra, settings clientSettings) (appClient, error) {
	app, err := newMSAL(t, e, settings, secretCredential)
	return func(t *testing.T) (string, error) {
		result, err := app.AcquireTokenOnBehalfOf(t.Context(), settings.Assertion, settings.Scopes)
		return result.AccessToken, err
	}, err
}

func openAzidentityOnBehalfOf(t *testing.T, e *clientEntra, settings clientSettings) (appClient, error) {
	credential, err := azidentity.NewOnBehalfOfCredentialWithSecret(e.tenant.ID, settings.ClientID, settings.Assertion, settings.Secret,
		&azidentity.OnBehalfOfCredentialOptions{ClientOptions: e.azureOptions(t), DisableInstanceDiscovery: true})
	return fromCredential(credential, settings), err
}
