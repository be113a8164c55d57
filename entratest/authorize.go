package entratest

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// codeLifetime is how long an authorization code is good, by the virtual clock.
const codeLifetime = 10 * time.Minute

// sessionCookie holds the browser's sign-in session, under Entra's own name for it.
const sessionCookie = "ESTSAUTH"

// session is a user's sign-in at one browser: it is what lets the next app sign them in without a page.
type session struct {
	ObjectID string // of the user at home
	ID       string // the sid claim
	Sequence uint64
	AuthTime int64        // Unix seconds
	Claims   string       // what the sign-in was asked to prove
	Apps     []sessionApp `json:",omitempty"` // signed in to, the newest last
}

// authorizationCode is what a code stands for.
type authorizationCode struct {
	ID          string
	RedirectURI string
	Challenge   string `json:",omitempty"`
	Method      string `json:",omitempty"`
	Nonce       string `json:",omitempty"`
	Issued      int64  // Unix seconds
	Grant       grant
}

// authorize is the authorization endpoint.
func (e *Emulator) authorize(x *exchange) *reply {
	if m := x.request.Method; m != http.MethodGet && m != http.MethodPost {
		r := e.errorPage(x, http.StatusMethodNotAllowed, refuse("invalid_request", 900561, "GET, POST", m))
		r.set("Allow", "GET, POST")
		return r
	}
	a, refusal := e.readTarget(x)
	if refusal != nil {
		return e.errorPage(x, refusal.httpStatus(), refusal)
	}
	if refusal = e.readRest(x, a); refusal == nil {
		refusal = x.fault.refusal(x)
	}
	if refusal != nil {
		return e.deliverError(x, a, refusal)
	}
	return e.signInTo(x, a)
}

// signInTo finds out who signs in to an app, or to a device: from a form, by name, or by the browser's session.
func (e *Emulator) signInTo(x *exchange, a *authorizeRequest) *reply {
	if x.request.Method == http.MethodPost {
		return e.signInByForm(x, a)
	}
	if username := x.query.Get("emulator_user"); username != "" {
		return e.signInByName(x, a, username)
	}
	return e.signInBySession(x, a)
}

// signInByForm takes what the sign-in page posted.
func (e *Emulator) signInByForm(x *exchange, a *authorizeRequest) *reply {
	if x.form.Has("cancel") {
		return e.deliverError(x, a, refuse("access_denied", 65004))
	}
	// The page's buttons name a user; its other form asks for a password as well.
	username := x.form.Get("emulator_user")
	chosen := username != ""
	if !chosen {
		username = x.form.Get("username")
	}
	user := x.directory.user(strings.TrimSpace(username))
	if user == nil {
		return e.signInPage(x, a, refuse("invalid_request", 50034, username))
	}
	password := []byte(x.form.Get("password"))
	if !chosen && user.Password != "" && subtle.ConstantTimeCompare(password, []byte(user.Password)) == 0 {
		return e.signInPage(x, a, refuse("invalid_grant", 50126))
	}
	s := e.newSession(x, a, user)
	if _, old, ok := e.session(x); ok {
		s = s.continued(old)
	}
	if refusal := e.mayEnter(user, a); refusal != nil {
		return e.signInPage(x, a, refusal)
	}
	e.grantConsent(user, a.app, a.scopes)
	return e.remember(e.deliverCode(x, a, user, s), a, user, s)
}

// signInByName is the emulator_user parameter: the user signs in without a page, or with prompt=none is the one who
// has a session.
func (e *Emulator) signInByName(x *exchange, a *authorizeRequest, username string) *reply {
	user := x.directory.user(username)
	if user == nil {
		refusal := refuse("invalid_request", 50034, username)
		return e.errorPage(x, refusal.httpStatus(), refusal)
	}
	s := e.newSession(x, a, user)
	if a.silent() {
		s.Claims = ""
		return e.signInSilently(x, a, user, s)
	}
	if refusal := e.mayEnter(user, a); refusal != nil {
		return e.errorPage(x, refusal.httpStatus(), refusal)
	}
	e.grantConsent(user, a.app, a.scopes)
	return e.deliverCode(x, a, user, s)
}

// signInBySession goes by the browser's session; where it does not suffice, the user sees the page.
func (e *Emulator) signInBySession(x *exchange, a *authorizeRequest) *reply {
	user, s, ok := e.session(x)
	if a.loginHint != "" && ok {
		ok = strings.EqualFold(a.loginHint, user.Username)
	}
	switch {
	case !ok && a.silent():
		return e.deliverError(x, a, refuse("login_required", 50058))
	case !ok, !a.silent() && len(a.prompts) > 0:
		return e.signInPage(x, a, nil)
	case a.silent():
		return e.remember(e.signInSilently(x, a, user, s), a, user, s)
	case e.needsUser(user, a, s) != nil, e.mayEnter(user, a) != nil:
		return e.signInPage(x, a, nil)
	}
	return e.remember(e.deliverCode(x, a, user, s), a, user, s)
}

// signInSilently is prompt=none: a code, or an error that tells the app to ask the user.
func (e *Emulator) signInSilently(x *exchange, a *authorizeRequest, user *User, s session) *reply {
	refusal := e.mayEnter(user, a)
	if refusal == nil {
		refusal = e.needsUser(user, a, s)
	}
	if refusal != nil {
		refusal.code = "interaction_required"
		return e.deliverError(x, a, refusal)
	}
	return e.deliverCode(x, a, user, s)
}

// mayEnter checks that the user exists, as far as this app's tenant is concerned.
func (e *Emulator) mayEnter(user *User, a *authorizeRequest) *oauthError {
	if e.state(user).disabled {
		return refuse("invalid_grant", 50057)
	}
	tenantID := a.tenantFor(user)
	if _, member := user.objectID(tenantID); !member {
		return refuse("invalid_request", 50020, user.Username, tenantID, a.app.ClientID)
	}
	return nil
}

// needsUser is why a session is not enough: the user has to consent, or to prove more.
func (e *Emulator) needsUser(user *User, a *authorizeRequest, s session) *oauthError {
	if !e.consented(user, a.app, a.scopes) {
		return refuse("consent_required", 65001, a.app.ClientID)
	}
	proved, _ := parseClaims(s.Claims)
	if !proved.includes(a.claims.withoutCapabilities()) {
		return refuse("interaction_required", 50076, a.app.ClientID)
	}
	for _, n := range a.scopes.names {
		if _, unmet := e.unmet(user, n.resource.AppID, proved); unmet {
			return refuse("interaction_required", 50076, n.resource.AppID)
		}
	}
	return nil
}

// tenantFor is the tenant whose tokens the app gets: the one it asked at, or the user's home.
func (a *authorizeRequest) tenantFor(user *User) string {
	if a.authority.tenant != nil {
		return a.authority.tenant.ID
	}
	return user.TenantID
}

func (e *Emulator) newSession(x *exchange, a *authorizeRequest, user *User) session {
	return session{
		ObjectID: user.ObjectID,
		ID:       newGUID(),
		Sequence: e.sequence.Add(1),
		AuthTime: x.now.Unix(),
		Claims:   a.claimsText,
	}
}

// session reads the browser's session; ok is false if there is none that is still good.
func (e *Emulator) session(x *exchange) (user *User, s session, ok bool) {
	cookie, err := x.request.Cookie(sessionCookie)
	if err != nil || !e.unseal(sealedSession, cookie.Value, &s) {
		return nil, s, false
	}
	user = x.directory.oid(s.ObjectID)
	return user, s, user != nil && s.Sequence >= e.state(user).sessionsBefore
}

// cookie makes the session cookie; an empty value deletes it.
func (e *Emulator) cookie(value string) *http.Cookie {
	c := &http.Cookie{Name: sessionCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if strings.HasPrefix(e.origin, "https:") {
		c.Secure, c.SameSite = true, http.SameSiteNoneMode // apps sign users in silently in hidden frames
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// deliverCode ends a sign-in.
func (e *Emulator) deliverCode(x *exchange, a *authorizeRequest, user *User, s session) *reply {
	code := e.seal(sealedCode, authorizationCode{
		ID:          newGUID(),
		RedirectURI: a.redirectURI,
		Challenge:   a.challenge,
		Method:      a.method,
		Nonce:       a.nonce,
		Issued:      x.now.Unix(),
		Grant: grant{
			ObjectID: user.ObjectID,
			TenantID: a.tenantFor(user),
			ClientID: a.app.ClientID,
			Scopes:   a.scopes.text,
			Claims:   s.Claims,
			Session:  s.ID,
			AuthTime: s.AuthTime,
			Sequence: s.Sequence,
		},
	})
	parameters := url.Values{"code": {code}, "session_state": {s.ID}}
	if asked, _ := strconv.ParseBool(x.query.Get("client_info")); asked { // as MSAL for JavaScript does
		parameters.Set("client_info", user.clientInfo())
	}
	return e.deliver(x, a, parameters)
}

// deliverError tells the app what went wrong, RFC 6749 section 4.1.2.1.
func (e *Emulator) deliverError(x *exchange, a *authorizeRequest, refusal *oauthError) *reply {
	d := e.describe(x, refusal)
	parameters := url.Values{"error": {d.Error}, "error_description": {d.Description}}
	if d.URI != "" {
		parameters.Set("error_uri", d.URI)
	}
	if d.Suberror != "" {
		parameters.Set("suberror", d.Suberror)
	}
	if d.Claims != "" {
		parameters.Set("claims", d.Claims)
	}
	r := e.deliver(x, a, parameters)
	r.err = refusal
	return r
}

// deliver sends the browser back to the app by the response mode it asked for.
func (e *Emulator) deliver(x *exchange, a *authorizeRequest, parameters url.Values) *reply {
	if a.userCode != "" {
		return e.deliverDevice(x, a, parameters)
	}
	if a.state != "" {
		parameters.Set("state", a.state)
	}
	switch a.mode {
	case "form_post":
		return e.formPostPage(x, a.redirectURI, parameters)
	case "fragment":
		r := e.redirect(x, a.redirectURI, nil)
		r.set("Location", a.redirectURI+"#"+parameters.Encode())
		return r
	}
	return e.redirect(x, a.redirectURI, parameters)
}
