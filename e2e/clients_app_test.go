package e2e

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// appClient gets a token without a user of its own: an application's, or one on behalf of a user whose token it was given.
type appClient func(*testing.T) (string, error)

type appOpener func(*testing.T, *clientEntra, clientSettings) (appClient, error)

// appClients are the clients that get tokens for an application itself.
var appClients = []struct {
	name string
	open appOpener
}{
	{"MSAL Go, secret", openMSALApp(secretCredential)},
	{"MSAL Go, certificate", openMSALApp(certificateCredential)},
	{"MSAL Go, federated", openMSALApp(federatedCredential)},
	{"azidentity ClientSecretCredential", openAzidentitySecret},
	{"azidentity ClientCertificateCredential", openAzidentityCertificate},
	{"azidentity ClientAssertionCredential", openAzidentityAssertion},
	{"azidentity WorkloadIdentityCredential", openAzidentityWorkload},
	{"x/oauth2/clientcredentials", openClientCredentials},
	{"@azure/msal-node, secret", openNodeApp("@azure/msal-node", "msal-node.mjs", "appToken")},
	{"@azure/identity ClientSecretCredential", openNodeApp("@azure/identity", "azure-identity.mjs", "appToken")},
	{"openid-client", openNodeApp("openid-client", "openid-client.mjs", "appToken")},
}

// Each client gets a token for its application, and says what is wrong with a proof that is not the application's.
func TestClientsSignInAsTheApplication(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range appClients {
		names = append(names, c.name)
	}
	docs.wantRows(t, "app", names)
	for _, c := range appClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := startClientEntra(t)
			b := &appBench{clientEntra: e, settings: e.settings(e.app, ""), open: c.open, check: e.wantAppToken}
			b.settings.Assertion = e.federated(t, federatedSubject)
			first, again := b.tokens(t)

			wrong := b.settings
			wrong.Secret, wrong.Assertion = wrongSecret, e.federated(t, "another")
			unknown := b.settings
			unknown.Scopes = []string{"https://unknown.example/.default"}
			docs.check(t, "app", c.name, first, again, b.refused(t, wrong), b.refused(t, unknown))
		})
	}
}

// appBench takes one client through what can happen, as codeBench does.
type appBench struct {
	*clientEntra
	settings clientSettings
	open     appOpener
	check    func(*testing.T, string) // of a token
}

func (b *appBench) start(t *testing.T, settings clientSettings) appClient {
	t.Helper()
	b.ResetRequests()
	c, err := b.open(t, b.clientEntra, settings)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tokens says what the first call asked, and the second.
func (b *appBench) tokens(t *testing.T) (first, again string) {
	t.Helper()
	client := b.start(t, b.settings)
	token, err := client(t)
	if err != nil {
		t.Fatal(err)
	}
	b.check(t, token)
	first = b.asked()
	b.ResetRequests()
	second, err := client(t)
	if err != nil {
		t.Fatal(err)
	}
	again = b.asked()
	if (again == "no request") != (second == token) {
		t.Errorf("%s, and the same token: %t", again, second == token)
	}
	return first, again
}

func (b *appBench) refused(t *testing.T, settings clientSettings) string {
	t.Helper()
	_, err := b.start(t, settings)(t)
	return report(t, err)
}

func (e *clientEntra) wantAppToken(t *testing.T, token string) {
	t.Helper()
	claims, err := e.VerifyAccessToken(token)
	if err != nil {
		t.Fatal(err)
	}
	if claims["idtyp"] != "app" || claims["appid"] != e.app.ClientID || claims["tid"] != e.tenant.ID || claims["scp"] != nil {
		t.Errorf("the token's claims are %v", claims)
	}
}

type credentialMaker func(*clientEntra, clientSettings) (confidential.Credential, error)

func secretCredential(_ *clientEntra, settings clientSettings) (confidential.Credential, error) {
	return confidential.NewCredFromSecret(settings.Secret)
}

func certificateCredential(e *clientEntra, settings clientSettings) (confidential.Credential, error) {
	pair := e.pair(settings)
	return confidential.NewCredFromCert([]*x509.Certificate{pair.certificate}, pair.key)
}

func federatedCredential(_ *clientEntra, settings clientSettings) (confidential.Credential, error) {
	return confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) {
		return settings.Assertion, nil
	}), nil
}

func openMSALApp(credential credentialMaker) appOpener {
	return func(t *testing.T, e *clientEntra, settings clientSettings) (appClient, error) {
		app, err := newMSAL(t, e, settings, credential)
		return func(t *testing.T) (string, error) {
			result, err := app.AcquireTokenByCredential(t.Context(), settings.Scopes)
			return result.AccessToken, err
		}, err
	}
}

func openAzidentitySecret(t *testing.T, e *clientEntra, settings clientSettings) (appClient, error) {
	credential, err := azidentity.NewClientSecretCredential(e.tenant.ID, settings.ClientID, settings.Secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: e.azureOptions(t), DisableInstanceDiscovery: true})
	return fromCredential(credential, settings), err
}

func openAzidentityCertificate(t *testing.T, e *clientEntra, settings clientSettings) (appClient, error) {
	pair := e.pair(settings)
	credential, err := azidentity.NewClientCertificateCredential(e.tenant.ID, settings.ClientID, []*x509.Certificate{pair.certificate}, pair.key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: e.azureOptions(t), DisableInstanceDiscovery: true})
	return fromCredential(credential, settings), err
}

func openAzidentityAssertion(t *testing.T, e *clientEntra, settings clientSettings) (appClient, error) {
	assertion := func(context.Context) (string, error) { return settings.Assertion, nil }
	credential, err := azidentity.NewClientAssertionCredential(e.tenant.ID, settings.ClientID, assertion,
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: e.azureOptions(t), DisableInstanceDiscovery: true})
	return fromCredential(credential, settings), err
}

// openAzidentityWorkload reads the assertion from a file, as in a Kubernetes pod.
func openAzidentityWorkload(t *testing.T, e *clientEntra, settings clientSettings) (appClient, error) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(settings.Assertion), 0o600); err != nil {
		return nil, err
	}
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientID: settings.ClientID, ClientOptions: e.azureOptions(t), DisableInstanceDiscovery: true, TenantID: e.tenant.ID, TokenFilePath: file,
	})
	return fromCredential(credential, settings), err
}

// azureOptions have the SDK's own retries off: every refusal here is meant.
func (e *clientEntra) azureOptions(t *testing.T) azcore.ClientOptions {
	options := e.clientOptions()
	options.Transport = e.onlyTo(t)
	options.Retry.MaxRetries = -1
	return options
}

func fromCredential(credential azcore.TokenCredential, settings clientSettings) appClient {
	return func(t *testing.T) (string, error) {
		token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{EnableCAE: true, Scopes: settings.Scopes})
		return token.Token, err
	}
}

func openClientCredentials(t *testing.T, e *clientEntra, settings clientSettings) (appClient, error) {
	config := clientcredentials.Config{
		ClientID: settings.ClientID, ClientSecret: settings.Secret, Scopes: settings.Scopes,
		TokenURL: settings.Authority + "/oauth2/v2.0/token",
	}
	source := config.TokenSource(context.WithValue(t.Context(), oauth2.HTTPClient, e.onlyTo(t)))
	return func(*testing.T) (string, error) {
		token, err := source.Token()
		if err != nil {
			return "", err
		}
		return token.AccessToken, nil
	}, nil
}

// openNodeApp calls a method of a client in JavaScript that gives a token.
func openNodeApp(pkg, script, method string) appOpener {
	open := openNode(pkg, script)
	return func(t *testing.T, e *clientEntra, settings clientSettings) (appClient, error) {
		c, err := open(t, e, settings)
		if err != nil {
			return nil, err
		}
		return func(t *testing.T) (token string, err error) {
			err = c.(*nodeClient).call(t, method, nil, &token)
			return token, err
		}, nil
	}
}
