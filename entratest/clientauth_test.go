package entratest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/authcode-go/authcode/entratest"
)

func TestSecrets(t *testing.T) {
	f := start(t, nil)
	for _, secret := range web.Secrets {
		f.mustToken(codeForm(f.signIn(alice), "client_secret", secret))

		r := f.tokenRequest(codeForm(f.signIn(alice), "client_id", "", "client_secret", ""))
		r.SetBasicAuth(url.QueryEscape(web.ClientID), url.QueryEscape(secret))
		if a := f.sendToken(r); a.Status != 200 {
			t.Errorf("Basic with %q: %s", secret, a.Description)
		}
	}
	f.mustRefuse(codeForm("x", "client_secret", "wrong"), "invalid_client", 7000215)
	f.mustRefuse(codeForm("x", "client_secret", ""), "invalid_client", 7000218)

	basic := func(form url.Values, user, password string) answer {
		r := f.tokenRequest(form)
		r.SetBasicAuth(user, password)
		return f.sendToken(r)
	}
	plain := codeForm("x", "client_secret", "")
	checkRefusal(t, basic(plain, web.ClientID, "wrong"), "invalid_client", 7000215)
	checkRefusal(t, basic(plain, web.ClientID, web.Secrets[0]), "invalid_request", 9002313) // not encoded: % is no escape
	checkRefusal(t, basic(plain, native.ClientID, "x"), "invalid_request", 9002313)         // two clients
	checkRefusal(t, basic(codeForm("x"), web.ClientID, "plain-secret"), "invalid_request", 90023)
	checkRefusal(t, f.token(codeForm("x", "client_assertion", "y")), "invalid_request", 90023)
	r := f.tokenRequest(with(plain, "client_id", ""))
	r.Header.Set("Authorization", "Basic !")
	checkRefusal(t, f.sendToken(r), "invalid_request", 9002313)
	r = f.tokenRequest(with(plain, "client_id", ""))
	r.Header.Set("Authorization", "Bearer x")
	checkRefusal(t, f.sendToken(r), "invalid_request", 900144)
	r = f.tokenRequest(plain)
	r.SetBasicAuth(web.ClientID, "wrong")
	if response, _ := f.send(r); !strings.HasPrefix(response.Header.Get("WWW-Authenticate"), "Basic") {
		t.Error("RFC 6749 section 5.2 wants WWW-Authenticate")
	}
}

type pair struct {
	key         crypto.Signer
	certificate *x509.Certificate
}

func newPair(t testing.TB, key crypto.Signer, notAfter time.Time) pair {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"},
		NotBefore: time.Unix(0, 0), NotAfter: notAfter,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{key, must(x509.ParseCertificate(der))}
}

var testKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// assertion makes a client assertion; header and claims are changed by the callers.
func assertion(t testing.TB, key any, algorithm jose.SignatureAlgorithm, header map[jose.HeaderKey]any, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	for name, value := range header {
		options.WithHeader(name, value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	return must(jwt.Signed(signer).Claims(claims).Serialize())
}

func x5tS256(c *x509.Certificate) map[jose.HeaderKey]any {
	digest := sha256.Sum256(c.Raw)
	return map[jose.HeaderKey]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(digest[:])}
}

func x5t(c *x509.Certificate) map[jose.HeaderKey]any {
	digest := sha1.Sum(c.Raw)
	return map[jose.HeaderKey]any{"x5t": base64.StdEncoding.EncodeToString(digest[:])}
}

func TestClientAssertions(t *testing.T) {
	future := time.Now().AddDate(1, 0, 0)
	good := newPair(t, testKey(), future)
	expired := newPair(t, testKey(), time.Now().AddDate(0, 0, -1))
	stranger := newPair(t, must(rsa.GenerateKey(rand.Reader, 2048)), future)
	curve := newPair(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), future)
	d := entratest.DefaultDirectory()
	d.Apps[0].Certificates = []*x509.Certificate{good.certificate, expired.certificate, curve.certificate}
	f := start(t, &entratest.Options{Directory: d})
	now := time.Now().Unix()
	claims := func(pairs ...any) map[string]any {
		c := map[string]any{
			"iss": web.ClientID, "sub": web.ClientID, "aud": f.tokenURL(), "jti": rand.Text(),
			"iat": now, "nbf": now, "exp": now + 600,
		}
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] == nil {
				delete(c, pairs[i].(string))
			} else {
				c[pairs[i].(string)] = pairs[i+1]
			}
		}
		return c
	}
	ps := func(c map[string]any) string {
		return assertion(t, good.key, jose.PS256, x5tS256(good.certificate), c)
	}
	tests := []struct {
		name      string
		assertion string
		number    int // 0: accepted
	}{
		{"PS256", ps(claims()), 0},
		{"RS256 and SHA-1", assertion(t, good.key, jose.RS256, x5t(good.certificate), claims()), 0},
		{"by domain", ps(claims("aud", f.URL()+"/contoso.example/oauth2/v2.0/token")), 0},
		{"one audience in a list", ps(claims("aud", []string{f.tokenURL()})), 0},
		{"clock 4 minutes late", ps(claims("exp", now-240)), 0},
		{"not a JWT", "x.y.z", 50027},
		{"HS256", assertion(t, make([]byte, 32), jose.HS256, x5tS256(good.certificate), claims()), 5002738},
		{"no thumbprint", assertion(t, good.key, jose.PS256, nil, claims()), 700027},
		{"unknown certificate", assertion(t, stranger.key, jose.PS256, x5tS256(stranger.certificate), claims()), 700027},
		{"other key", assertion(t, stranger.key, jose.PS256, x5tS256(good.certificate), claims()), 700027},
		{"not RSA", assertion(t, good.key, jose.PS256, x5tS256(curve.certificate), claims()), 700027},
		{"expired certificate", assertion(t, expired.key, jose.PS256, x5tS256(expired.certificate), claims()), 700027},
		{"other issuer", ps(claims("iss", native.ClientID)), 700021},
		{"other subject", ps(claims("sub", native.ClientID)), 50048},
		{"other tenant", ps(claims("aud", f.at(fabrikam).tokenURL())), 700023},
		{"the issuer as audience", ps(claims("aud", f.URL()+"/"+contoso+"/v2.0")), 700023},
		{"two audiences", ps(claims("aud", []string{f.tokenURL(), "x"})), 700023},
		{"no audience", ps(claims("aud", nil)), 700023},
		{"no expiry", ps(claims("exp", nil)), 50013},
		{"expired", ps(claims("exp", now-400)), 700024},
		{"not yet", ps(claims("nbf", now+400)), 700024},
		{"from the future", ps(claims("iat", now+400)), 700024},
		{"no jti", ps(claims("jti", nil)), 50013},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			form := codeForm(f.signIn(alice), "client_secret", "", "client_assertion", test.assertion,
				"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			switch test.number {
			case 0:
			case 50027:
				f.mustRefuse(form, "invalid_request", 50027)
				return
			default:
				f.mustRefuse(form, "invalid_client", test.number)
				return
			}
			a := f.mustToken(form)
			if claimsOf(t, a.AccessToken)["appidacr"] != "2" {
				t.Error("appidacr of a certificate")
			}
			f.mustRefuse(with(form, "code", f.signIn(alice)), "invalid_client", 50013) // replayed
		})
	}
	f.mustRefuse(codeForm("x", "client_secret", "", "client_assertion", ps(claims())), "invalid_request", 900144)

	f.Advance(91 * 24 * time.Hour) // the emulator's clock is not the client's
	f.mustRefuse(codeForm("x", "client_secret", "", "client_assertion", ps(claims()),
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), "invalid_grant", 9002313)
}
