package e2e

import (
	"crypto/rsa"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

// client is a client that nobody here wrote, set up for one app of an emulator as its documentation says.
type client interface {
	// begin gives the URL to send a user to.
	begin(t *testing.T) string
	// redeem takes the callback that came of it, and gives an access token for clientScope.
	redeem(t *testing.T, callback *url.URL) (string, error)
	// silent gives one without the user. Claims are those of a challenge; empty: there was none.
	silent(t *testing.T, claims string) (string, error)
}

// clientScope is what the clients ask for: a resource that names its permissions in full.
const clientScope = armScope

// clientEntra is an emulator for one client: the app "web" has a certificate too.
type clientEntra struct {
	*entra
	pairs clientPairs
	nodes map[string]*nodeClient // by script
}

// clientPairs are a certificate that the app has, and one that it has not.
type clientPairs struct{ known, unknown certificatePair }

type certificatePair struct {
	certificate *x509.Certificate
	key         *rsa.PrivateKey
}

var (
	sharedPairs     clientPairs
	makeSharedPairs sync.Once // a key takes longer to make than a test
)

// pair is the app's, or where the secret is to be wrong, the one that the app has not.
func (e *clientEntra) pair(settings clientSettings) certificatePair {
	if settings.Secret == wrongSecret {
		return e.pairs.unknown
	}
	return e.pairs.known
}

func startClientEntra(t *testing.T) *clientEntra {
	t.Helper()
	makeSharedPairs.Do(func() {
		sharedPairs.known.certificate, sharedPairs.known.key = newClientCertificate(t)
		sharedPairs.unknown.certificate, sharedPairs.unknown.key = newClientCertificate(t)
	})
	pairs := sharedPairs
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		if app := &directory.Apps[i]; app.Name == "web" {
			app.Certificates = []*x509.Certificate{pairs.known.certificate}
			app.FederatedCredentials = []entratest.FederatedCredential{pairs.trusted()}
		}
	}
	e := startEntra(t, &entratest.Options{Directory: directory})
	return &clientEntra{entra: e, pairs: pairs, nodes: map[string]*nodeClient{}}
}

// clientSettings is an app registration, as a client is told of it.
type clientSettings struct {
	// Assertion is a token of somebody else: the user's that an API was called with, or one that stands for the app.
	Assertion   string   `json:"assertion,omitempty"`
	Authority   string   `json:"authority"`
	ClientID    string   `json:"clientId"`
	RedirectURI string   `json:"redirectUri"`
	Scopes      []string `json:"scopes"`
	Secret      string   `json:"secret,omitempty"`
}

func (e *clientEntra) settings(app entratest.App, redirectURI string) clientSettings {
	s := clientSettings{
		Authority:   e.URL() + "/" + e.tenant.ID,
		ClientID:    app.ClientID,
		RedirectURI: redirectURI,
		Scopes:      []string{clientScope},
	}
	if len(app.Secrets) > 0 {
		s.Secret = app.Secrets[0]
	}
	return s
}

// onlyTo is an HTTP client for an emulator alone: a request to any other host fails the test, and goes nowhere.
func (e *clientEntra) onlyTo(t *testing.T) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if "https://"+r.URL.Host != e.URL() {
			t.Errorf("the client asked %s", r.URL.Host)
			return nil, http.ErrNotSupported
		}
		return e.Client().Transport.RoundTrip(r)
	})}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// wantUserToken checks that an access token for clientScope is alice's, and good.
func (e *clientEntra) wantUserToken(t *testing.T, token string) {
	t.Helper()
	claims, err := e.VerifyAccessToken(token)
	if err != nil {
		t.Fatal(err)
	}
	if claims["upn"] != aliceAtContoso || claims["tid"] != e.tenant.ID || claims["scp"] != "user_impersonation" {
		t.Errorf("the token's claims are %v", claims)
	}
}

// asked are the endpoints that the client asked since the log was emptied, in order; the user's browser asks the others.
func (e *clientEntra) asked() string {
	var all []string
	for _, r := range e.Requests() {
		if r.Endpoint != "authorize" && r.Endpoint != "devicelogin" {
			all = append(all, r.Endpoint)
		}
	}
	if len(all) == 0 {
		return "no request"
	}
	return strings.Join(all, ", ")
}

// newest is the last token request.
func (e *clientEntra) newest(t *testing.T) entratest.Request {
	t.Helper()
	all := e.Requests()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Endpoint == "token" {
			return all[i]
		}
	}
	t.Fatal("there was no token request")
	return entratest.Request{}
}
