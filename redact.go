package authcode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	mask             = "[redacted]"
	maxDescription   = 512 // characters of a server's text in an error
	minMaskedSecret  = 4   // shorter values would mask innocent text
	maxProtocolField = 100 // characters of an error code or an ID
)

// redactor takes the secrets of one request out of text that others wrote: error descriptions, transport errors,
// copies of answers. Servers and proxies do repeat what they were sent, each in its own spelling.
type redactor struct{ secrets *regexp.Regexp }

func newRedactor(secrets ...string) redactor {
	// The longest first: a secret that contains another must not be left half masked.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var patterns []string
	for _, secret := range secrets {
		if len(secret) >= minMaskedSecret {
			patterns = append(patterns, spellings(secret))
		}
	}
	if patterns == nil {
		return redactor{}
	}
	all, err := regexp.Compile(strings.Join(patterns, "|"))
	if err != nil {
		return redactor{everything}
	}
	return redactor{all}
}

var everything = regexp.MustCompile(`(?s).+`) // should a pattern ever not compile

// spellings is a pattern of the ways a secret shows up in other text: as it is, or with some of its characters form- or
// percent-encoded, escaped for JSON, Go or JavaScript, or as HTML.
func spellings(secret string) string {
	var pattern strings.Builder
	for _, r := range secret {
		if r < utf8.RuneSelf && isUnreserved(byte(r)) {
			pattern.WriteString(regexp.QuoteMeta(string(r)))
			continue
		}
		fmt.Fprintf(&pattern, "(?:%s)", strings.Join(spellingsOf(r), "|"))
	}
	return pattern.String()
}

func spellingsOf(r rune) []string {
	quoted := regexp.QuoteMeta(string(r))
	all := []string{
		`\\?` + quoted,
		"(?i:%" + strings.ReplaceAll(fmt.Sprintf("% X", string(r)), " ", "%") + ")",
		fmt.Sprintf(`(?i:\\u%04x|\\x%02x|&#x0*%x;|&#0*%d;)`, r, r, r, r),
	}
	if entity := html.EscapeString(string(r)); entity != string(r) {
		all = append(all, regexp.QuoteMeta(entity))
	}
	switch r {
	case ' ':
		all = append(all, `\+`)
	case '"':
		all = append(all, "&quot;")
	case '\'':
		all = append(all, "&apos;")
	}
	return all
}

func (r redactor) text(s string) string {
	if r.secrets == nil {
		return s
	}
	return r.secrets.ReplaceAllString(s, mask)
}

// line makes a server's text safe to print: secrets masked, one line, no control characters (a log could be
// forged, a terminal steered), cut.
func (r redactor) line(s string, most int) string {
	s = r.text(s)
	var b strings.Builder
	n := 0
	for _, c := range s {
		if n == most {
			b.WriteRune('…')
			break
		}
		n++
		switch {
		case c == '\n' || c == '\r' || c == '\t' || c == '\u2028' || c == '\u2029':
			b.WriteRune(' ')
		case unicode.IsControl(c) || c == utf8.RuneError || unicode.Is(unicode.Cf, c):
			b.WriteRune('?')
		default:
			b.WriteRune(c)
		}
	}
	return strings.TrimSpace(b.String())
}

func (r redactor) header(h http.Header) http.Header {
	clean := make(http.Header, len(h))
	for name, values := range h {
		for _, value := range values {
			clean.Add(name, r.text(value))
		}
	}
	return clean
}

// error hides secrets in an error of the transport or of a callback. One whose chain is clean is returned as it
// is; another keeps its masked text and answers errors.Is for the two context errors alone.
func (r redactor) error(err error) error {
	if err == nil || r.secrets == nil {
		return err
	}
	text := fmt.Sprintf("%v\n%+v\n%#v", err, err, err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += "\n" + e.Error()
	}
	if r.text(text) == text {
		return err
	}
	masked := &maskedError{text: r.text(err.Error())}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			masked.is = known
		}
	}
	return masked
}

type maskedError struct {
	text string
	is   error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.is }

// formatAs prints text for every verb: the String, GoString and Format of types that hold secrets, so that %v, %+v
// and %#v show none of their fields.
func formatAs(state fmt.State, verb rune, text string) {
	if verb == 'q' {
		text = fmt.Sprintf("%q", text)
	}
	_, _ = fmt.Fprint(state, text)
}

// marshalAs is the JSON of types that hold secrets.
func marshalAs(text string) ([]byte, error) { return json.Marshal(text) }
