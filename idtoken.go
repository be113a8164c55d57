package authcode

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	maxIDTokenBytes = 64 << 10
	clockLeeway     = 5 * time.Minute // between the server's clock and ours
)

var guidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// expectation is what an ID token must say besides being genuine.
type expectation struct {
	accessToken string
	show        func(string) string // prints a value of the token's, which may be an echo of a secret; nil: as it is
	nonce       string              // "": there was no flow
	tenantID    string              // the one that was asked
}

// verifyIDToken is OpenID Connect Core 1.0 section 3.1.3.7, for Entra with the checks of
// https://learn.microsoft.com/entra/identity-platform/claims-validation. The signature comes first: what is said of a forged
// token is that it is forged.
func (a *App) verifyIDToken(ctx context.Context, t *trust, idToken string, want expectation) (*idClaims, error) {
	if want.show == nil {
		want.show = quoted
	}
	header, err := checkIDTokenShape(idToken)
	if err != nil {
		return nil, err
	}
	if err := t.checkIDTokenHeader(header, want.show); err != nil {
		return nil, err
	}
	payload, key, err := t.verifySignature(ctx, idToken, want.show)
	if err != nil {
		return nil, fmt.Errorf("the ID token cannot be trusted: %w", err)
	}
	claims, err := parseIDClaims(payload)
	if err != nil {
		return nil, err
	}
	for _, check := range []func() error{
		func() error { return a.checkIssuer(t, key, claims, want) },
		func() error { return a.checkAudience(claims, want.show) },
		func() error { return checkTimes(claims.members, time.Now()) },
		func() error { return a.checkSubject(claims) },
		func() error { return checkNonce(claims, want.nonce) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return claims, a.checkWithOIDC(ctx, t, idToken, payload, want.accessToken)
}

// checkWithOIDC has go-oidc make its own checks of the verified payload: algorithm, audience, shape of the claims, at_hash
// (OpenID Connect Core 1.0 section 3.1.3.8).
func (a *App) checkWithOIDC(ctx context.Context, t *trust, idToken string, payload []byte, accessToken string) error {
	algorithms := make([]string, len(t.algorithms))
	for i, algorithm := range t.algorithms {
		algorithms[i] = string(algorithm)
	}
	verifier := oidc.NewVerifier("", verifiedPayload(payload), &oidc.Config{
		ClientID:             a.clientID,
		SkipExpiryCheck:      true, // checked with a leeway
		SkipIssuerCheck:      true, // checked against the template
		SupportedSigningAlgs: algorithms,
	})
	token, err := verifier.Verify(ctx, idToken)
	if err != nil {
		return fmt.Errorf("the ID token cannot be trusted: %w", err)
	}
	if token.AccessTokenHash != "" && token.VerifyAccessToken(accessToken) != nil {
		return errors.New("the ID token's at_hash is not that of the access token beside it")
	}
	return nil
}

// verifiedPayload is the KeySet of a payload whose signature was verified already.
type verifiedPayload []byte

func (p verifiedPayload) VerifySignature(context.Context, string) ([]byte, error) { return p, nil }

// checkIDTokenShape gives the decoded header of a JWT in its one spelling: three parts of base64url without padding, blanks,
// line breaks or stray bits (RFC 7515 sections 2 and 7.1).
func checkIDTokenShape(idToken string) ([]byte, error) {
	if len(idToken) > maxIDTokenBytes || strings.Count(idToken, ".") != 2 {
		return nil, errors.New("the ID token is malformed: it is not a signed JWT of three parts")
	}
	var header []byte
	for part := range strings.SplitSeq(idToken, ".") {
		decoded, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") {
			return nil, errors.New("the ID token is malformed: a part of it is not base64url")
		}
		if header == nil {
			header = decoded
		}
	}
	return header, nil
}

// checkIDTokenHeader refuses, before any key is looked up, what no ID token needs: an algorithm off the list (RFC 8725
// section 3.1), critical extensions, keys that the token brings along (sections 3.10 and 3.11).
func (t *trust) checkIDTokenHeader(decoded []byte, show func(string) string) error {
	header, err := parseObject(decoded)
	if err != nil {
		return fmt.Errorf("the ID token is malformed: its header: %w", err)
	}
	algorithm, err := header.text("alg")
	if err != nil || !slices.Contains(t.algorithms, jose.SignatureAlgorithm(algorithm)) {
		return fmt.Errorf("the ID token's algorithm (alg) %s is not one of %v", show(header.lenientText("alg")), t.algorithms)
	}
	for _, name := range []string{"crit", "jku", "jwk", "x5u", "b64"} {
		if _, there := header[name]; there {
			return fmt.Errorf("the ID token's header has %q, which is not accepted", name)
		}
	}
	if keyID := header.lenientText("kid"); len(keyID) > maxKeyIDBytes {
		return errors.New("the ID token's key ID (kid) is too long")
	}
	return nil
}

// checkIssuer matches iss, tid and the signing key's own issuer. The key set of Entra signs for every tenant, so the tenant is
// what the token's tid says, and whether that one is welcome is checked by itself.
func (a *App) checkIssuer(t *trust, key signingKey, c *idClaims, want expectation) error {
	tenantID := want.tenantID
	withTenant := a.site.own == nil && !isADFS(tenantID)
	if withTenant && !guidPattern.MatchString(c.tid) {
		return fmt.Errorf("the ID token's tenant (tid) %s is not a tenant ID", want.show(c.tid))
	}
	issuer := t.issuer
	if withTenant {
		issuer = strings.ReplaceAll(issuer, tenantTemplate, strings.ToLower(c.tid))
	}
	if c.iss == "" || c.iss != issuer {
		return fmt.Errorf("the ID token's issuer (iss) is %s, not %s", want.show(c.iss), quoted(issuer))
	}
	if keyIssuer := strings.ReplaceAll(key.issuer, tenantTemplate, strings.ToLower(c.tid)); keyIssuer != "" && keyIssuer != c.iss {
		return fmt.Errorf("the ID token was signed with a key of the issuer %s, not of %s", quoted(keyIssuer), quoted(c.iss))
	}
	if !withTenant {
		return nil
	}
	if !strings.Contains(strings.ToLower(c.iss), strings.ToLower(c.tid)) {
		return fmt.Errorf("the ID token's tenant (tid) %s is not its issuer's, %s", quoted(c.tid), quoted(c.iss))
	}
	return a.checkSignInTenant(c.tid, tenantID)
}

// checkSignInTenant decides whether a directory's users may sign in. For a tenant of its own the issuer has decided; at common
// and organizations any directory in the world can answer, and an App there lets in those it names, whatever tenant a flow
// was begun for.
func (a *App) checkSignInTenant(tid, tenantID string) error {
	if guidPattern.MatchString(tenantID) && !strings.EqualFold(tid, tenantID) {
		return fmt.Errorf("the ID token's tenant (tid) is %s, not %s", quoted(tid), quoted(tenantID))
	}
	if !isMultiTenant(a.tenants.home) || containsFold(a.signInTenants, "*") || containsFold(a.signInTenants, tid) {
		return nil
	}
	return fmt.Errorf("users of the tenant (tid) %s may not sign in: add it to SignInTenants to let them", quoted(tid))
}

// checkAudience wants this app and nobody else (OpenID Connect Core 1.0 section 3.1.3.7, numbers 3 to 5).
func (a *App) checkAudience(c *idClaims, show func(string) string) error {
	if len(c.aud) != 1 || c.aud[0] != a.clientID {
		return fmt.Errorf("the ID token's audience (aud) is %s, not %s alone", show(strings.Join(c.aud, " ")), quoted(a.clientID))
	}
	if c.azp != "" && c.azp != a.clientID {
		return fmt.Errorf("the ID token's authorized party (azp) is %s, not this app; its audience is not ours alone", show(c.azp))
	}
	return nil
}

// checkTimes is RFC 7519 sections 4.1.4 to 4.1.6 with a leeway.
func checkTimes(members jsonObject, now time.Time) error {
	exp, err := numericDate(members, "exp")
	switch {
	case err != nil:
		return err
	case !now.Before(exp.Add(clockLeeway)):
		return fmt.Errorf("the ID token's time (exp) is over since %s: check the clock", exp.UTC().Format(time.RFC3339))
	}
	for _, name := range []string{"iat", "nbf"} {
		if name == "nbf" && !members.has(name) {
			continue
		}
		at, err := numericDate(members, name)
		switch {
		case err != nil:
			return err
		case at.After(now.Add(clockLeeway)):
			return fmt.Errorf("the ID token's time (%s) is in the future, %s: check the clock", name, at.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

func numericDate(members jsonObject, name string) (time.Time, error) {
	const latest = 253402300799 // the end of the year 9999
	seconds, err := strconv.ParseFloat(string(members[name]), 64)
	if err != nil || !(seconds > 0 && seconds <= latest) {
		return time.Time{}, fmt.Errorf("the ID token's time (%s) is missing or no time", name)
	}
	return time.Unix(int64(seconds), 0), nil
}

// checkSubject wants to know who it is: sub everywhere, oid at Entra.
func (a *App) checkSubject(c *idClaims) error {
	if c.sub == "" || len(c.sub) > 255 { // OpenID Connect Core 1.0 section 2
		return errors.New("the ID token's subject (sub) is missing or longer than 255 characters")
	}
	if a.site.own == nil && !isADFS(a.tenants.home) && c.oid == "" {
		return errors.New("the ID token's subject has no object ID (oid): ask for the scope profile")
	}
	return nil
}

// checkNonce ties the ID token to the flow (OpenID Connect Core 1.0 section 3.1.3.7, number 11).
func checkNonce(c *idClaims, want string) error {
	if want != "" && !sameSecret(c.nonce, want) {
		return errors.New("the ID token's nonce is not the one of this sign-in: start it again")
	}
	return nil
}
