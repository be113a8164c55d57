package authcode

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// tokenAnswer is a successful answer of the token endpoint (RFC 6749 section 5.1, OpenID Connect Core 1.0 section
// 3.1.3.3, https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#successful-response-2).
type tokenAnswer struct {
	accessToken  string
	clientInfo   clientInfo
	expiresIn    time.Duration
	idToken      string
	received     time.Time
	redactor     func() redactor // masks what the request sent
	refreshIn    time.Duration   // 0: none
	refreshToken string          // "": none
	scope        string          // granted; "": as asked (RFC 6749 section 5.1)
}

// clientInfo is who the user is in their home directory: the parts of the home account ID.
type clientInfo struct{ uid, utid string }

func (c clientInfo) known() bool { return c.uid != "" && c.utid != "" }

const defaultLifetime = 5 * time.Minute // of a token whose answer does not say

// readAnswer reads a 200. Its error says what is wrong with the answer and repeats nothing of it.
func readAnswer(members jsonObject, received time.Time) (*tokenAnswer, error) {
	a := &tokenAnswer{received: received}
	if err := checkTokenType(members); err != nil {
		return nil, err
	}
	for _, field := range [...]struct {
		name  string
		value *string
	}{
		{"access_token", &a.accessToken},
		{"id_token", &a.idToken},
		{"refresh_token", &a.refreshToken},
		{"scope", &a.scope},
	} {
		value, err := members.text(field.name)
		if err != nil {
			return nil, err
		}
		if !isVSCHAR(value) { // RFC 6749 appendix A.12 and A.17; anything else could split a header
			return nil, fmt.Errorf("its %s holds characters that no token has", field.name)
		}
		*field.value = value
	}
	if a.accessToken == "" || strings.Contains(a.accessToken, " ") {
		return nil, errors.New("it has no usable access_token")
	}
	var err error
	if a.expiresIn, err = lifetimeOf(members, received); err != nil {
		return nil, err
	}
	a.refreshIn = refreshInOf(members, a.expiresIn)
	a.clientInfo = parseClientInfo(members)
	return a, nil
}

// checkTokenType wants Bearer in any case (RFC 6749 sections 5.1 and 7.1).
func checkTokenType(members jsonObject) error {
	tokenType, err := members.text("token_type")
	switch {
	case err != nil:
		return err
	case tokenType == "":
		return errors.New("it has no token_type")
	case !strings.EqualFold(tokenType, "Bearer"):
		return errors.New("its token_type is not Bearer")
	}
	return nil
}

// lifetimeOf reads expires_in, or expires_on of servers that send the time itself.
func lifetimeOf(members jsonObject, received time.Time) (time.Duration, error) {
	if _, sent := members["expires_in"]; sent {
		return members.lifetime("expires_in")
	}
	if !members.has("expires_on") {
		return defaultLifetime, nil
	}
	seconds, err := members.number("expires_on")
	if err != nil {
		return 0, err
	}
	left := seconds - float64(received.Unix())
	if left <= 0 || left >= longestLifetime.Seconds() {
		return 0, errors.New("its expires_on is not within the next 10 years")
	}
	return time.Duration(left) * time.Second, nil
}

// refreshInOf reads a hint, so what makes no sense is ignored.
func refreshInOf(members jsonObject, expiresIn time.Duration) time.Duration {
	if !members.has("refresh_in") {
		return 0
	}
	refreshIn, err := members.lifetime("refresh_in")
	if err != nil || refreshIn >= expiresIn {
		return 0
	}
	return refreshIn
}

// parseClientInfo reads base64url JSON; what cannot be read counts as not sent, the ID token is the other source.
func parseClientInfo(members jsonObject) clientInfo {
	encoded, err := members.text("client_info")
	if err != nil || encoded == "" {
		return clientInfo{}
	}
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return clientInfo{}
	}
	inner, err := parseObject(decoded)
	if err != nil {
		return clientInfo{}
	}
	uid, err1 := inner.text("uid")
	utid, err2 := inner.text("utid")
	if err1 != nil || err2 != nil || !isPlainID(uid) || !isPlainID(utid) {
		return clientInfo{}
	}
	return clientInfo{uid: uid, utid: utid}
}

// isPlainID keeps what ends up in an account ID and a header to what Entra's IDs are made of.
func isPlainID(s string) bool {
	return s != "" && len(s) <= 128 && consistsOf(s, func(c byte) bool { return isUnreserved(c) && c != '.' })
}

// checkContentType refuses answers that are pages or are still encoded. A missing type is tolerated.
func checkContentType(header http.Header) error {
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return errors.New("it has a Content-Encoding that was not asked for")
	}
	contentType := header.Get("Content-Type")
	if contentType == "" {
		return nil
	}
	mediaType, _, _ := strings.Cut(contentType, ";")
	if mediaType = strings.TrimSpace(mediaType); strings.EqualFold(mediaType, "text/html") || strings.EqualFold(mediaType, "application/xhtml+xml") {
		return errors.New("it is an HTML page; is the authority right, or a proxy in between?")
	}
	return nil
}

// readServerError reads the fields of an error answer (RFC 6749 section 5.2 and Entra's own), masked and cut. It
// reports whether the answer is an error at all.
func readServerError(members jsonObject, redactor func() redactor) (*AuthenticationFailedError, bool) {
	code := members.lenientText("error")
	if code == "" || !members.has("error") {
		return nil, false
	}
	r := redactor()
	field := func(name string) string { return r.line(members.lenientText(name), maxProtocolField) }
	return &AuthenticationFailedError{
		Claims:        serverClaims(members, r),
		Code:          r.line(code, maxProtocolField),
		CorrelationID: field("correlation_id"),
		Description:   r.line(members.lenientText("error_description"), maxDescription),
		STSCodes:      stsCodes(members),
		Suberror:      field("suberror"),
		TraceID:       field("trace_id"),
	}, true
}

const maxClaimsBytes = 16 << 10

// serverClaims gives the challenge only if it is one: a JSON object. It goes to the authorize endpoint as it is, so
// a masked one would be useless and is dropped.
func serverClaims(members jsonObject, r redactor) string {
	claims := members.lenientText("claims")
	if len(claims) > maxClaimsBytes || r.text(claims) != claims {
		return ""
	}
	if _, err := parseObject([]byte(claims)); claims == "" || err != nil {
		return ""
	}
	return claims
}

const maxSTSCodes = 16

func stsCodes(members jsonObject) []int {
	if !members.has("error_codes") {
		return nil
	}
	var codes []int
	for part := range strings.SplitSeq(strings.Trim(string(members["error_codes"]), "[]"), ",") {
		var code int
		if _, err := fmt.Sscanf(strings.Trim(part, "\" \t\r\n"), "%d", &code); err == nil && len(codes) < maxSTSCodes {
			codes = append(codes, code)
		}
	}
	return codes
}

// show prints a value that came with the answer, masked: before it is cut, or half a secret would be left.
func (a *tokenAnswer) show(s string) string {
	r := newRedactor(a.accessToken, a.refreshToken, a.idToken)
	return quoted(a.redactor().text(r.text(s)))
}

// claims reads the ID token, if there is one, without verifying it. One that cannot be read counts as not sent: the access
// token is what a plain credential and a refresh are for.
func (a *tokenAnswer) claims() *idClaims {
	if a.idToken == "" {
		return nil
	}
	claims, err := parseIDToken(a.idToken)
	if err != nil {
		return nil
	}
	return claims
}
