package entratest

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
)

// token is the token endpoint, RFC 6749 section 3.2.
func (e *Emulator) token(x *exchange) *reply {
	r := e.tokenAnswer(x)
	if origin := x.request.Header.Get("Origin"); origin != "" {
		// Single-page apps redeem from the browser, and have to read the errors as well.
		r.set("Access-Control-Allow-Origin", origin)
		r.set("Vary", "Origin")
	}
	return r
}

func (e *Emulator) tokenAnswer(x *exchange) *reply {
	switch x.request.Method {
	case http.MethodPost:
	case http.MethodOptions:
		return preflight(x)
	default:
		refusal := refuse("invalid_request", 900561, "POST, OPTIONS", x.request.Method)
		refusal.status = http.StatusMethodNotAllowed
		r := e.refusal(x, refusal)
		r.set("Allow", "POST, OPTIONS")
		return r
	}
	i, refusal := e.redeem(x)
	if refusal != nil {
		return e.refusal(x, refusal)
	}
	x.now = x.now.Add(x.fault.skew())
	answer, err := e.mint(x, i)
	if err != nil {
		return e.refusal(x, &oauthError{status: http.StatusInternalServerError, code: "server_error", text: err.Error()})
	}
	return e.json(x, http.StatusOK, answer)
}

func preflight(x *exchange) *reply {
	r := &reply{status: http.StatusNoContent}
	r.set("Access-Control-Allow-Methods", "POST, OPTIONS")
	r.set("Access-Control-Allow-Headers", cmp.Or(x.request.Header.Get("Access-Control-Request-Headers"), "content-type"))
	return r
}

// redeem checks a token request and finds out what to issue for it.
func (e *Emulator) redeem(x *exchange) (*issue, *oauthError) {
	switch {
	case x.unreadable != nil:
		return nil, x.unreadable
	case !x.known:
		return nil, refuse("invalid_request", 90002, x.authority.alias)
	}
	if refusal := duplicate(x.form); refusal != nil {
		return nil, refusal
	}
	if refusal := missing(x.form, "grant_type"); refusal != nil {
		return nil, refusal
	}
	c, refusal := e.authenticate(x)
	if refusal != nil {
		return nil, refusal
	}
	// Taken before any check of the user: a revocation that comes between check and issue hits these tokens too.
	sequence := e.sequence.Add(1)
	var i *issue
	switch grantType := x.form.Get("grant_type"); grantType {
	case "authorization_code":
		i, refusal = e.redeemCode(x, c)
	case "refresh_token":
		i, refusal = e.redeemRefreshToken(x, c)
	case "urn:ietf:params:oauth:grant-type:device_code", "device_code": // MSAL for Go and older libraries say it short
		i, refusal = e.redeemDeviceCode(x, c)
	case "client_credentials":
		i, refusal = e.issueToApp(x, c)
	case onBehalfOfGrant:
		i, refusal = e.redeemOnBehalfOf(x, c)
	default:
		return nil, refuse("unsupported_grant_type", 70003, grantType)
	}
	if refusal != nil {
		return nil, refusal
	}
	i.sequence = sequence
	return i, nil
}

// missing names the first parameter that is not there.
func missing(form url.Values, names ...string) *oauthError {
	for _, name := range names {
		if form.Get(name) == "" {
			return refuse("invalid_request", 900144, name)
		}
	}
	return nil
}

// checkVerifier compares a code verifier with the challenge, RFC 7636 section 4.6. A verifier without a challenge is
// refused: somebody stripped the challenge, RFC 9700 section 4.8.2.
func checkVerifier(challenge, method, verifier string) *oauthError {
	switch {
	case verifier != "" && !challengePattern.MatchString(verifier):
		return refuse("invalid_grant", 50147)
	case !verifierFits(challenge, method, verifier):
		return refuse("invalid_grant", 501481)
	}
	return nil
}

func verifierFits(challenge, method, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	derived := verifier
	if method == "S256" {
		digest := sha256.Sum256([]byte(verifier))
		derived = base64.RawURLEncoding.EncodeToString(digest[:])
	}
	return subtle.ConstantTimeCompare([]byte(derived), []byte(challenge)) == 1
}
