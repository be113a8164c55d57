package authcode

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
)

// CertificateAuthOptions are the optional parts of [CertificateAuth]. The zero value is what Entra ID expects.
type CertificateAuthOptions struct {
	// Audience is the assertion's "aud". Empty: the token endpoint, as Entra wants; RFC 10070 wants the issuer.
	Audience string
	// SendCertificateChain puts the certificates into the assertion's header (x5c), for apps registered by
	// subject name and issuer, so that a renewed certificate works at once. The zero value sends the thumbprint
	// alone.
	SendCertificateChain bool
}

const (
	minRSABits        = 2048
	assertionLifetime = 10 * time.Minute
)

// CertificateAuth authenticates with a JWT signed by a certificate's private key, new for every request
// (https://learn.microsoft.com/entra/identity-platform/certificate-credentials): PS256 with x5t#S256, and for AD FS
// RS256 with x5t.
//
// certs holds the app's certificate and, if it is to be sent, its chain, in any order; key is the private key of one
// of them: an *rsa.PrivateKey, or a crypto.Signer of one that stays in a vault or HSM. Errors: no certificate, no
// key, a key that belongs to none of them, that is not RSA or has under 2048 bits, a certificate out of its dates.
func CertificateAuth(certs []*x509.Certificate, key crypto.PrivateKey, options *CertificateAuthOptions) (ClientAuth, error) {
	if options == nil {
		options = &CertificateAuthOptions{}
	}
	signer, public, err := rsaSigner(key)
	if err != nil {
		return nil, fmt.Errorf("authcode: %w", err)
	}
	chain, err := chainOf(certs, public)
	if err != nil {
		return nil, fmt.Errorf("authcode: %w", err)
	}
	if options.Audience != "" && !isVSCHAR(options.Audience) {
		return nil, fmt.Errorf("authcode: invalid audience %s", quoted(options.Audience))
	}
	return &certificateAuth{chain: chain, signer: signer, options: *options}, nil
}

func rsaSigner(key crypto.PrivateKey) (crypto.Signer, *rsa.PublicKey, error) {
	if key == nil {
		return nil, nil, errors.New("the certificate has no private key: pass its *rsa.PrivateKey or a crypto.Signer")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("a private key of type %T cannot sign: pass an *rsa.PrivateKey or a crypto.Signer", key)
	}
	found := publicOf(signer)
	public, ok := found.(*rsa.PublicKey)
	switch {
	case found == nil:
		return nil, nil, fmt.Errorf("the certificate's private key is a nil or empty %T: pass the key itself", key)
	case !ok:
		return nil, nil, fmt.Errorf("the private key is %T, and Entra takes RSA alone: use an RSA certificate", key)
	case public.N == nil || public.N.BitLen() < minRSABits:
		return nil, nil, fmt.Errorf("the RSA key has fewer than %d bits: use a larger one", minRSABits)
	}
	return signer, public, nil
}

// publicOf gives nil for a key that is nil or empty inside, where Public panics.
func publicOf(signer crypto.Signer) (public crypto.PublicKey) {
	defer func() {
		if recover() != nil {
			public = nil
		}
	}()
	return signer.Public()
}

// chainOf gives the certificates with the key's own first, as x5c wants them (RFC 7515 section 4.1.6).
func chainOf(certs []*x509.Certificate, public *rsa.PublicKey) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, cert := range certs {
		if cert == nil {
			return nil, errors.New("a certificate is nil: pass parsed certificates")
		}
		if certKey, ok := cert.PublicKey.(*rsa.PublicKey); ok && public.Equal(certKey) && chain == nil {
			chain = append(chain, cert)
		}
	}
	switch {
	case len(certs) == 0:
		return nil, errors.New("no certificate: pass the one that is registered for the app")
	case chain == nil:
		return nil, errors.New("the private key belongs to none of the certificates: pass the pair that is registered for the app")
	}
	leaf := chain[0]
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		return nil, fmt.Errorf("the certificate expired on %s: register a new one", leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return nil, fmt.Errorf("the certificate is not valid before %s: check the clock", leaf.NotBefore.UTC().Format(time.DateTime))
	}
	for _, cert := range certs {
		if !bytes.Equal(cert.Raw, leaf.Raw) {
			chain = append(chain, cert)
		}
	}
	return chain, nil
}

type certificateAuth struct {
	chain   []*x509.Certificate
	signer  crypto.Signer
	options CertificateAuthOptions
}

func (a *certificateAuth) check() error { return nil }

func (a *certificateAuth) apply(_ context.Context, r *authRequest) error {
	assertion, err := a.sign(r)
	if err != nil {
		return fmt.Errorf("signing the client assertion failed: %w", err)
	}
	r.setAssertion(assertion)
	return nil
}

// sign makes an assertion as RFC 7523 section 3 describes it; its jti is new each time, so that a server which
// refuses replays accepts a retry.
func (a *certificateAuth) sign(r *authRequest) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: algorithmFor(r.adfs), Key: cryptosigner.Opaque(hashSalt{a.signer})},
		a.header(r.adfs),
	)
	if err != nil {
		return "", err
	}
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"aud": cmp.Or(a.options.Audience, r.tokenURL),
		"iss": r.clientID,
		"sub": r.clientID,
		"jti": newUUID(),
		"nbf": now.Unix(),
		"iat": now.Unix(),
		"exp": now.Add(assertionLifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// hashSalt signs PSS with a salt as long as the hash, which RFC 7518 section 3.5 demands and servers check; go-jose leaves the
// length to the signer, which takes the longest that fits.
type hashSalt struct{ crypto.Signer }

func (s hashSalt) Sign(random io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if pss, ok := options.(*rsa.PSSOptions); ok {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: pss.Hash}
	}
	return s.Signer.Sign(random, digest, options)
}

func algorithmFor(adfs bool) jose.SignatureAlgorithm {
	if adfs {
		return jose.RS256
	}
	return jose.PS256
}

func (a *certificateAuth) header(adfs bool) *jose.SignerOptions {
	options := (&jose.SignerOptions{}).WithType("JWT")
	if adfs {
		thumbprint := sha1.Sum(a.chain[0].Raw) // x5t is SHA-1 by definition (RFC 7515 section 4.1.7)
		options = options.WithHeader("x5t", base64.RawURLEncoding.EncodeToString(thumbprint[:]))
	} else {
		thumbprint := sha256.Sum256(a.chain[0].Raw)
		options = options.WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(thumbprint[:]))
	}
	if a.options.SendCertificateChain {
		chain := make([]string, len(a.chain))
		for i, cert := range a.chain {
			chain[i] = base64.StdEncoding.EncodeToString(cert.Raw)
		}
		options = options.WithHeader("x5c", chain)
	}
	return options
}

func (a *certificateAuth) Format(state fmt.State, verb rune) {
	formatAs(state, verb, fmt.Sprintf("authcode.CertificateAuth(%s)", a.chain[0].Subject))
}

func (a *certificateAuth) MarshalJSON() ([]byte, error) { return marshalAs(fmt.Sprint(a)) }
