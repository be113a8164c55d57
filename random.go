package authcode

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
)

const randomBytes = 32 // 256 bits: state, nonce and verifier (RFC 7636 section 7.1)

// newRandom gives 43 URL-safe characters. crypto/rand never fails: it ends the process instead.
func newRandom() string {
	var b [randomBytes]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newUUID gives a random UUID (RFC 9562 section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return formatGUID(b)
}

func formatGUID(b [16]byte) string {
	text := hex.AppendEncode(make([]byte, 0, 36), b[:4])
	for _, part := range [...][]byte{b[4:6], b[6:8], b[8:10], b[10:]} {
		text = hex.AppendEncode(append(text, '-'), part)
	}
	return string(text)
}
