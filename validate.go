package authcode

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/authcode-go/authcode/internal/flight"
)

const (
	maxTenantBytes   = 253       // a DNS name
	maxClientIDBytes = 1024      // Entra's are GUIDs; other servers use URLs
	maxCodeBytes     = 16 << 10  // Entra's codes are 1 to 2 KB
	maxTokenBytes    = 512 << 10 // of a refresh token given to ImportRefreshToken
	maxScopesBytes   = 16 << 10
)

// checkTenantID accepts what azidentity does (letters, digits, '.' and '-'), less what can only be a path trick.
func checkTenantID(tenantID string) error {
	if tenantID == "" || !isAlphanumeric(tenantID[0]) || len(tenantID) > maxTenantBytes || strings.Contains(tenantID, "..") ||
		!consistsOf(tenantID, func(c byte) bool { return isAlphanumeric(c) || c == '.' || c == '-' }) {
		return fmt.Errorf("invalid tenant ID %s: give the directory (tenant) ID, a verified domain, \"common\" or \"organizations\"", quoted(tenantID))
	}
	return nil
}

func checkClientID(clientID string) error {
	if clientID == "" {
		return errors.New("no client ID: give the application (client) ID of the app registration")
	}
	// RFC 6749 appendix A.1
	if !isVSCHAR(clientID) || strings.TrimSpace(clientID) != clientID || len(clientID) > maxClientIDBytes {
		return fmt.Errorf("invalid client ID %s: give the application (client) ID of the app registration", quoted(clientID))
	}
	return nil
}

// checkCode says what is wrong with a code without repeating it.
func checkCode(code string) error {
	switch {
	case strings.TrimSpace(code) == "":
		return errors.New("no authorization code: give the value of the callback's \"code\" parameter")
	case len(code) > maxCodeBytes:
		return fmt.Errorf("the authorization code has %d bytes, more than %d: give the value of the callback's \"code\" parameter alone", len(code), maxCodeBytes)
	case !isVSCHAR(code): // RFC 6749 appendix A.11
		return errors.New("the authorization code holds control or non-ASCII characters: give the decoded value of the callback's \"code\" parameter")
	}
	return nil
}

// checkCodeVerifier holds a verifier to RFC 7636 section 4.1 without repeating it.
func checkCodeVerifier(verifier string) error {
	if len(verifier) < 43 || len(verifier) > 128 || !consistsOf(verifier, isUnreserved) {
		return errors.New("invalid code verifier: it has 43 to 128 letters, digits, '-', '.', '_' or '~' (RFC 7636 section 4.1); give the verifier, not the challenge")
	}
	return nil
}

// isUnreserved is of RFC 3986 section 2.3.
func isUnreserved(c byte) bool {
	return isAlphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c)
}

// consistsOf reports whether all bytes of s are such.
func consistsOf(s string, such func(byte) bool) bool {
	for i := range len(s) {
		if !such(s[i]) {
			return false
		}
	}
	return true
}

// reservedCallbackParameters are those the server adds to the redirect URI (RFC 6749 section 4.1.2, RFC 9207).
var reservedCallbackParameters = []string{"code", "state", "iss", "error"}

// checkRedirectURI enforces RFC 6749 section 3.1.2 (absolute, no fragment) and RFC 8252 sections 7.1 and 7.3 (http
// on loopback, a native app's own scheme).
func checkRedirectURI(redirectURI string, public bool) error {
	fail := func(why string) error {
		return fmt.Errorf("invalid redirect URI %s: %s", quoted(redirectURI), why)
	}
	if redirectURI == "" {
		return errors.New("no redirect URI: give the one registered for the app, as it was sent to the authorize endpoint")
	}
	if !isVSCHAR(redirectURI) || strings.ContainsAny(redirectURI, " \\") {
		return fail("it holds spaces, backslashes, control or non-ASCII characters")
	}
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme == "" {
		return fail("give an absolute URI, such as https://app.example.com/auth/callback")
	}
	if strings.Contains(redirectURI, "#") {
		return fail("it has a fragment (RFC 6749 section 3.1.2)")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("its query cannot be read")
	}
	for _, name := range reservedCallbackParameters {
		if query.Has(name) {
			return fail(fmt.Sprintf("its query has %q, which the server adds itself", name))
		}
	}
	switch u.Scheme {
	case "https", "http":
		return checkWebRedirectURI(u, fail)
	case "javascript", "data", "file", "vbscript", "blob", "about":
		return fail("its scheme runs or reads content")
	}
	if !public {
		return fail("an app's own scheme is for native apps: use PublicAuth, or https")
	}
	return nil
}

func checkWebRedirectURI(u *url.URL, fail func(string) error) error {
	switch {
	case u.Opaque != "" || u.Hostname() == "":
		return fail("it has no host")
	case u.User != nil:
		return fail("it has user info")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fail("http is for loopback (localhost, 127.0.0.1, ::1) only: use https")
	}
	return nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// checkServerURL accepts an absolute https URL without user info, query or fragment: what an authority and the
// endpoints derived from it must be (RFC 6749 sections 3.1 and 3.2; query is for the caller to allow).
func checkServerURL(raw string, allowQuery bool) (*url.URL, error) {
	if !isVSCHAR(raw) || strings.ContainsAny(raw, " \\") {
		return nil, errors.New("it holds spaces, backslashes, control or non-ASCII characters")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it is not a URL")
	}
	switch {
	case u.Scheme != "https":
		return nil, errors.New("it is not https")
	case u.User != nil:
		return nil, errors.New("it has user info")
	case strings.Contains(raw, "#"):
		return nil, errors.New("it has a fragment")
	case !allowQuery && strings.Contains(raw, "?"):
		return nil, errors.New("it has a query")
	}
	return u, checkHost(u)
}

func checkHost(u *url.URL) error {
	host := u.Hostname()
	switch {
	case host == "":
		return errors.New("it has no host")
	case strings.HasSuffix(host, "."):
		return errors.New("its host ends with a dot")
	case strings.Contains(host, "%"):
		return errors.New("its host has a zone or an escape")
	}
	if !isDNSName(host) {
		if _, err := netip.ParseAddr(host); err != nil {
			return errors.New("its host is not a DNS name or an address")
		}
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("it has no usable port")
		}
	}
	return nil
}

func isDNSName(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		if !consistsOf(label, func(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' }) {
			return false
		}
	}
	return len(host) <= maxTenantBytes
}

// checkScopes holds scopes to RFC 6749 appendix A.4: each one token, no spaces, quotes or backslashes.
func checkScopes(scopes []string) error {
	total := 0
	for _, scope := range scopes {
		total += len(scope)
		if scope == "" {
			return errors.New("invalid scope \"\": leave out empty scopes")
		}
		if !consistsOf(scope, isScopeChar) {
			return fmt.Errorf("invalid scope %s: a scope is one word without spaces, quotes or backslashes; give each as an element of its own", quoted(scope))
		}
	}
	if total > maxScopesBytes {
		return fmt.Errorf("the scopes have %d bytes, more than %d", total, maxScopesBytes)
	}
	return nil
}

// isScopeChar is NQCHAR of RFC 6749 appendix A.
func isScopeChar(c byte) bool {
	return c > 0x20 && c < 0x7f && c != '"' && c != '\\'
}

func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' })
}

// checkContext refuses a nil context, and one that is over before anything was spent for it.
func checkContext(ctx context.Context) error {
	if ctx == nil {
		return errors.New("authcode: the context is nil: pass the request's context, or context.Background()")
	}
	if ctx.Err() != nil {
		return flight.Ended(ctx)
	}
	return nil
}

// quoted prints a value of the caller's in one line, whatever is in it.
func quoted(s string) string {
	const most = 100
	if len(s) > most {
		return fmt.Sprintf("%+q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%+q", s)
}
