package authcode

import "encoding/binary"

// Tokens are long: text is looked through eight bytes at a time, as one number
// (https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord).
const (
	wordBytes = 8
	eachByte  = 0x0101010101010101
	topBits   = eachByte << 7
)

// anyBelow is not 0 if a byte of word is below limit, at most 128.
func anyBelow(word, limit uint64) uint64 { return (word - eachByte*limit) &^ word & topBits }

// anyIs is not 0 if a byte of word is c.
func anyIs(word uint64, c byte) uint64 { return anyBelow(word^eachByte*uint64(c), 1) }

// isVSCHAR reports whether s has only VSCHAR of RFC 6749 appendix A: printable ASCII.
func isVSCHAR(s string) bool {
	text := []byte(s) // not a copy: it is only read
	for ; len(text) >= wordBytes; text = text[wordBytes:] {
		word := binary.LittleEndian.Uint64(text)
		if word&topBits|anyBelow(word, 0x20)|anyIs(word, 0x7f) != 0 {
			return false
		}
	}
	for _, c := range text {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

// plainLength is how much of text, in whole words, can stand in a JSON string as it is.
func plainLength(text []byte) int {
	n := 0
	for ; n+wordBytes <= len(text); n += wordBytes {
		word := binary.LittleEndian.Uint64(text[n:])
		if anyBelow(word, 0x20)|anyIs(word, '"')|anyIs(word, '\\') != 0 {
			break
		}
	}
	return n
}
