package authcode

import (
	"strings"
	"testing"
)

// Each byte there is, at each place of texts shorter and longer than a word.
func TestWordsAreLookedThroughByteByByte(t *testing.T) {
	for length := 1; length <= 2*wordBytes+3; length++ {
		for at := range length {
			for c := range 256 {
				text := []byte(strings.Repeat("~", length))
				text[at] = byte(c)
				if got, want := isVSCHAR(string(text)), c >= 0x20 && c <= 0x7e; got != want {
					t.Fatalf("isVSCHAR(%q) = %v", text, got)
				}
				want := length / wordBytes * wordBytes
				if c < 0x20 || c == '"' || c == '\\' {
					want = min(want, at/wordBytes*wordBytes)
				}
				if got := plainLength(text); got != want {
					t.Fatalf("plainLength(%q) = %d, want %d", text, got, want)
				}
			}
		}
	}
}
