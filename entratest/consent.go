package entratest

import (
	"slices"
	"strings"
)

// consent is one permission of one app, for one user or for everybody in a tenant. All are named by their IDs: a
// directory may be exchanged.
type consent struct {
	user     string // object ID at home; empty: everybody in the tenant
	tenant   string // lower case; empty: it is a user's
	app      string // client ID
	resource string // AppID; empty: OpenID Connect's own scopes
	scope    string // lower case
}

// WithdrawConsent makes the token endpoint refuse a scope to a user and an app (a client ID or a name):
// invalid_grant, AADSTS65001, suberror consent_required. The user consents again by signing in at authorize with that
// scope, or [Emulator.Consent] does it for them. By default everything is consented to, except with an app that has
// AsksConsent. It panics if there is no such user, app or scope.
func (e *Emulator) WithdrawConsent(username, clientID, scope string) {
	for _, c := range e.mustConsents(username, clientID, scope) {
		e.mu.Lock()
		e.withheld[c] = true
		e.mu.Unlock()
	}
}

// Consent undoes [Emulator.WithdrawConsent], and says yes in the user's name to an app that has AsksConsent.
func (e *Emulator) Consent(username, clientID, scope string) {
	for _, c := range e.mustConsents(username, clientID, scope) {
		e.mu.Lock()
		e.agree(c)
		e.mu.Unlock()
	}
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
	var all []consent
	for _, p := range s.delegated() {
		all = append(all, p.consent(user, app))
	}
	return all
}

// permission is what one consent is about.
type permission struct {
	resource *Resource // nil: one of OpenID Connect's own scopes
	name     string
}

// consent is a user's yes to the permission.
func (p permission) consent(user *User, app *App) consent {
	c := consent{user: user.ObjectID, app: app.ClientID, scope: strings.ToLower(p.name)}
	if p.resource != nil {
		c.resource = p.resource.AppID
	}
	return c
}

// adminOnly reports whether only an administrator can say yes to it.
func (p permission) adminOnly() bool {
	return p.resource != nil && slices.ContainsFunc(p.resource.AdminScopes, func(name string) bool {
		return strings.EqualFold(name, p.name)
	})
}

// delegated are the permissions the scopes ask for; .default asks for each that it stands for.
func (s scopes) delegated() []permission {
	var all []permission
	add := func(p permission) {
		if !slices.ContainsFunc(all, func(q permission) bool {
			return q.resource.AppID == p.resource.AppID && strings.EqualFold(q.name, p.name)
		}) {
			all = append(all, p)
		}
	}
	for _, n := range s.names {
		if n.name != defaultScope {
			add(permission{n.resource, n.name})
			continue
		}
		for _, name := range n.resource.defaults() {
			add(permission{n.resource, name})
		}
	}
	return all
}

// signIn are the OpenID Connect scopes as permissions: users are asked for these too, but the token endpoint does not
// insist on them, because clients add them to what they ask for there.
func (s scopes) signIn() []permission {
	var all []permission
	for _, r := range []struct {
		asked bool
		name  string
	}{{s.reserved.openid, "openid"}, {s.reserved.profile, "profile"}, {s.reserved.email, "email"}, {s.reserved.offline, "offline_access"}} {
		if r.asked {
			all = append(all, permission{name: r.name})
		}
	}
	return all
}

// missingConsent is what the user would have to be asked on the way to a code.
func (e *Emulator) missingConsent(user *User, app *App, s scopes) []permission {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(append(s.signIn(), s.delegated()...), func(p permission) bool {
		return e.agreed(user, app, p)
	})
}

// consented reports whether tokens may be issued for the scopes.
func (e *Emulator) consented(user *User, app *App, s scopes) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !slices.ContainsFunc(s.delegated(), func(p permission) bool { return !e.agreed(user, app, p) })
}

// agreed reports whether the user, or an administrator of a tenant they belong to, has said yes and nobody has taken
// it back. The caller holds e.mu.
func (e *Emulator) agreed(user *User, app *App, p permission) bool {
	c := p.consent(user, app)
	switch {
	case e.withheld[c]:
		return false
	case !app.AsksConsent, e.consents[c]:
		return true
	}
	c.user = ""
	for _, tenantID := range user.tenants() {
		if c.tenant = strings.ToLower(tenantID); e.consents[c] {
			return true
		}
	}
	return false
}

// agree is a yes. The caller holds e.mu.
func (e *Emulator) agree(c consent) {
	delete(e.withheld, c)
	e.consents[c] = true
}

// tenants are the user's home and those they are a guest in.
func (u *User) tenants() []string {
	all := []string{u.TenantID}
	for _, g := range u.Guests {
		all = append(all, g.TenantID)
	}
	return all
}

// administers reports whether the user may consent for everybody where the app asks.
func (a *authorizeRequest) administers(user *User) bool {
	return user.Admin && strings.EqualFold(user.TenantID, a.tenantFor(user))
}

// mayConsent refuses what only an administrator can say yes to.
func mayConsent(user *User, a *authorizeRequest, asked []permission) *oauthError {
	if !a.administers(user) && slices.ContainsFunc(asked, permission.adminOnly) {
		return refuse("access_denied", 90094)
	}
	return nil
}

// grantConsent is the user's own yes.
func (e *Emulator) grantConsent(user *User, app *App, asked []permission) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range asked {
		e.agree(p.consent(user, app))
	}
}

// grantForAll is an administrator's yes for everybody in a tenant. It covers those, too, whose own was taken back.
func (e *Emulator) grantForAll(x *exchange, tenantID string, app *App, asked []permission) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range asked {
		for i := range x.directory.directory.Users {
			user := &x.directory.directory.Users[i]
			if _, member := user.objectID(tenantID); member {
				delete(e.withheld, p.consent(user, app))
			}
		}
		c := p.consent(&User{}, app)
		c.tenant = strings.ToLower(tenantID)
		e.consents[c] = true
	}
}
