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
	domainHint  string // lower case
	sid         string // of the session to use; clients send it with prompt=none
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
	if app.Disabled {
		return nil, refuse("unauthorized_client", 7000112)
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
	a.nonce, a.loginHint = q.Get("nonce"), strings.TrimSpace(q.Get("login_hint"))
	a.domainHint, a.sid = strings.ToLower(q.Get("domain_hint")), q.Get("sid")
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

func (a *authorizeRequest) prompted(prompt string) bool { return slices.Contains(a.prompts, prompt) }

// tenantFor is the tenant whose tokens the app gets: the one it asked at, or the user's home.
func (a *authorizeRequest) tenantFor(user *User) string {
	if a.authority.tenant != nil {
		return a.authority.tenant.ID
	}
	return user.TenantID
}

// member reports whether the user has an account where the app asks: in the tenant, or at the door to many, of which
// organizations is closed to personal accounts.
func (a *authorizeRequest) member(user *User) bool {
	if a.authority.alias == "organizations" && strings.EqualFold(user.TenantID, ConsumersTenantID) {
		return false
	}
	_, member := user.objectID(a.tenantFor(user))
	return member
}

// offers reports whether the page lists the user: those the domain_hint leaves. As at Entra an unknown hint says
// nothing, and a hint keeps nobody out who types another name.
func (a *authorizeRequest) offers(x *exchange, user *User) bool {
	if !a.member(user) {
		return false
	}
	personal := strings.EqualFold(user.TenantID, ConsumersTenantID)
	switch a.domainHint {
	case "":
		return true
	case "organizations":
		return !personal
	case "consumers":
		return personal
	}
	tenant := x.directory.tenants[a.domainHint]
	return tenant == nil || strings.EqualFold(tenant.ID, user.TenantID)
}

// assigned reports whether the app's administrators let the user in.
func (a *App) assigned(user *User) bool {
	return len(a.Assigned) == 0 || slices.ContainsFunc(a.Assigned, func(name string) bool {
		return strings.EqualFold(name, user.Username)
	})
}
