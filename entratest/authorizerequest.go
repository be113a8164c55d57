package entratest

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// authorizeRequest is a request to the authorization endpoint, OpenID Connect Core section 3.1.2.1, as far as it has
// been understood. See also "Microsoft identity platform and OAuth 2.0 authorization code flow".
type authorizeRequest struct {
	app         *App
	authority   authority
	redirectURI string
	mode        string // query, fragment or form_post
	state       string
	nonce       string
	challenge   string
	method      string // S256 or plain; empty without a challenge
	prompts     []string
	loginHint   string
	claimsText  string
	claims      claimsRequest
	scopes      scopes
	userCode    string // of the device that asks, instead of an app that is redirected to
}

// readTarget finds out who asks and where the answer goes. Until both are known to belong together, an error must not
// be sent to the redirect URI, RFC 6749 section 4.1.2.1: it is shown to the user.
func (e *Emulator) readTarget(x *exchange) (*authorizeRequest, *oauthError) {
	q := x.query
	switch {
	case x.unreadable != nil:
		return nil, x.unreadable
	case !x.known:
		return nil, refuse("invalid_request", 90002, x.authority.alias)
	case duplicate(q) != nil:
		return nil, duplicate(q)
	case q.Get("client_id") == "":
		return nil, refuse("invalid_request", 900144, "client_id")
	}
	app := x.directory.app(q.Get("client_id"))
	if refusal := x.authority.admits(app, q.Get("client_id")); refusal != nil {
		return nil, refusal
	}
	a := &authorizeRequest{app: app, authority: x.authority, redirectURI: q.Get("redirect_uri"), state: q.Get("state")}
	if a.redirectURI == "" {
		return nil, refuse("invalid_request", 900971)
	}
	if !app.redirectsTo(a.redirectURI) {
		return nil, refuse("invalid_request", 50011, a.redirectURI, app.ClientID)
	}
	a.mode = "query"
	return a, nil
}

// admits checks that an app can be used at an authority.
func (a authority) admits(app *App, clientID string) *oauthError {
	switch {
	case app == nil, a.tenant != nil && !app.available(a.tenant.ID):
		return refuse("unauthorized_client", 700016, clientID, a.segment())
	case a.tenant == nil && !app.MultiTenant:
		return refuse("invalid_request", 50194, app.ClientID)
	}
	return nil
}

// redirectsTo reports whether a redirect URI is registered: letter for letter (RFC 9700 section 2.1), except for the
// port of a public app's loopback address.
func (a *App) redirectsTo(redirectURI string) bool {
	if slices.Contains(a.RedirectURIs, redirectURI) {
		return true
	}
	if a.Type != Public {
		return false
	}
	asked, ok := loopback(redirectURI)
	return ok && slices.ContainsFunc(a.RedirectURIs, func(registered string) bool {
		known, ok := loopback(registered)
		return ok && known == asked
	})
}

// loopback is a loopback redirect URI without its port; ok is false for any other URI.
func loopback(text string) (portless string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.User != nil || strings.Contains(text, "#") {
		return "", false
	}
	if host := u.Hostname(); host != "localhost" && host != "127.0.0.1" {
		return "", false
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return u.Hostname() + path + "?" + u.RawQuery, true
}

// challengePattern is the form of a code challenge, RFC 7636 section 4.2; a verifier's is the same.
var challengePattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// readRest reads the parameters whose errors the app is told about.
func (e *Emulator) readRest(x *exchange, a *authorizeRequest) *oauthError {
	q := x.query
	mode := q.Get("response_mode")
	switch mode {
	case "":
	case "query", "fragment", "form_post":
		a.mode = mode
	default:
		return refuse("invalid_request", 90023, "unsupported 'response_mode' value.")
	}
	switch responseType := q.Get("response_type"); responseType {
	case "":
		return refuse("invalid_request", 900144, "response_type")
	case "code":
	default:
		return refuse("unsupported_response_type", 700054, responseType)
	}
	if q.Get("scope") == "" {
		return refuse("invalid_request", 900144, "scope")
	}
	var refusal *oauthError
	if a.scopes, refusal = x.directory.parseScopes(q.Get("scope")); refusal != nil {
		return refusal
	}
	a.claimsText = q.Get("claims")
	if a.claims, refusal = parseClaims(a.claimsText); refusal != nil {
		return refusal
	}
	a.nonce, a.loginHint = q.Get("nonce"), q.Get("login_hint")
	a.prompts = strings.Fields(q.Get("prompt"))
	for _, p := range a.prompts {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, p) {
			return refuse("invalid_request", 90023, "unsupported 'prompt' value.")
		}
	}
	if slices.Contains(a.prompts, "none") && len(a.prompts) > 1 {
		return refuse("invalid_request", 90023, "'prompt' value 'none' excludes the others.")
	}
	return a.readChallenge(q)
}

// readChallenge reads the PKCE parameters, RFC 7636 section 4.3.
func (a *authorizeRequest) readChallenge(q url.Values) *oauthError {
	a.challenge, a.method = q.Get("code_challenge"), q.Get("code_challenge_method")
	if a.challenge == "" {
		if a.method != "" || a.app.Type == SPA {
			return refuse("invalid_request", 9002325)
		}
		return nil
	}
	if a.method == "" {
		a.method = "plain"
	}
	if a.method != "S256" && a.method != "plain" {
		return refuse("invalid_request", 90023, "unsupported 'code_challenge_method' value.")
	}
	if !challengePattern.MatchString(a.challenge) {
		return refuse("invalid_request", 501491)
	}
	return nil
}

func (a *authorizeRequest) silent() bool { return slices.Contains(a.prompts, "none") }
