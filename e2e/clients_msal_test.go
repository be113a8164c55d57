package e2e

import (
	"net/url"
	"testing"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
	"golang.org/x/oauth2"
)

// msalConfidential is MSAL Go in a web app.
type msalConfidential struct {
	app      confidential.Client
	settings clientSettings
	account  confidential.Account
}

func openMSAL(credential credentialMaker) opener {
	return func(t *testing.T, e *clientEntra, settings clientSettings) (client, error) {
		app, err := newMSAL(t, e, settings, credential)
		return &msalConfidential{app: app, settings: settings}, err
	}
}

func newMSAL(t *testing.T, e *clientEntra, settings clientSettings, make credentialMaker) (confidential.Client, error) {
	credential, err := make(e, settings)
	if err != nil {
		return confidential.Client{}, err
	}
	return confidential.New(settings.Authority, settings.ClientID, credential,
		confidential.WithHTTPClient(e.onlyTo(t)),
		confidential.WithInstanceDiscovery(false),
		confidential.WithClientCapabilities([]string{"cp1"}))
}

func (m *msalConfidential) begin(t *testing.T) string {
	t.Helper()
	u, err := m.app.AuthCodeURL(t.Context(), m.settings.ClientID, m.settings.RedirectURI, m.settings.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (m *msalConfidential) redeem(t *testing.T, callback *url.URL) (string, error) {
	result, err := m.app.AcquireTokenByAuthCode(t.Context(), callback.Query().Get("code"), m.settings.RedirectURI, m.settings.Scopes)
	if err == nil {
		m.account = result.Account
	}
	return result.AccessToken, err
}

func (m *msalConfidential) silent(t *testing.T, claims string) (string, error) {
	options := []confidential.AcquireSilentOption{confidential.WithSilentAccount(m.account)}
	if claims != "" {
		options = append(options, confidential.WithClaims(claims))
	}
	result, err := m.app.AcquireTokenSilent(t.Context(), m.settings.Scopes, options...)
	return result.AccessToken, err
}

// msalPublic is MSAL Go in an app without a secret. Its URL has no PKCE: whoever wants that adds it.
type msalPublic struct {
	app      public.Client
	settings clientSettings
	verifier string
	account  public.Account
}

func openMSALPublic(t *testing.T, e *clientEntra, settings clientSettings) (client, error) {
	app, err := newMSALPublic(t, e, settings)
	return &msalPublic{app: app, settings: settings, verifier: oauth2.GenerateVerifier()}, err
}

func newMSALPublic(t *testing.T, e *clientEntra, settings clientSettings) (public.Client, error) {
	return public.New(settings.ClientID,
		public.WithAuthority(settings.Authority),
		public.WithHTTPClient(e.onlyTo(t)),
		public.WithInstanceDiscovery(false),
		public.WithClientCapabilities([]string{"cp1"}))
}

func (m *msalPublic) begin(t *testing.T) string {
	t.Helper()
	u, err := m.app.AuthCodeURL(t.Context(), m.settings.ClientID, m.settings.RedirectURI, m.settings.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	challenge := url.Values{"code_challenge": {oauth2.S256ChallengeFromVerifier(m.verifier)}, "code_challenge_method": {"S256"}}
	return u + "&" + challenge.Encode()
}

func (m *msalPublic) redeem(t *testing.T, callback *url.URL) (string, error) {
	result, err := m.app.AcquireTokenByAuthCode(t.Context(), callback.Query().Get("code"), m.settings.RedirectURI, m.settings.Scopes,
		public.WithChallenge(m.verifier))
	if err == nil {
		m.account = result.Account
	}
	return result.AccessToken, err
}

func (m *msalPublic) silent(t *testing.T, claims string) (string, error) {
	options := []public.AcquireSilentOption{public.WithSilentAccount(m.account)}
	if claims != "" {
		options = append(options, public.WithClaims(claims))
	}
	result, err := m.app.AcquireTokenSilent(t.Context(), m.settings.Scopes, options...)
	return result.AccessToken, err
}
