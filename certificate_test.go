package authcode_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/go-jose/go-jose/v4"

	"github.com/authcode-go/authcode"
)

func selfSigned(tb testing.TB, key *rsa.PrivateKey) *x509.Certificate {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "app.example.com"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

func certOf(certs ...*x509.Certificate) []*x509.Certificate { return certs }

// vaultKey is a key that never leaves its vault: all it can do is sign.
type vaultKey struct{ crypto.Signer }

func TestTheClientAssertion(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := selfSigned(t, key)
	sha256Thumbprint, sha1Thumbprint := sha256.Sum256(cert.Raw), sha1.Sum(cert.Raw)
	for name, test := range map[string]struct {
		tenant    string
		key       crypto.PrivateKey
		options   *authcode.CertificateAuthOptions
		algorithm jose.SignatureAlgorithm
		header    map[string]string
		audience  string
		chain     bool
	}{
		"Entra":    {"tenant", key, nil, jose.PS256, map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(sha256Thumbprint[:])}, "https://login.example/tenant/oauth2/v2.0/token", false},
		"AD FS":    {"adfs", key, nil, jose.RS256, map[string]string{"x5t": base64.RawURLEncoding.EncodeToString(sha1Thumbprint[:])}, "https://login.example/adfs/oauth2/token", false},
		"a vault":  {"tenant", vaultKey{key}, nil, jose.PS256, nil, "https://login.example/tenant/oauth2/v2.0/token", false},
		"chain":    {"tenant", key, &authcode.CertificateAuthOptions{SendCertificateChain: true}, jose.PS256, nil, "https://login.example/tenant/oauth2/v2.0/token", true},
		"audience": {"tenant", key, &authcode.CertificateAuthOptions{Audience: "https://issuer.example"}, jose.PS256, nil, "https://issuer.example", false},
	} {
		t.Run(name, func(t *testing.T) {
			auth, err := authcode.CertificateAuth(certOf(cert), test.key, test.options)
			if err != nil {
				t.Fatal(err)
			}
			var forms []url.Values
			answers := &recorder{}
			c, err := authcode.NewAuthorizationCodeCredential(test.tenant, "client", "code", redirectURI, &authcode.AuthorizationCodeCredentialOptions{
				ClientAuth: auth,
				ClientOptions: azcore.ClientOptions{
					Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: "https://login.example"},
					Transport: transporter(func(r *http.Request) (*http.Response, error) {
						if err := r.ParseForm(); err != nil {
							return nil, err
						}
						forms = append(forms, r.PostForm)
						return answers.Do(r)
					}),
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			mustToken(t, c, tokenFor("one"))
			mustToken(t, c, tokenFor("two"))
			ids := map[string]bool{}
			for _, form := range forms {
				if got := form.Get("client_assertion_type"); got != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
					t.Errorf("client_assertion_type %q", got)
				}
				jws, err := jose.ParseSignedCompact(form.Get("client_assertion"), []jose.SignatureAlgorithm{test.algorithm})
				if err != nil {
					t.Fatal(err)
				}
				payload, err := jws.Verify(key.Public())
				if err != nil {
					t.Fatal(err)
				}
				if test.algorithm == jose.PS256 {
					wantHashSalt(t, key, form.Get("client_assertion"))
				}
				header := jws.Signatures[0].Protected
				if header.ExtraHeaders["typ"] != "JWT" {
					t.Errorf("typ %v", header.ExtraHeaders["typ"])
				}
				for member, want := range test.header {
					if got := header.ExtraHeaders[jose.HeaderKey(member)]; got != want {
						t.Errorf("%s is %v, want %v", member, got, want)
					}
				}
				if sent := strings.Contains(string(mustDecode(t, form.Get("client_assertion"))), `"x5c"`); sent != test.chain {
					t.Errorf("x5c sent: %v, want %v", sent, test.chain)
				}
				var claims struct {
					Aud, Iss, Sub, Jti string
					Exp, Nbf, Iat      int64
				}
				if err := json.Unmarshal(payload, &claims); err != nil {
					t.Fatal(err)
				}
				if claims.Aud != test.audience || claims.Iss != "client" || claims.Sub != "client" || claims.Exp-claims.Nbf != 600 || claims.Iat != claims.Nbf {
					t.Errorf("claims %+v", claims)
				}
				ids[claims.Jti] = true
			}
			if len(ids) != 2 {
				t.Errorf("%d different jti in 2 requests", len(ids))
			}
		})
	}
}

// wantHashSalt holds the signature to RFC 7518 section 3.5; go-jose accepts any length of salt.
func wantHashSalt(t *testing.T, key *rsa.PrivateKey, jwt string) {
	t.Helper()
	signed, encoded, _ := strings.Cut(jwt[strings.Index(jwt, ".")+1:], ".")
	signed = jwt[:strings.Index(jwt, ".")+1] + signed
	signature, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(signed))
	if err := rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: sha256.Size}); err != nil {
		t.Errorf("the salt is not as long as the hash: %v", err)
	}
}

// mustDecode gives the header of a JWT.
func mustDecode(t *testing.T, jwt string) []byte {
	t.Helper()
	header, _, _ := strings.Cut(jwt, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}
