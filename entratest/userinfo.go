package entratest

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// userInfoPath is the path Microsoft Graph has it at, which at Entra is another host.
const userInfoPath = "/oidc/userinfo"

// bearerError is why a resource server does not take a token: a challenge, RFC 6750 section 3, and Graph's JSON.
type bearerError struct {
	status  int
	code    string // error of the challenge; empty: the request brought no token
	graph   string // Graph's name for it
	message string
	claims  string // of a claims challenge
}

// userInfo is the UserInfo endpoint, OpenID Connect Core section 5.3, as Microsoft Graph serves it to holders of an
// access token for Graph. See "Microsoft identity platform UserInfo endpoint". There are no pictures.
func (e *Emulator) userInfo(x *exchange) *reply {
	const methods = "GET, POST, OPTIONS"
	switch m := x.request.Method; m {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	case http.MethodOptions:
		return crossOrigin(x, preflight(x), methods)
	default:
		refusal := refuse("invalid_request", 900561, "GET, POST", m)
		refusal.status = http.StatusMethodNotAllowed
		r := e.refusal(x, refusal)
		r.set("Allow", "GET, HEAD, POST, OPTIONS")
		return r
	}
	claims, refused := e.bearer(x)
	if refused != nil {
		r := e.challenge(x, refused)
		r.set("Access-Control-Expose-Headers", "WWW-Authenticate")
		return crossOrigin(x, r, methods)
	}
	return crossOrigin(x, e.json(x, http.StatusOK, claims), methods)
}

// bearer checks the token and finds what it may know of its user.
func (e *Emulator) bearer(x *exchange) (map[string]any, *bearerError) {
	invalid := &bearerError{status: http.StatusUnauthorized, code: "invalid_token", graph: "InvalidAuthenticationToken"}
	scheme, token, _ := strings.Cut(x.request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		invalid.code, invalid.message = "", "Access token is empty."
		return nil, invalid
	}
	verified, err := e.VerifyAccessToken(strings.TrimSpace(token))
	var revoked *RevokedError
	switch {
	case errors.As(err, &revoked):
		invalid.code, invalid.claims = "insufficient_claims", revoked.Claims
		invalid.message = "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp"
		return nil, invalid
	case err != nil:
		invalid.message = strings.TrimPrefix(err.Error(), "entratest: ")
		return nil, invalid
	case !x.directory.isGraph(textClaim(verified, "aud")):
		invalid.message = "Access token validation failure. Invalid audience."
		return nil, invalid
	}
	user := x.directory.oid(textClaim(verified, "oid"))
	if user == nil {
		invalid.message = "The access token's user is not in the directory."
		return nil, invalid
	}
	return userClaims(user, verified)
}

// userClaims are the claims the token's scopes open: openid the subject, which is the one in the app's ID tokens, profile
// the names, email the address, and User.Read all of them.
func userClaims(user *User, token map[string]any) (map[string]any, *bearerError) {
	scp := strings.Fields(textClaim(token, "scp"))
	has := func(name string) bool {
		return slices.ContainsFunc(scp, func(s string) bool {
			return strings.EqualFold(s, name) || strings.EqualFold(s, "User.Read")
		})
	}
	if !has("openid") {
		return nil, &bearerError{
			status: http.StatusForbidden, code: "insufficient_scope", graph: "Authorization_RequestDenied",
			message: "Insufficient privileges to complete the operation.",
		}
	}
	app := textClaim(token, "appid") + textClaim(token, "azp") // a token has one of them, by its version
	claims := map[string]any{"sub": pairwise(app, textClaim(token, "tid"), textClaim(token, "oid"))}
	if has("profile") {
		claims["name"] = user.Name
		given, family, more := strings.Cut(user.Name, " ")
		claims["given_name"] = given
		if more {
			claims["family_name"] = family
		}
	}
	if has("email") {
		claims["email"] = user.Username
	}
	return claims, nil
}

// challenge answers with the reason in Graph's words, and for machines in WWW-Authenticate. See "Claims challenges,
// claims requests and client capabilities".
func (e *Emulator) challenge(x *exchange, b *bearerError) *reply {
	r := e.json(x, b.status, map[string]any{"error": map[string]any{
		"code":    b.graph,
		"message": b.message,
		"innerError": map[string]string{
			"date":              x.now.UTC().Format(time.DateOnly + "T15:04:05"),
			"request-id":        x.traceID,
			"client-request-id": x.correlationID,
		},
	}})
	header := `Bearer realm="", authorization_uri="` + e.origin + `/common/oauth2/v2.0/authorize"`
	if b.code != "" {
		header += `, error="` + b.code + `"`
		r.err = &oauthError{code: b.code}
	} else {
		r.err = &oauthError{code: "missing_token"}
	}
	switch {
	case b.claims != "":
		header += `, claims="` + base64.StdEncoding.EncodeToString([]byte(b.claims)) + `"`
	case b.code != "":
		header += `, error_description="` + quotable(b.message) + `"`
	}
	r.set("WWW-Authenticate", header)
	return r
}

// quotable leaves out what error_description must not have, RFC 6750 section 3.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}

// isGraph reports whether an audience is the resource whose permissions are written without it.
func (x *directoryIndex) isGraph(audience string) bool {
	if x.graph == nil {
		return false
	}
	audience = strings.TrimSuffix(audience, "/")
	return slices.ContainsFunc(x.directory.Resources, func(r Resource) bool {
		return r.AppID == x.graph.AppID &&
			(strings.EqualFold(audience, r.AppID) || strings.EqualFold(audience, strings.TrimSuffix(r.ID, "/")))
	})
}

// textClaim is a claim that is a string, or empty.
func textClaim(claims map[string]any, name string) string {
	s, _ := claims[name].(string)
	return s
}
