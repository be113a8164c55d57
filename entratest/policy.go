package entratest

import (
	"fmt"
	"slices"
	"strings"
)

// requirement is a Conditional Access policy: this user must have signed in with these claims to get at this API.
type requirement struct {
	user     string // object ID at home
	resource string // AppID; empty: any
	claims   claimsRequest
	text     string
}

// consent is one permission of one app for one user. All are named by their IDs: a directory may be exchanged.
type consent struct {
	user     string // object ID at home
	app      string // client ID
	resource string // AppID
	scope    string // lower case
}

// RequireClaims puts a Conditional Access policy on a user and a resource (an App ID URI, or "" for any): the token
// endpoint answers invalid_grant, AADSTS50076, suberror basic_action and these claims, until the user has signed in
// interactively at authorize with these claims in the claims parameter; what was issued from such a sign-in passes.
// Empty claims remove the policy. It panics if there is no such user or resource, or the claims are no JSON object.
func (e *Emulator) RequireClaims(username, resource, claims string) {
	user := e.mustUser(username)
	appID := ""
	if resource != "" {
		r := e.index.Load().directory.Resource(strings.TrimSuffix(resource, "/"))
		if r.AppID == "" {
			panic("entratest: RequireClaims: no resource " + resource)
		}
		appID = r.AppID
	}
	asked, refusal := parseClaims(claims)
	if refusal != nil {
		panic("entratest: RequireClaims: the claims are no JSON object: " + claims)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.required = slices.DeleteFunc(e.required, func(r requirement) bool { return r.user == user.ObjectID && r.resource == appID })
	if asked != nil {
		e.required = append(e.required, requirement{user: user.ObjectID, resource: appID, claims: asked, text: claims})
	}
}

// WithdrawConsent makes the token endpoint refuse a scope to a user and an app (a client ID or a name):
// invalid_grant, AADSTS65001, suberror consent_required. The user consents again by signing in at authorize with that
// scope, or [Emulator.Consent] does it for them. By default everything is consented to. It panics if there is no such
// user, app or scope.
func (e *Emulator) WithdrawConsent(username, clientID, scope string) {
	for _, c := range e.mustConsents(username, clientID, scope) {
		e.mu.Lock()
		e.withheld[c] = true
		e.mu.Unlock()
	}
}

// Consent undoes [Emulator.WithdrawConsent].
func (e *Emulator) Consent(username, clientID, scope string) {
	for _, c := range e.mustConsents(username, clientID, scope) {
		e.mu.Lock()
		delete(e.withheld, c)
		e.mu.Unlock()
	}
}

func (e *Emulator) mustUser(username string) *User {
	user, err := e.findUser(username)
	if err != nil {
		panic(err)
	}
	return user
}

// findUser finds a user as [Directory.User] does.
func (e *Emulator) findUser(username string) (*User, error) {
	index := e.index.Load()
	user := index.user(index.directory.User(username).Username)
	if user == nil {
		return nil, fmt.Errorf("entratest: no user %q", username)
	}
	return user, nil
}

func (e *Emulator) mustConsents(username, clientID, scope string) []consent {
	user := e.mustUser(username)
	index := e.index.Load()
	app := index.app(index.directory.App(clientID).ClientID)
	if app == nil {
		panic("entratest: no app " + clientID)
	}
	s, refusal := index.parseScopes(scope)
	if refusal != nil || len(s.names) == 0 {
		panic("entratest: no scope " + scope)
	}
	return s.consents(user, app)
}

// consents are what a user must have agreed to for these scopes; .default asks for each permission it stands for.
func (s scopes) consents(user *User, app *App) []consent {
	var all []consent
	add := func(n scopeName, permission string) {
		all = append(all, consent{user: user.ObjectID, app: app.ClientID, resource: n.resource.AppID, scope: strings.ToLower(permission)})
	}
	for _, n := range s.names {
		if n.name != defaultScope {
			add(n, n.name)
			continue
		}
		for _, permission := range n.resource.defaults() {
			add(n, permission)
		}
	}
	return all
}

// consented reports whether nothing the scopes ask for was withdrawn.
func (e *Emulator) consented(user *User, app *App, s scopes) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.withheld) == 0 ||
		!slices.ContainsFunc(s.consents(user, app), func(c consent) bool { return e.withheld[c] })
}

// grantConsent is the user's own yes.
func (e *Emulator) grantConsent(user *User, app *App, s scopes) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.withheld) == 0 {
		return
	}
	for _, c := range s.consents(user, app) {
		delete(e.withheld, c)
	}
}

// unmet is a policy that the sign-in's claims do not satisfy for a resource ("" while it has not been chosen: policies
// for any), if there is one.
func (e *Emulator) unmet(user *User, resource string, satisfied claimsRequest) (requirement, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.required, func(r requirement) bool {
		return r.user == user.ObjectID && (r.resource == "" || r.resource == resource) && !satisfied.includes(r.claims)
	})
	if i < 0 {
		return requirement{}, false
	}
	return e.required[i], true
}

// usable checks what Entra checks of every token it issues: consent, and Conditional Access.
func (e *Emulator) usable(user *User, app *App, s scopes, resource *Resource, satisfied claimsRequest) *oauthError {
	if !e.consented(user, app, s) {
		refusal := refuse("invalid_grant", 65001, app.ClientID)
		refusal.suberror = "consent_required"
		return refusal
	}
	if policy, unmet := e.unmet(user, resource.AppID, satisfied); unmet {
		refusal := refuse("invalid_grant", 50076, resource.AppID)
		refusal.suberror, refusal.claims = "basic_action", policy.text
		return refusal
	}
	return nil
}
