package entratest

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// exchangeAudience is the audience of federated credentials that name no other.
const exchangeAudience = "api://AzureADTokenExchange"

// foreign is what an assertion of another issuer says, before anybody has verified it.
type foreign struct {
	Issuer   string       `json:"iss"`
	Subject  string       `json:"sub"`
	Audience jwt.Audience `json:"aud"`
}

// readForeign reports whether an assertion comes from another issuer than the app itself: one that a federated
// credential of the app names, or any URL.
func (a *App) readForeign(assertion string) (f foreign, ok bool) {
	token, err := jwt.ParseSigned(assertion, federatedAlgorithms)
	if err != nil || token.UnsafeClaimsWithoutVerification(&f) != nil {
		return f, false
	}
	return f, strings.Contains(f.Issuer, "://") ||
		slices.ContainsFunc(a.FederatedCredentials, func(c FederatedCredential) bool { return c.Issuer == f.Issuer })
}

// federatedAlgorithms are those Entra takes in a token of another issuer.
var federatedAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512}

// checkFederated verifies a client assertion of another issuer: workload identity federation. Unlike an app's own
// assertion it may be used until it expires: a pod finds the same token in its file for an hour.
func (e *Emulator) checkFederated(x *exchange, app *App, assertion string, f foreign) *oauthError {
	credential, refusal := e.federatedCredential(x, app, f)
	if refusal != nil {
		return refusal
	}
	token, err := jwt.ParseSigned(assertion, federatedAlgorithms)
	if err != nil {
		return refuse("invalid_request", 50027)
	}
	header := token.Headers[0]
	// An issuer's clock is the world's, unless the issuer is this emulator.
	own, now := e.issuedHere(f.Issuer), time.Now()
	var keys []jose.JSONWebKey
	switch {
	case own:
		now = x.now
		if key := e.keys.find(header.KeyID); key != nil {
			keys = []jose.JSONWebKey{{Key: &key.key.private.PublicKey, KeyID: key.id}}
		}
	case len(credential.Keys) > 0:
		keys = named(credential.Keys, header.KeyID)
	default:
		keys, err = e.issuerKeys.find(x.ctx, e.options.HTTPClient, f.Issuer, header.KeyID)
	}
	switch {
	case errors.Is(err, errIssuerKeys):
		return refuse("invalid_request", 900612)
	case err != nil:
		return refuse("invalid_request", 90061)
	case len(keys) == 0:
		return refuse("invalid_client", 700027, "The key was not found.")
	}
	return checkFederatedTimes(token, keys, now)
}

// checkFederatedTimes verifies the signature and the times of an assertion whose iss, sub and aud are right.
func checkFederatedTimes(token *jwt.JSONWebToken, keys []jose.JSONWebKey, now time.Time) *oauthError {
	var claims jwt.Claims
	if !slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool {
		key, ok := k.Key.(*rsa.PublicKey)
		return ok && token.Claims(key, &claims) == nil
	}) {
		return refuse("invalid_client", 700027, "The provided signature value did not match the expected signature value.")
	}
	if claims.Expiry == nil {
		return refuse("invalid_client", 50013, "the assertion does not expire.")
	}
	return checkAssertionTimes(claims, now)
}

// federatedCredential finds the credential an assertion matches. What does not match is told in Entra's order: the
// issuer, the audience, the subject.
func (e *Emulator) federatedCredential(x *exchange, app *App, f foreign) (FederatedCredential, *oauthError) {
	matches := slices.Clone(app.FederatedCredentials)
	audience := strings.Join(f.Audience, " ")
	if len(matches) == 0 {
		return FederatedCredential{}, refuse("invalid_request", 70021, f.Issuer, f.Subject, audience)
	}
	matches = slices.DeleteFunc(matches, func(c FederatedCredential) bool { return c.Issuer != f.Issuer })
	if len(matches) == 0 {
		return FederatedCredential{}, refuse("invalid_client", 700211, f.Issuer)
	}
	matches = slices.DeleteFunc(matches, func(c FederatedCredential) bool { return !e.federatedAudience(x, c, f) })
	if len(matches) == 0 {
		return FederatedCredential{}, refuse("invalid_client", 700212, audience)
	}
	exact := func(c FederatedCredential) bool { return c.Subject == f.Subject }
	if i := slices.IndexFunc(matches, exact); i >= 0 {
		return matches[i], nil
	}
	if slices.ContainsFunc(matches, func(c FederatedCredential) bool { return strings.EqualFold(c.Subject, f.Subject) }) {
		return FederatedCredential{}, refuse("invalid_client", 7002138, f.Subject)
	}
	return FederatedCredential{}, refuse("invalid_client", 700213, f.Subject)
}

// federatedAudience compares an assertion's audience with a credential's. In this emulator's own tokens, which stand
// for a managed identity's, the audience may be the AppID of the resource that the credential names by its URI.
func (e *Emulator) federatedAudience(x *exchange, c FederatedCredential, f foreign) bool {
	want := c.Audience
	if want == "" {
		want = exchangeAudience
	}
	if slices.Contains(f.Audience, want) {
		return true
	}
	resource := x.directory.directory.Resource(want)
	return resource.AppID != "" && e.issuedHere(f.Issuer) && slices.Contains(f.Audience, resource.AppID)
}

// issuedHere reports whether an issuer is one of this emulator's tenants.
func (e *Emulator) issuedHere(issuer string) bool { return strings.HasPrefix(issuer, e.origin+"/") }

// named are the keys an assertion may be signed with, going by the key ID. A key without an ID may be any.
func named(keys []jose.JSONWebKey, id string) []jose.JSONWebKey {
	return slices.DeleteFunc(slices.Clone(keys), func(k jose.JSONWebKey) bool { return k.KeyID != "" && k.KeyID != id })
}

// publicKeys reads a key set, RFC 7517 section 5, and skips the keys that cannot be read: other people's are no
// reason to refuse the one that is needed.
func publicKeys(set []json.RawMessage) []jose.JSONWebKey {
	var all []jose.JSONWebKey
	for _, raw := range set {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.Valid() && key.IsPublic() {
			all = append(all, key)
		}
	}
	return all
}
