package authcode

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Sealer encrypts what this package hands out for keeping. It is the method set of tink.AEADWithContext, so that a
// key in a key management service fits as it is.
type Sealer interface {
	// EncryptWithContext seals plaintext. associatedData is authenticated and not encrypted.
	EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error)
	// DecryptWithContext opens what EncryptWithContext made with the same associatedData, or fails. An error that
	// wraps ErrBrokenSeal makes a record's user sign in again; any other may be a key service that is away, and counts as
	// the store being unavailable.
	DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error)
}

const (
	sealVersion    = 1
	sealKeyBytes   = 32
	sealKeyIDBytes = 4
	sealNonceBytes = 12
	sealHeader     = 1 + sealKeyIDBytes
)

// NewSealer makes a Sealer of 32-byte keys: the first seals, all open, which is how keys are rotated (put the new one
// in front, drop the old one when nothing sealed with it is left). A sealed text is a version byte, the key's ID, a
// nonce, and AES-256-GCM under a key derived for its associated data (HKDF-SHA256, RFC 5869), so that GCM's limit of
// 2^32 texts counts per record and not for all.
//
// Errors: no key, or a key of another length. Make keys with crypto/rand and keep them where secrets are kept.
func NewSealer(keys ...[]byte) (Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("authcode: NewSealer needs a key of 32 random bytes")
	}
	s := &sealer{}
	for i, key := range keys {
		if len(key) != sealKeyBytes {
			return nil, fmt.Errorf("authcode: key %d of NewSealer has %d bytes, not 32: use 32 random bytes, decoded if they are kept as text", i, len(key))
		}
		s.keys = append(s.keys, newSealKey(key))
	}
	return s, nil
}

// ErrBrokenSeal means that no key would open a sealed text: it was changed, cut off, or made for something else. A Sealer of
// NewSealer gives it; any other error may be a key service that is away.
var ErrBrokenSeal = errors.New("authcode: the sealed text does not open: it was changed, or made for something else")

type sealer struct{ keys []sealKey }

type sealKey struct {
	id     [sealKeyIDBytes]byte
	secret []byte
}

func newSealKey(secret []byte) sealKey {
	k := sealKey{secret: append([]byte(nil), secret...)}
	sum := sha256.Sum256(append([]byte("authcode key ID\x00"), secret...))
	copy(k.id[:], sum[:])
	return k
}

func newProcessSealer() Sealer {
	key := make([]byte, sealKeyBytes)
	_, _ = rand.Read(key)
	return &sealer{keys: []sealKey{newSealKey(key)}}
}

// aead derives the key of one associated data.
func (k sealKey) aead(associatedData []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, k.secret, nil, "authcode seal v1\x00"+string(associatedData), sealKeyBytes)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (s *sealer) EncryptWithContext(_ context.Context, plaintext, associatedData []byte) ([]byte, error) {
	key := s.keys[0]
	aead, err := key.aead(associatedData)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, 0, sealHeader+sealNonceBytes+len(plaintext)+aead.Overhead())
	sealed = append(sealed, sealVersion)
	sealed = append(sealed, key.id[:]...)
	nonce := make([]byte, sealNonceBytes)
	_, _ = rand.Read(nonce)
	sealed = append(sealed, nonce...)
	return aead.Seal(sealed, nonce, plaintext, associatedData), nil
}

func (s *sealer) DecryptWithContext(_ context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	if len(ciphertext) < sealHeader+sealNonceBytes {
		return nil, fmt.Errorf("%w (it is cut off)", ErrBrokenSeal)
	}
	if ciphertext[0] != sealVersion {
		return nil, fmt.Errorf("authcode: the sealed text has version %d, which this version of the package does not know", ciphertext[0])
	}
	id := [sealKeyIDBytes]byte(ciphertext[1:sealHeader])
	rest := ciphertext[sealHeader:]
	known := false
	for _, key := range s.keys {
		if key.id != id {
			continue
		}
		known = true
		aead, err := key.aead(associatedData)
		if err != nil {
			return nil, err
		}
		if plaintext, err := aead.Open(nil, rest[:sealNonceBytes], rest[sealNonceBytes:], associatedData); err == nil {
			return plaintext, nil
		}
	}
	if !known {
		return nil, fmt.Errorf("authcode: the sealed text is under key %x, which is not among the Sealer's keys", id)
	}
	return nil, ErrBrokenSeal
}

const sealerText = "authcode.Sealer(" + mask + ")"

// Format prints no key.
func (s *sealer) Format(state fmt.State, verb rune) { formatAs(state, verb, sealerText) }

// MarshalJSON gives no key.
func (s *sealer) MarshalJSON() ([]byte, error) { return marshalAs(sealerText) }
