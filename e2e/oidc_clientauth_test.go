package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/authcode-go/authcode"
)

// awkwardSecret has everything that form encoding and Basic authentication treat specially (RFC 6749 section 2.3.1).
const awkwardSecret = "a:b%2Fc%/d+e f&g=h?i~j"

func TestOIDCProviderClientAuthentication(t *testing.T) {
	t.Parallel()
	certificate, key := newClientCertificate(t)
	p := startOIDCProvider(t, longLived,
		oidcClient{"client_id": "post", "client_secret": awkwardSecret, "token_endpoint_auth_method": "client_secret_post"},
		oidcClient{"client_id": "basic:1", "client_secret": awkwardSecret, "token_endpoint_auth_method": "client_secret_basic"},
		oidcClient{"client_id": "certificate", "jwks": publicKeys(t, key), "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "PS256"},
		oidcClient{"client_id": "public", "token_endpoint_auth_method": "none"},
	)
	certificateAuth := func(audience string) authcode.ClientAuth {
		auth, err := authcode.CertificateAuth([]*x509.Certificate{certificate}, key, &authcode.CertificateAuthOptions{Audience: audience})
		if err != nil {
			t.Fatal(err)
		}
		return auth
	}
	for _, test := range []struct {
		name, clientID string
		auth           authcode.ClientAuth
		refused        bool
	}{
		{"secret in the body", "post", authcode.SecretAuth(awkwardSecret), false},
		{"secret in the header", "basic:1", authcode.SecretBasicAuth(awkwardSecret), false},
		{"certificate for the token endpoint", "certificate", certificateAuth(""), false},
		{"certificate for the issuer", "certificate", certificateAuth(p.endpoints.Issuer), false},
		{"certificate for another server", "certificate", certificateAuth("https://other.example.com"), true},
		{"public", "public", authcode.PublicAuth(), false},
		{"wrong secret", "post", authcode.SecretAuth("wrong"), true},
		{"none where one is needed", "post", authcode.PublicAuth(), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, w := p.newApp(t, test.clientID, test.auth)
			flow, callback := p.authorize(t, app, offline)
			credential, err := app.Redeem(t.Context(), flow, callback)
			if test.refused {
				wantRefusal(t, err, "invalid_client", false)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			mustToken(t, credential, uncached("files.read")) // the refresh has to authenticate too
			w.wantSent(t, 1, 1)
		})
	}
}

func newClientCertificate(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der := selfSigned(t, key.Public(), key, &x509.Certificate{Subject: pkix.Name{CommonName: "certificate"}})
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// publicKeys is the "jwks" of a client (RFC 7591 section 2).
func publicKeys(t *testing.T, key *rsa.PrivateKey) json.RawMessage {
	t.Helper()
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
