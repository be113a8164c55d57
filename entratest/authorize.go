package entratest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// codeLifetime is how long an authorization code is good, by the virtual clock.
const codeLifetime = 10 * time.Minute

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
	if r := e.postedRequest(x); r != nil {
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

// signInTo finds out who signs in to an app, or to a device: from a page, by name, or by the browser's sessions.
func (e *Emulator) signInTo(x *exchange, a *authorizeRequest) *reply {
	username := x.query.Get("emulator_user")
	switch {
	case x.request.Method == http.MethodPost:
		return e.answerPage(x, a)
	case username != "":
		return e.signInByName(x, a, username)
	case a.prompted("none"):
		return e.signInSilently(x, a)
	}
	return e.signInAtPages(x, a)
}

// postedRequest turns a request that came as a form, OpenID Connect Core section 3.1.2.1, into one with a query: the
// pages post to their own URL. Nil: it is no such request.
func (e *Emulator) postedRequest(x *exchange) *reply {
	if x.request.Method != http.MethodPost || x.query.Has("client_id") || x.form.Has(flowField) || !x.form.Has("client_id") {
		return nil
	}
	r := &reply{status: http.StatusSeeOther}
	r.set("Location", "authorize?"+x.form.Encode())
	r.common(x)
	return r
}

// signInByName is the emulator_user parameter: the user signs in without a page, proves what is asked and consents; or
// with prompt=none is the one who has a session. What no user could do on a page is refused.
func (e *Emulator) signInByName(x *exchange, a *authorizeRequest, username string) *reply {
	user := x.directory.user(username)
	if user == nil {
		refusal := refuse("invalid_request", 50034, username)
		return e.errorPage(x, refusal.httpStatus(), refusal)
	}
	amr := []string{amrPassword}
	if user.MFARequired {
		amr = append(amr, amrMFA)
	}
	s := e.newSession(x, a, user, amr)
	if a.prompted("none") {
		s.Claims = ""
		return e.deliverSilently(x, a, user, s)
	}
	refusal := e.mayEnter(user, a)
	if refusal == nil && e.state(user).passwordExpired(user) {
		refusal = refuse("invalid_grant", 50055)
	}
	if refusal == nil {
		refusal = mayUse(user, a.app)
	}
	if refusal == nil {
		missing := e.missingConsent(user, a.app, a.scopes)
		if refusal = mayConsent(user, a, missing); refusal == nil {
			e.grantConsent(user, a.app, missing)
		}
	}
	if refusal != nil {
		return e.errorPage(x, refusal.httpStatus(), refusal)
	}
	return e.deliverCode(x, a, user, s)
}

// signInSilently is prompt=none: it goes by the browser's sessions, and never shows a page.
func (e *Emulator) signInSilently(x *exchange, a *authorizeRequest) *reply {
	all := e.sessions(x)
	if a.sid != "" || a.loginHint != "" {
		s, ok := hinted(x, all, a)
		if !ok {
			return e.deliverError(x, a, refuse("login_required", 50058))
		}
		return e.continueSilently(x, a, s)
	}
	if len(all) > 1 {
		// Where all but one have no account with this app's tenant, there is nothing to choose.
		all = e.usableSessions(x, a)
		if len(all) != 1 {
			return e.deliverError(x, a, refuse("interaction_required", 16000))
		}
	}
	if len(all) == 0 {
		return e.deliverError(x, a, refuse("login_required", 50058))
	}
	return e.continueSilently(x, a, all[0])
}

// continueSilently goes by a session of the browser, which from then on remembers the app.
func (e *Emulator) continueSilently(x *exchange, a *authorizeRequest, s signedIn) *reply {
	return e.remember(x, e.deliverSilently(x, a, s.user, s.session), s.session.signedInTo(a, s.user))
}

// deliverSilently ends prompt=none: a code, or an error that tells the app to ask the user, or that asking is no use.
func (e *Emulator) deliverSilently(x *exchange, a *authorizeRequest, user *User, s session) *reply {
	if refusal := e.unsuited(x, a, user, s); refusal != nil {
		if refusal.code != "access_denied" {
			refusal.code = "interaction_required"
		}
		return e.deliverError(x, a, refusal)
	}
	return e.deliverCode(x, a, user, s)
}

// unsuited is why a session is not enough for a request.
func (e *Emulator) unsuited(x *exchange, a *authorizeRequest, user *User, s session) *oauthError {
	if refusal := e.mayEnter(user, a); refusal != nil {
		return refusal
	}
	if e.state(user).passwordExpired(user) {
		return refuse("interaction_required", 50055)
	}
	if refusal := e.outdated(x, a, user, s); refusal != nil {
		return refusal
	}
	if !strong(user, s.AMR) {
		return refuse("interaction_required", 50076, a.app.ClientID)
	}
	if refusal := mayUse(user, a.app); refusal != nil {
		return refusal
	}
	if len(e.missingConsent(user, a.app, a.scopes)) > 0 {
		refusal := refuse("interaction_required", 65001, a.app.ClientID)
		refusal.suberror = "consent_required"
		return refusal
	}
	return nil
}

// outdated is why the user of a session has to sign in again: it is too old, or it has not proved what the request, or
// a Conditional Access policy, asks for.
func (e *Emulator) outdated(x *exchange, a *authorizeRequest, user *User, s session) *oauthError {
	if s.stale(user, x.now) {
		return refuse("interaction_required", 70044)
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

// mayEnter checks that the user exists, as far as this app's tenant is concerned.
func (e *Emulator) mayEnter(user *User, a *authorizeRequest) *oauthError {
	if e.state(user).disabled {
		return refuse("invalid_grant", 50057)
	}
	if !a.member(user) {
		return refuse("invalid_request", 50020, user.Username, a.authority.segment(), a.app.ClientID)
	}
	return nil
}

// mayUse checks what the tenant's administrators say about a user who has proved who they are.
func mayUse(user *User, app *App) *oauthError {
	switch {
	case user.Blocked:
		return refuse("access_denied", 53003)
	case !app.assigned(user):
		return refuse("access_denied", 50105, app.Name, app.ClientID, user.Username)
	}
	return nil
}

// deliverCode ends a sign-in.
func (e *Emulator) deliverCode(x *exchange, a *authorizeRequest, user *User, s session) *reply {
	x.user = user
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
			AMR:      slices.Clone(s.AMR),
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
		return e.formPostPage(x, a, parameters)
	case "fragment":
		r := e.redirect(x, a.redirectURI, nil)
		r.set("Location", a.redirectURI+"#"+parameters.Encode())
		return r
	}
	return e.redirect(x, a.redirectURI, parameters)
}
