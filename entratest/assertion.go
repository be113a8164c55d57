package entratest

import (
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" // x5t is a SHA-1 thumbprint, RFC 7515 section 4.1.7
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionType is the client_assertion_type of RFC 7523 section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLeeway is how far the clocks of client and server may differ.
const assertionLeeway = 5 * time.Minute

// checkAssertion verifies a client assertion: one of another issuer, or one signed with a certificate of the app.
func (e *Emulator) checkAssertion(x *exchange, app *App, c credentials) *oauthError {
	if c.kind != assertionType {
		return refuse("invalid_request", 900144, "client_assertion_type")
	}
	if f, ok := app.readForeign(c.assertion); ok {
		return e.checkFederated(x, app, c.assertion, f)
	}
	return e.checkCertificate(x, app, c.assertion)
}

// checkCertificate verifies a client assertion signed with a certificate of the app, as "Microsoft identity platform
// application authentication certificate credentials" describes it.
func (e *Emulator) checkCertificate(x *exchange, app *App, assertion string) *oauthError {
	token, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.PS256, jose.RS256})
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &algorithm):
		return refuse("invalid_client", 5002738, string(algorithm.Got))
	case err != nil:
		return refuse("invalid_request", 50027)
	}
	certificate := app.certificate(token.Headers[0])
	if certificate == nil {
		return refuse("invalid_client", 700027, "The key was not found.")
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return refuse("invalid_client", 700027, "The key is not an RSA key.")
	}
	var claims jwt.Claims
	if err := token.Claims(key, &claims); err != nil || !hasHashSalt(key, assertion, token.Headers[0].Algorithm) {
		return refuse("invalid_client", 700027, "The provided signature value did not match the expected signature value.")
	}
	// The assertion is the client's, made by the client's clock; the virtual clock is Entra's alone.
	now := time.Now()
	if now.After(certificate.NotAfter) {
		return refuse("invalid_client", 700027, "The key used is expired.")
	}
	return e.checkAssertionClaims(x, app, claims, now)
}

// hasHashSalt holds PS256 to RFC 7518 section 3.5, a salt as long as the hash: go-jose verifies any length, others do not.
func hasHashSalt(key *rsa.PublicKey, assertion, algorithm string) bool {
	if algorithm != string(jose.PS256) {
		return true
	}
	end := strings.LastIndexByte(assertion, '.')
	signature, err := base64.RawURLEncoding.DecodeString(assertion[end+1:])
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(assertion[:end]))
	return rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: sha256.Size}) == nil
}

func (e *Emulator) checkAssertionClaims(x *exchange, app *App, claims jwt.Claims, now time.Time) *oauthError {
	endpoint := e.origin + "/" + x.authority.segment() + "/oauth2/v2.0/token"
	switch {
	case !strings.EqualFold(claims.Issuer, app.ClientID):
		return refuse("invalid_client", 700021)
	case !strings.EqualFold(claims.Subject, claims.Issuer):
		return refuse("invalid_client", 50048)
	case len(claims.Audience) != 1 || !slices.Contains(e.tokenEndpoints(x.authority), strings.ToLower(claims.Audience[0])):
		return refuse("invalid_client", 700023, endpoint)
	case claims.Expiry == nil:
		return refuse("invalid_client", 50013, "the assertion does not expire.")
	case claims.ID == "":
		return refuse("invalid_client", 50013, "the assertion has no jti.")
	}
	if refusal := checkAssertionTimes(claims, now); refusal != nil {
		return refusal
	}
	if !e.seenJTIs.add(app.ClientID+" "+claims.ID, claims.Expiry.Time().Add(assertionLeeway), now) {
		return refuse("invalid_client", 50013, "an assertion with this jti was used before.")
	}
	return nil
}

// checkAssertionTimes compares the times of an assertion, which has an expiry, with a clock that may be off a little.
func checkAssertionTimes(claims jwt.Claims, now time.Time) *oauthError {
	if now.After(claims.Expiry.Time().Add(assertionLeeway)) ||
		(claims.NotBefore != nil && claims.NotBefore.Time().After(now.Add(assertionLeeway))) ||
		(claims.IssuedAt != nil && claims.IssuedAt.Time().After(now.Add(assertionLeeway))) {
		return refuse("invalid_client", 700024, now.UTC().Format(entraTime), claims.Expiry.Time().UTC().Format(entraTime))
	}
	return nil
}

// tokenEndpoints are the URLs of one token endpoint, in lower case: by the tenant's ID, by its domain, and as it was
// written.
func (e *Emulator) tokenEndpoints(a authority) []string {
	segments := []string{a.alias}
	if a.tenant != nil {
		segments = append(segments, a.tenant.ID, cmp.Or(a.tenant.Domain, a.tenant.ID))
	}
	for i, s := range segments {
		segments[i] = strings.ToLower(e.origin + "/" + s + "/oauth2/v2.0/token")
	}
	return segments
}

// certificate finds the certificate the header names by its thumbprint, x5t#S256 or x5t.
func (a *App) certificate(header jose.Header) *x509.Certificate {
	sha256Named, _ := header.ExtraHeaders["x5t#S256"].(string)
	sha1Named, _ := header.ExtraHeaders["x5t"].(string)
	i := slices.IndexFunc(a.Certificates, func(c *x509.Certificate) bool {
		long, short := sha256.Sum256(c.Raw), sha1.Sum(c.Raw)
		return sameThumbprint(sha256Named, long[:]) || sameThumbprint(sha1Named, short[:])
	})
	if i < 0 {
		return nil
	}
	return a.Certificates[i]
}

// sameThumbprint takes either base64 alphabet, with or without padding: MSAL Go writes the standard one, and Entra
// takes it.
func sameThumbprint(named string, digest []byte) bool {
	named = strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(named)
	return named == base64.RawURLEncoding.EncodeToString(digest)
}
