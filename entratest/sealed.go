package entratest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Codes, refresh tokens and sign-in sessions are sealed values, as Entra's are: all they stand for is inside, under a
// key of this emulator alone. So the emulator keeps no list of them, and a million sign-ins cost it no memory.
// The kind is associated data, so that a code is no refresh token.
const (
	sealedCode       = "code"
	sealedDeviceCode = "device code"
	sealedRefresh    = "refresh token"
	sealedSession    = "session"
)

func newSealing() cipher.AEAD {
	var key [32]byte
	rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(fmt.Sprintf("entratest: AES-256 refuses a 32-byte key: %v", err))
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(fmt.Sprintf("entratest: GCM refuses AES: %v", err))
	}
	return aead
}

// seal makes an opaque, URL-safe string of v. The prefix is how Entra's begin.
func (e *Emulator) seal(kind string, v any) string {
	plain, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("entratest: cannot marshal a %s: %v", kind, err))
	}
	return "1." + base64.RawURLEncoding.EncodeToString(e.sealing.Seal(nil, nil, plain, []byte(kind)))
}

// unseal reports whether s is a value of this kind that this emulator sealed.
func (e *Emulator) unseal(kind, s string, v any) bool {
	if len(s) < 2 || s[:2] != "1." {
		return false
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(s[2:])
	if err != nil {
		return false
	}
	plain, err := e.sealing.Open(nil, nil, data, []byte(kind))
	return err == nil && json.Unmarshal(plain, v) == nil
}
