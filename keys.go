package authcode

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys       = 100
	maxKeyIDBytes = 256
	maxRSABits    = 8192
	rsaExponent   = 65537
)

// idTokenAlgorithms is the list an ID token may be signed with; never the header's word alone. Entra signs RS256.
var idTokenAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}

// signingKey is one of the server's keys. Entra's key set of common says of some keys whose they are.
type signingKey struct {
	issuer string // may be a template with {tenantid}; "" for any
	jwk    jose.JSONWebKey
}

// parseKeys reads a JWK set (RFC 7517 section 5). A key that cannot be used is skipped, as section 5 asks; none left is an
// error.
func parseKeys(body []byte) ([]signingKey, error) {
	members, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(members["keys"], &raw); err != nil {
		return nil, errors.New("it has no list of keys")
	}
	if len(raw) > maxKeys {
		return nil, fmt.Errorf("it has %d keys, more than %d", len(raw), maxKeys)
	}
	var keys []signingKey
	for _, one := range raw {
		if key, ok := parseKey(one); ok {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no usable key")
	}
	return keys, nil
}

const maxKeyBytes = 32 << 10 // a key with its certificates; keeps big numbers from being parsed at all

func parseKey(raw json.RawMessage) (signingKey, bool) {
	members, err := parseObject(raw)
	if err != nil || len(raw) > maxKeyBytes || isPrivate(members) || members.has("use") && string(members["use"]) != `"sig"` {
		return signingKey{}, false
	}
	if n := members["n"]; len(n) > maxRSABits/6+8 {
		return signingKey{}, false
	}
	// The certificates are of no use here, and one that cannot be parsed must not cost the key.
	for _, name := range []string{"x5c", "x5t", "x5t#S256", "x5u"} {
		delete(members, name)
	}
	issuer, err := members.text("issuer")
	if err != nil {
		return signingKey{}, false
	}
	plain, err := json.Marshal(members)
	if err != nil {
		return signingKey{}, false
	}
	key := signingKey{issuer: issuer}
	if err := key.jwk.UnmarshalJSON(plain); err != nil || !isStrong(key.jwk) {
		return signingKey{}, false
	}
	return key, true
}

// isPrivate finds private members (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1): such a key is known to all and proves nothing.
func isPrivate(members jsonObject) bool {
	return slices.ContainsFunc([]string{"d", "p", "q", "dp", "dq", "qi", "k"}, members.has)
}

func isStrong(jwk jose.JSONWebKey) bool {
	if len(jwk.KeyID) > maxKeyIDBytes || !jwk.Valid() {
		return false
	}
	switch key := jwk.Key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits && (key.E == rsaExponent || key.E == 3)
	case *ecdsa.PublicKey:
		return key.Curve.Params().BitSize == 256
	}
	return false
}

// verifySignature gives the payload of a JWT that one of the server's keys signed (RFC 7515 section 5.2), and that key. go-oidc's
// own key set reads the keys again at every bad signature, without bound.
func (t *trust) verifySignature(ctx context.Context, jwt string, show func(string) string) ([]byte, signingKey, error) {
	var none signingKey
	jws, err := jose.ParseSignedCompact(jwt, t.algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, none, errors.New("it is not a JWT with one signature")
	}
	keys, err := t.keys.get(ctx)
	if err != nil {
		return nil, none, err
	}
	header := jws.Signatures[0].Header
	candidates, known := candidatesFor(keys, header)
	if !known {
		if keys, err = t.keys.again(ctx); err != nil {
			return nil, none, err
		}
		if candidates, known = candidatesFor(keys, header); !known {
			return nil, none, fmt.Errorf("there is no key %s among the server's keys", show(header.KeyID))
		}
	}
	for _, key := range candidates {
		if payload, err := jws.Verify(key.jwk.Key); err == nil {
			return payload, key, nil
		}
	}
	return nil, none, errors.New("its signature is wrong")
}

// candidatesFor gives the keys a token may be signed with: those with its key ID, or all if it has none, of the type its
// algorithm wants.
func candidatesFor(keys []signingKey, header jose.Header) (candidates []signingKey, known bool) {
	for _, key := range keys {
		if header.KeyID != "" && header.KeyID != key.jwk.KeyID {
			continue
		}
		known = true
		if fitsAlgorithm(key.jwk, header.Algorithm) {
			candidates = append(candidates, key)
		}
	}
	return candidates, known
}

// fitsAlgorithm keeps a key to its own kind of signature, so that none is used for another (RFC 8725 section 3.1).
func fitsAlgorithm(jwk jose.JSONWebKey, algorithm string) bool {
	if jwk.Algorithm != "" && jwk.Algorithm != algorithm {
		return false
	}
	switch jwk.Key.(type) {
	case *rsa.PublicKey:
		return algorithm == string(jose.RS256) || algorithm == string(jose.PS256)
	case *ecdsa.PublicKey:
		return algorithm == string(jose.ES256)
	}
	return false
}
