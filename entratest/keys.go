package entratest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // x5t is a SHA-1 thumbprint, RFC 7517 section 4.8
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// rsaKey is a key pair with the self-signed certificate Entra publishes beside each key.
type rsaKey struct {
	private     *rsa.PrivateKey
	certificate *x509.Certificate
}

// firstKey is the key every emulator of this process starts with. Making a 2048-bit key takes up to a second, and a
// test run makes hundreds of emulators; what tells them apart is the origin, in issuers and in key IDs.
var firstKey = sync.OnceValues(newRSAKey)

func newRSAKey() (*rsaKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("entratest: signing key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "entratest signing"},
		// Wide dates: in a testing/synctest bubble the year is 2000.
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("entratest: signing certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("entratest: signing certificate: %w", err)
	}
	return &rsaKey{private: private, certificate: certificate}, nil
}

// signingKey is an RSA key in the service of one emulator.
type signingKey struct {
	id     string
	key    *rsaKey
	signer jose.Signer
}

// forOrigin gives the key an ID of its own per emulator, so that a token of one is of no use at another although
// they share the key.
func (k *rsaKey) forOrigin(origin string) *signingKey {
	digest := sha256.Sum256(append([]byte(origin+"\x00"), k.certificate.Raw...))
	id := base64.RawURLEncoding.EncodeToString(digest[:20])
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.private, KeyID: id}},
		(&jose.SignerOptions{}).WithType("JWT"),
	)
	if err != nil {
		panic(fmt.Sprintf("entratest: go-jose refuses an RSA key: %v", err))
	}
	return &signingKey{id: id, key: k, signer: signer}
}

// sign makes a compact JWT.
func (k *signingKey) sign(claims map[string]any) (string, error) {
	token, err := jwt.Signed(k.signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("entratest: signing: %w", err)
	}
	return token, nil
}

// published is the key as Entra's JWKS shows it: with certificate and thumbprint, without alg.
func (k *signingKey) published() map[string]any {
	public := k.key.private.PublicKey
	thumbprint := sha1.Sum(k.key.certificate.Raw)
	return map[string]any{
		"kty": "RSA",
		"use": "sig",
		"kid": k.id,
		"x5t": base64.RawURLEncoding.EncodeToString(thumbprint[:]),
		"n":   base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
		"e":   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
		"x5c": []string{base64.StdEncoding.EncodeToString(k.key.certificate.Raw)},
	}
}

// keyRing holds the key that signs, those the JWKS shows, and the retired ones: resource servers keep keys they have
// seen, so tokens signed before a rotation stay good at [Emulator.VerifyAccessToken].
type keyRing struct {
	current   atomic.Pointer[signingKey]
	published atomic.Pointer[[]*signingKey]
	all       sync.Map // key ID to *signingKey

	rotating sync.Mutex
	next     *signingKey // published before its time; nil: none
}

// replace makes a key the one that signs, and the JWKS show it and those that stay. The JWKS has it before the first
// token does.
func (r *keyRing) replace(k *signingKey, stay ...*signingKey) {
	r.all.Store(k.id, k)
	all := append([]*signingKey{k}, stay...)
	r.published.Store(&all)
	r.current.Store(k)
}

func (r *keyRing) find(id string) *signingKey {
	if k, ok := r.all.Load(id); ok {
		return k.(*signingKey)
	}
	return nil
}

// PublishNextKey adds a key to the JWKS that signs nothing yet, as Entra does days before it rotates; the next
// [Emulator.RotateKeys] signs with it. While one waits, publishing again does nothing. It panics if the system has no
// entropy.
func (e *Emulator) PublishNextKey() {
	r := &e.keys
	r.rotating.Lock()
	defer r.rotating.Unlock()
	if r.next != nil {
		return
	}
	r.next = newSigningKey(e.origin)
	r.all.Store(r.next.id, r.next)
	all := append(slices.Clone(*r.published.Load()), r.next)
	r.published.Store(&all)
}

// RotateKeys starts a new signing key. After [Emulator.PublishNextKey] it is the rotation Entra plans: the key that was
// published ahead signs, and the old one stays in the JWKS until the next RotateKeys. Without, it is a rollover in an
// emergency: a key nobody has seen signs, and the old one leaves the JWKS at once. It panics if the system has no
// entropy.
func (e *Emulator) RotateKeys() {
	r := &e.keys
	r.rotating.Lock()
	defer r.rotating.Unlock()
	if r.next == nil {
		r.replace(newSigningKey(e.origin))
		return
	}
	r.replace(r.next, r.current.Load())
	r.next = nil
}

// newSigningKey makes a key for one emulator.
func newSigningKey(origin string) *signingKey {
	key, err := newRSAKey()
	if err != nil {
		panic(err)
	}
	return key.forOrigin(origin)
}
