package entratest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// shownParameters are those whose values the console shows. All others it hides, the unknown ones too: codes, verifiers,
// tokens, assertions, secrets and passwords, and whatever an app keeps in its state.
var shownParameters = []string{
	"another", "cancel", "claims", "client_assertion_type", "client_id", "client_info", "code_challenge",
	"code_challenge_method", "domain_hint", "emulator_user", "error", "error_description", "grant_type", "haschrome",
	"loginfmt", "login_hint", "max_age", "post_logout_redirect_uri", "prompt", "redirect_uri", "requested_token_use",
	"resource", "response_mode", "response_type", "scope", "ui_locales",
}

// shownHeaders are the same among headers: never Authorization or Cookie, nor a Referer, which can hold a query.
var shownHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Client-Request-Id", "Content-Length", "Content-Type", "Origin",
	"Return-Client-Request-Id", "User-Agent",
}

// harmless reports whether a parameter's value may be shown. MSAL's telemetry says what kind of client it is.
func harmless(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(shownParameters, name) || isTelemetry(name)
}

func harmlessHeader(name string) bool {
	return slices.Contains(shownHeaders, name) || isTelemetry(strings.ToLower(name)) || strings.HasPrefix(name, "Sec-Fetch-")
}

func isTelemetry(name string) bool {
	return slices.Contains([]string{"x-client-sku", "x-client-ver", "x-client-os", "x-client-cpu", "x-client-os-ver"}, name)
}

// secretShaped is what tokens, codes and assertions of any origin look like: a client may send one in a wrong place.
var secretShaped = regexp.MustCompile(`eyJ[\w-]{8}[\w.-]*|\b1\.[\w-]{40,}`)

// leastSecret is how long a hidden value must be to be looked for elsewhere: short ones are words, too.
const leastSecret = 12

// masking hides the secrets of one request.
type masking struct {
	key     []byte
	secrets []string // the longest first
}

func (c *console) masking(r *Request) *masking {
	m := &masking{key: c.key}
	for _, values := range []url.Values{r.Query, r.Form} {
		m.gather(values, harmless)
	}
	m.gather(r.Header, harmlessHeader)
	slices.SortFunc(m.secrets, func(a, b string) int { return len(b) - len(a) })
	return m
}

func (m *masking) gather(values map[string][]string, shown func(string) bool) {
	for name, all := range values {
		for _, value := range all {
			if !shown(name) && len(value) >= leastSecret {
				m.secrets = append(m.secrets, value)
			}
		}
	}
}

// text is text of the request or about it, without its secrets.
func (m *masking) text(s string) string {
	for _, secret := range m.secrets {
		if strings.Contains(s, secret) {
			s = strings.ReplaceAll(s, secret, "["+m.mark(secret)+"]")
		}
	}
	return secretShaped.ReplaceAllStringFunc(s, func(secret string) string { return "[" + m.mark(secret) + "]" })
}

// mark says of a hidden value how long it is, and whether it is the same as another: a keyed digest, of which nobody
// without this emulator's key can tell what it was made of.
func (m *masking) mark(value string) string {
	if value == "" {
		return "empty"
	}
	digest := hmac.New(sha256.New, m.key)
	digest.Write([]byte(value))
	return fmt.Sprintf("hidden #%s, %d characters", hex.EncodeToString(digest.Sum(nil)[:3]), utf8.RuneCountInString(value))
}
