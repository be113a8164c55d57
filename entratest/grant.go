package entratest

import (
	"strconv"
	"time"
)

const (
	// refreshTokenIdle is how long a refresh token is good unused. See "Refresh tokens in the Microsoft identity
	// platform".
	refreshTokenIdle = 90 * 24 * time.Hour
	// spaTokenLifetime is how long the refresh tokens of a single-page app are good in all.
	spaTokenLifetime = 24 * time.Hour
)

// grant is what one sign-in gave an app: it travels inside the code and every refresh token that follows.
type grant struct {
	ObjectID string // of the user at home
	TenantID string // where the user signed in
	ClientID string
	Scopes   string   // as asked for at authorize
	Claims   string   `json:",omitempty"` // what the sign-in was asked to prove
	Session  string   // the sid claim
	AuthTime int64    // Unix seconds
	Sequence uint64   // compared with the user's revocations
	AMR      []string `json:",omitempty"` // how the user proved who they are
}

// refreshToken is what a refresh token stands for.
type refreshToken struct {
	Family     string // the ID of the code it all began with
	Generation int    // how many refreshes after the code
	Issued     int64  // Unix seconds
	Expires    int64  `json:",omitempty"` // Unix seconds; zero: as long as it is used
	Grant      grant
}

// redeemCode is the authorization code grant, RFC 6749 section 4.1.3.
func (e *Emulator) redeemCode(x *exchange, c client) (*issue, *oauthError) {
	if refusal := missing(x.form, "code", "redirect_uri"); refusal != nil {
		return nil, refusal
	}
	var code authorizationCode
	if !e.unseal(sealedCode, x.form.Get("code"), &code) {
		return nil, refuse("invalid_grant", 9002313)
	}
	g := &code.Grant
	x.user = x.directory.oid(g.ObjectID)
	user, refusal := e.holder(x, c, g, code.ID)
	if refusal != nil {
		return nil, refusal
	}
	expires := time.Unix(code.Issued, 0).Add(codeLifetime)
	redirectURI := x.form.Get("redirect_uri")
	switch {
	case !x.now.Before(expires):
		return nil, refuse("invalid_grant", 70008)
	case x.authority.tenant != nil && x.authority.tenant.ID != g.TenantID:
		return nil, refuse("invalid_grant", 700005)
	case redirectURI != code.RedirectURI:
		return nil, refuse("invalid_client", 500112, redirectURI, code.RedirectURI)
	}
	asked, refusal := e.askedFor(x, g)
	if refusal != nil {
		return nil, refusal
	}
	// From here on the code is spent, whatever becomes of it: a wrong verifier is an attack, RFC 9700 section 2.1.1.
	if !e.spentCodes.add(code.ID, expires, x.now) {
		return nil, refuse("invalid_grant", 54005)
	}
	if refusal := checkVerifier(code.Challenge, code.Method, x.form.Get("code_verifier")); refusal != nil {
		return nil, refusal
	}
	i := &issue{client: c, user: user, tenantID: g.TenantID, grant: g, scopes: asked, nonce: code.Nonce}
	i.refresh = refreshToken{Family: code.ID}
	if c.app.Type == SPA {
		i.refresh.Expires = x.now.Add(spaTokenLifetime).Unix()
	}
	return i, e.complete(x, i)
}

// redeemRefreshToken is the refresh grant, RFC 6749 section 6. Entra binds a refresh token to user and app, but not to
// a resource or a tenant.
func (e *Emulator) redeemRefreshToken(x *exchange, c client) (*issue, *oauthError) {
	if refusal := missing(x.form, "refresh_token"); refusal != nil {
		return nil, refusal
	}
	var old refreshToken
	if !e.unseal(sealedRefresh, x.form.Get("refresh_token"), &old) {
		return nil, refuse("invalid_grant", 9002313)
	}
	g := &old.Grant
	x.user = x.directory.oid(g.ObjectID)
	user, refusal := e.holder(x, c, g, "")
	if refusal != nil {
		return nil, refusal
	}
	if refusal := e.alive(x, &old); refusal != nil {
		return nil, refusal
	}
	tenantID := g.TenantID
	if x.authority.tenant != nil {
		tenantID = x.authority.tenant.ID
	}
	if _, member := user.objectID(tenantID); !member {
		return nil, refuse("invalid_grant", 50020, user.Username, tenantID, c.app.ClientID)
	}
	asked, refusal := e.askedFor(x, g)
	if refusal != nil {
		return nil, refusal
	}
	i := &issue{client: c, user: user, tenantID: tenantID, grant: g, scopes: asked, refresh: old}
	i.refresh.Generation++
	if refusal := e.complete(x, i); refusal != nil {
		return nil, refusal
	}
	if !e.families.check(old.Family, old.Generation, true, x.now) {
		return nil, refusedRotation()
	}
	return i, nil
}

// holder is the user a grant belongs to, if they and the app may still use it.
func (e *Emulator) holder(x *exchange, c client, g *grant, code string) (*User, *oauthError) {
	if g.ClientID != c.app.ClientID {
		what := "refresh token"
		if code != "" {
			what = "authorization code"
		}
		return nil, refuse("invalid_grant", 70000, "The "+what+" was issued to another client.")
	}
	return e.accountOf(x, g)
}

// alive checks a refresh token's age and its place in the rotation.
func (e *Emulator) alive(x *exchange, t *refreshToken) *oauthError {
	issued := time.Unix(t.Issued, 0).UTC()
	switch {
	case t.Expires != 0 && x.now.Unix() >= t.Expires:
		return refuse("invalid_grant", 700084, issued.Format(time.RFC3339))
	case x.now.Sub(issued) >= refreshTokenIdle:
		return refuse("invalid_grant", 700082, issued.Format(time.RFC3339))
	case !e.families.check(t.Family, t.Generation, false, x.now):
		return refusedRotation()
	}
	return nil
}

func refusedRotation() *oauthError {
	return refuse("invalid_grant", 70000, "The refresh token was used before, or was revoked.")
}

// askedFor is what the tokens are to be for: the request's scope, else that of the sign-in; one resource. Entra's
// documentation says that a refresh that names several gets the first one's token; AADSTS28000 is what it answers.
func (e *Emulator) askedFor(x *exchange, g *grant) (scopes, *oauthError) {
	first, refusal := x.directory.parseScopes(g.Scopes)
	if refusal != nil {
		return scopes{}, refusal
	}
	asked, refusal := x.directory.parseScopes(x.form.Get("scope"))
	if x.form.Get("grant_type") == "refresh_token" {
		first = first.ofOneResource()
	}
	switch {
	case refusal != nil:
		return scopes{}, refusal
	case asked.resources() > 1:
		return scopes{}, refuse("invalid_scope", 28000, asked.text)
	case len(asked.names) == 0 && first.resources() > 1:
		return scopes{}, refuse("invalid_request", 28003)
	case len(asked.names) == 0:
		asked.names = first.names
	}
	asked.reserved = asked.reserved.or(first.reserved)
	return asked, nil
}

// complete reads what all grants of a user have in common, and checks what Entra checks of every token.
func (e *Emulator) complete(x *exchange, i *issue) *oauthError {
	asked, refusal := parseClaims(x.form.Get("claims"))
	if refusal != nil {
		return refusal
	}
	proved, refusal := parseClaims(i.grant.Claims)
	if refusal != nil {
		return refusal
	}
	i.cae, i.acrs = asked.cp1(), proved.acrs()
	i.clientInfo, _ = strconv.ParseBool(x.form.Get("client_info"))
	i.resource, i.audience = x.directory.graph, ""
	if len(i.scopes.names) > 0 {
		i.resource, i.audience = i.scopes.names[0].resource, i.scopes.names[0].audience
	}
	if i.resource == nil {
		return refuse("invalid_scope", 70011, i.scopes.text)
	}
	if refusal := e.checkPolicies(x, i); refusal != nil {
		return refusal
	}
	return e.usable(i.user, i.client.app, i.scopes, i.resource, proved)
}
