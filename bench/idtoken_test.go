package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// signer signs ID tokens that App.Redeem and App.ImportRefreshToken accept.
type signer struct {
	algorithm string
	issuer    string
	jwk       string
	sign      func(digest []byte) ([]byte, error)
}

var base64URL = base64.RawURLEncoding

// newRSASigner signs as Entra ID does.
func newRSASigner(issuer string) (*signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	jwk := fmt.Sprintf(`{"kty":"RSA","use":"sig","kid":"bench","n":%q,"e":%q}`,
		base64URL.EncodeToString(key.N.Bytes()), base64URL.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
	return &signer{"RS256", issuer, jwk, func(digest []byte) ([]byte, error) {
		return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest)
	}}, nil
}

// newECSigner signs 40 times as fast, for setting up many accounts whose signature is not what is measured.
func newECSigner(issuer string) (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	x, y := public[1:33], public[33:] // SEC 1 section 2.3.3: 4, x, y
	jwk := fmt.Sprintf(`{"kty":"EC","crv":"P-256","use":"sig","kid":"bench","x":%q,"y":%q}`, base64URL.EncodeToString(x), base64URL.EncodeToString(y))
	return &signer{"ES256", issuer, jwk, func(digest []byte) ([]byte, error) {
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 64) // RFC 7518 section 3.4
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature, nil
	}}, nil
}

func (s *signer) jwks() []byte { return []byte(`{"keys":[` + s.jwk + `]}`) }

// claims are those of Entra ID's version 2 ID tokens, filled up to the usual size.
func (s *signer) claims(user int, nonce string) ([]byte, error) {
	now := time.Now().Unix()
	claims := map[string]any{
		"aud": clientID, "iss": s.issuer, "tid": tenantID, "ver": "2.0",
		"iat": now, "nbf": now, "exp": now + 3900,
		"oid": objectID(user), "sub": "s" + objectID(user), "name": "User of the Benchmark",
		"preferred_username": fmt.Sprintf("user%d@contoso.example", user),
		"rh":                 strings.Repeat("x", 40),
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return json.Marshal(claims)
}

func (s *signer) idToken(user int, nonce string) (string, error) {
	claims, err := s.claims(user, nonce)
	if err != nil {
		return "", err
	}
	head := base64URL.EncodeToString(fmt.Appendf(nil, `{"typ":"JWT","alg":%q,"kid":"bench"}`, s.algorithm))
	signed := head + "." + base64URL.EncodeToString(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := s.sign(digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64URL.EncodeToString(signature), nil
}
