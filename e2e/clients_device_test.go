package e2e

import (
	"context"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"golang.org/x/oauth2"

	"github.com/authcode-go/authcode/entratest"
)

// deviceClient signs a user in at a device without a browser. It has the user code shown, and waits.
type deviceClient func(t *testing.T, show func(userCode string)) (string, error)

// deviceClients are the clients of the device code flow.
var deviceClients = []struct {
	name string
	open func(*testing.T, *clientEntra, clientSettings) (deviceClient, error)
}{
	{"MSAL Go", openMSALDevice},
	{"azidentity DeviceCodeCredential", openAzidentityDevice},
	{"x/oauth2", openOAuth2Device},
	{"@azure/msal-node", openNodeDevice("@azure/msal-node", "msal-node.mjs")},
	{"@azure/identity DeviceCodeCredential", openNodeDevice("@azure/identity", "azure-identity.mjs")},
	{"openid-client", openNodeDevice("openid-client", "openid-client.mjs")},
}

// Each client polls until the user has signed in somewhere else, and hears of it when they would not.
func TestClientsSignInADevice(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range deviceClients {
		names = append(names, c.name)
	}
	docs.wantRows(t, "device", names)
	for _, c := range deviceClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := startClientEntra(t)
			// A second is the shortest pause that all of them keep to.
			e.Inject(entratest.Fault{Endpoint: "devicecode", Edit: func(answer map[string]any) { answer["interval"] = 1 }})
			settings := e.settings(e.Directory().App("native"), "")
			sign := func(answer func(userCode string) error) (string, error) {
				e.ResetRequests()
				client, err := c.open(t, e, settings)
				if err != nil {
					t.Fatal(err)
				}
				return client(t, func(userCode string) {
					if err := answer(userCode); err != nil {
						t.Error(err)
					}
				})
			}
			pending := entratest.Fault{Error: "authorization_pending", AADSTS: 70016, Times: 1}
			e.Inject(pending) // at the first poll the user is still looking for their telephone
			token, err := sign(func(userCode string) error { return e.ApproveDevice(t.Context(), userCode, aliceAtContoso) })
			if err != nil {
				t.Fatal(err)
			}
			e.wantUserToken(t, token)
			asked := e.asked()
			_, declined := sign(func(userCode string) error { return e.DeclineDevice(t.Context(), userCode) })
			docs.check(t, "device", c.name, asked, report(t, declined))
		})
	}
}

func openMSALDevice(t *testing.T, e *clientEntra, settings clientSettings) (deviceClient, error) {
	app, err := newMSALPublic(t, e, settings)
	return func(t *testing.T, show func(string)) (string, error) {
		code, err := app.AcquireTokenByDeviceCode(t.Context(), settings.Scopes)
		if err != nil {
			return "", err
		}
		show(code.Result.UserCode)
		result, err := code.AuthenticationResult(t.Context())
		return result.AccessToken, err
	}, err
}

func openAzidentityDevice(t *testing.T, e *clientEntra, settings clientSettings) (deviceClient, error) {
	return func(t *testing.T, show func(string)) (string, error) {
		credential, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
			ClientID: settings.ClientID, ClientOptions: e.azureOptions(t), DisableInstanceDiscovery: true, TenantID: e.tenant.ID,
			UserPrompt: func(_ context.Context, message azidentity.DeviceCodeMessage) error {
				show(message.UserCode)
				return nil
			},
		})
		if err != nil {
			return "", err
		}
		token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{EnableCAE: true, Scopes: settings.Scopes})
		return token.Token, err
	}, nil
}

func openOAuth2Device(t *testing.T, e *clientEntra, settings clientSettings) (deviceClient, error) {
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, e.onlyTo(t))
	config := oauth2.Config{
		ClientID: settings.ClientID,
		Endpoint: oauth2.Endpoint{
			DeviceAuthURL: settings.Authority + "/oauth2/v2.0/devicecode",
			TokenURL:      settings.Authority + "/oauth2/v2.0/token",
		},
		Scopes: settings.Scopes,
	}
	return func(_ *testing.T, show func(string)) (string, error) {
		code, err := config.DeviceAuth(ctx)
		if err != nil {
			return "", err
		}
		show(code.UserCode)
		token, err := config.DeviceAccessToken(ctx, code)
		if err != nil {
			return "", err
		}
		return token.AccessToken, nil
	}, nil
}

func openNodeDevice(pkg, script string) func(*testing.T, *clientEntra, clientSettings) (deviceClient, error) {
	open := openNode(pkg, script)
	return func(t *testing.T, e *clientEntra, settings clientSettings) (deviceClient, error) {
		c, err := open(t, e, settings)
		if err != nil {
			return nil, err
		}
		node := c.(*nodeClient)
		return func(t *testing.T, show func(string)) (token string, err error) {
			var userCode string
			if err := node.call(t, "deviceCode", nil, &userCode); err != nil {
				return "", err
			}
			show(userCode)
			err = node.call(t, "deviceToken", nil, &token)
			return token, err
		}, nil
	}
}
