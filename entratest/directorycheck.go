package entratest

import (
	"crypto/rsa"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	guidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	// domainPattern is a host name of two or more labels, RFC 1123 section 2.1; the last is no number.
	domainPattern = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)
)

func isGUID(s string) bool { return guidPattern.MatchString(s) }

// check refuses a directory the emulator could only misread: a test that fails here says more than one that gets a
// puzzling AADSTS number later. All problems come at once, one a line, each with the member's path in the JSON.
func (d *Directory) check() error {
	p := &problems{}
	d.examine(p)
	return p.err()
}

func (d *Directory) examine(p *problems) {
	d.examineTenants(p)
	d.examineUsers(p)
	d.examineResources(p)
	d.examineApps(p)
}

func (d *Directory) examineTenants(p *problems) {
	if len(d.Tenants) == 0 {
		p.add("tenants", `there is none: add one, such as {"domain": "contoso.example"}`)
	}
	ids, domains := make(unique), make(unique)
	for i, t := range d.Tenants {
		at := element("tenants", i)
		if t.Domain != "" {
			if !domainPattern.MatchString(t.Domain) || len(t.Domain) > 253 {
				p.add(at+".domain", "%s is no domain: write one like contoso.example, punycode for other alphabets", quoted(t.Domain))
			}
			domains.check(p, at+".domain", t.Domain)
		}
		p.guid(at+".id", t.ID, ids.unless(p.blamed(at+".domain")))
	}
}

func (d *Directory) examineUsers(p *problems) {
	usernames, objectIDs := make(unique), make(unique)
	for i, u := range d.Users {
		at := element("users", i)
		if p.word(at+".username", u.Username) {
			usernames.check(p, at+".username", u.Username)
		}
		p.text(at+".name", u.Name)
		p.guid(at+".object_id", u.ObjectID, objectIDs.unless(p.blamed(at+".username")))
		d.examineTenantID(p, at+".tenant_id", u.TenantID)
		if u.SignInFrequency < 0 {
			p.add(at+".sign_in_frequency", "%v is negative: leave it out if the user never has to sign in again", u.SignInFrequency)
		}
		for j, group := range u.Groups {
			p.guid(element(at+".groups", j), group, nil)
		}
		for j, role := range u.Roles {
			p.word(element(at+".roles", j), role)
		}
		d.examineGuests(p, at, u, objectIDs)
	}
}

func (d *Directory) examineGuests(p *problems, user string, u User, objectIDs unique) {
	tenants := make(unique)
	for i, g := range u.Guests {
		at := element(user+".guests", i)
		p.guid(at+".object_id", g.ObjectID, objectIDs)
		d.examineTenantID(p, at+".tenant_id", g.TenantID)
		if strings.EqualFold(g.TenantID, u.TenantID) {
			p.add(at+".tenant_id", "it is the user's home, where nobody is a guest: name another tenant, or remove the guest")
		}
		tenants.check(p, at+".tenant_id", g.TenantID)
	}
}

func (d *Directory) examineResources(p *problems) {
	ids := make(unique)
	for i, r := range d.Resources {
		at := element("resources", i)
		if p.word(at+".id", r.ID) {
			if _, problem := parseURI(r.ID); problem != "" {
				p.add(at+".id", "%s", problem)
			}
			ids.check(p, at+".id", strings.TrimSuffix(r.ID, "/"))
		}
		p.guid(at+".app_id", r.AppID, nil)
		if r.TokenVersion < 0 || r.TokenVersion > 2 {
			p.add(at+".token_version", "%d is not a version of access tokens: it must be 1 or 2", r.TokenVersion)
		}
		for j, scope := range r.Scopes {
			p.scope(element(at+".scopes", j), scope)
		}
		for j, scope := range r.AdminScopes {
			p.scope(element(at+".admin_scopes", j), scope)
			if len(r.Scopes) > 0 && !containsFold(r.Scopes, scope) {
				p.add(element(at+".admin_scopes", j), "%s is not one of the resource's scopes: add it there, or remove it here",
					quoted(scope))
			}
		}
	}
}

func (d *Directory) examineApps(p *problems) {
	names, clientIDs := make(unique), make(unique)
	for i, a := range d.Apps {
		at := element("apps", i)
		p.text(at+".name", a.Name)
		if a.Name != "" {
			names.check(p, at+".name", a.Name)
		}
		p.guid(at+".client_id", a.ClientID, clientIDs.unless(p.blamed(at+".name")))
		d.examineTenantID(p, at+".tenant_id", a.TenantID)
		redirects := make(unique)
		for j, redirect := range a.RedirectURIs {
			path := element(at+".redirect_uris", j)
			if problem := redirectProblem(redirect, a.Type); problem != "" {
				p.add(path, "%s", problem)
			}
			if first, twice := redirects[redirect]; twice {
				p.add(path, "it is %s already: remove one", first)
			}
			redirects[redirect] = path
		}
		if a.FrontChannelLogoutURL != "" {
			if problem := webProblem(a.FrontChannelLogoutURL); problem != "" {
				p.add(at+".front_channel_logout_url", "%s", problem)
			}
		}
		d.examineReferences(p, at, a)
		a.examineCredentials(p, at)
	}
}

// examineReferences checks what an app says of users and resources.
func (d *Directory) examineReferences(p *problems, app string, a App) {
	for i, username := range a.Assigned {
		known := slices.ContainsFunc(d.Users, func(u User) bool { return strings.EqualFold(u.Username, username) })
		if !known && !p.unsure("users", len(d.Users), "username") {
			p.add(element(app+".assigned", i), "no user has the username %s: add it to users, or remove it here", quoted(username))
		}
	}
	for i, permission := range a.Permissions {
		if !d.hasPermission(permission) && !p.unsure("resources", len(d.Resources), "id", "app_id") {
			p.add(element(app+".permissions", i), "%s is not the ID of one of the resources, a slash and a name, like "+
				"https://graph.microsoft.com/User.Read.All", quoted(permission))
		}
	}
}

func (d *Directory) hasPermission(permission string) bool {
	return slices.ContainsFunc(d.Resources, func(r Resource) bool {
		for _, id := range []string{strings.TrimSuffix(r.ID, "/"), r.AppID} {
			n := len(id)
			if n > 0 && len(permission) > n && permission[n] == '/' && strings.EqualFold(permission[:n], id) {
				return isScope(permission[n+1:])
			}
		}
		return false
	})
}

func (a *App) examineCredentials(p *problems, app string) {
	if a.Type < Confidential || a.Type > SPA {
		p.add(app+".type", "%d is unknown: it must be one of %s", a.Type, strings.Join(appTypeNames, ", "))
		return
	}
	for _, c := range []struct {
		name string
		n    int
	}{
		{"certificates", len(a.Certificates)}, {"client_secrets", len(a.Secrets)},
		{"expired_client_secrets", len(a.ExpiredSecrets)}, {"federated_credentials", len(a.FederatedCredentials)},
	} {
		if a.Type != Confidential && c.n > 0 {
			p.add(app+"."+c.name, "an app of type %s must not authenticate: remove them, or make its type confidential", a.Type)
		}
	}
	for i, secret := range a.Secrets {
		p.secret(element(app+".client_secrets", i), secret)
	}
	for i, secret := range a.ExpiredSecrets {
		p.secret(element(app+".expired_client_secrets", i), secret)
		if j := slices.Index(a.Secrets, secret); j >= 0 {
			p.add(element(app+".expired_client_secrets", i), "it is client_secrets[%d] too: it cannot be both good and expired", j)
		}
	}
	for i, certificate := range a.Certificates {
		path := element(app+".certificates", i)
		if certificate == nil || len(certificate.Raw) == 0 {
			p.add(path, "there is no certificate: pass a parsed one")
		} else if key, ok := certificate.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
			p.add(path, "its RSA key has %d bits: it needs 2048 or more", key.N.BitLen())
		}
	}
	identities := make(unique)
	for i, c := range a.FederatedCredentials {
		c.examine(p, element(app+".federated_credentials", i), identities)
	}
}

func (c *FederatedCredential) examine(p *problems, at string, identities unique) {
	if problem := webProblem(c.Issuer); problem != "" {
		p.add(at+".issuer", "%s", problem)
	}
	p.text(at+".audience", c.Audience)
	if c.Subject == "" {
		p.add(at+".subject", "missing: it is the sub that the issuer's tokens have")
	}
	p.text(at+".subject", c.Subject)
	if first, twice := identities[c.Issuer+" "+c.Subject]; twice {
		p.add(at+".subject", "%s has the same issuer and subject: remove one", first)
	}
	identities[c.Issuer+" "+c.Subject] = at
	for i, key := range c.Keys {
		if problem := keyProblem(key); problem != "" {
			p.add(element(at+".keys", i), "%s", problem)
		}
	}
}

func (d *Directory) examineTenantID(p *problems, path, id string) {
	known := slices.ContainsFunc(d.Tenants, func(t Tenant) bool { return strings.EqualFold(t.ID, id) })
	if !known && !p.unsure("tenants", len(d.Tenants), "id", "domain") {
		p.add(path, "no tenant has the ID %s: add it to tenants, or use one of %s", quoted(id), d.tenantNames())
	}
}

// tenantNames are the domains, or IDs, to choose from.
func (d *Directory) tenantNames() string {
	var names []string
	for i, t := range d.Tenants {
		if i == 5 {
			names = append(names, "…")
			break
		}
		if t.Domain == "" {
			names = append(names, t.ID)
		} else {
			names = append(names, t.Domain+" ("+t.ID+")")
		}
	}
	return strings.Join(names, ", ")
}

// guid checks an ID, and that it is nobody else's if others is not nil.
func (p *problems) guid(path, id string, others unique) {
	switch {
	case id == "":
		p.add(path, "missing: it must be a GUID")
	case !isGUID(id):
		p.add(path, "%s is not a GUID, like %s", quoted(id), ConsumersTenantID)
	case others != nil:
		others.check(p, path, id)
	}
}

// text checks what people read: on one line, and in the order it is written in.
func (p *problems) text(path, text string) {
	if !utf8.ValidString(text) {
		p.add(path, "it is not UTF-8")
	}
	if i := strings.IndexFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
	}); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		p.add(path, "it has the control character %U: remove it", r)
	}
}

// word is text that is not empty and has no spaces.
func (p *problems) word(path, text string) bool {
	if text == "" {
		p.add(path, "missing: it must not be empty")
	}
	p.text(path, text)
	if strings.ContainsFunc(text, unicode.IsSpace) {
		p.add(path, "%s has a space: remove it", quoted(text))
	}
	return !p.blamed(path)
}

// secret checks a client secret without ever showing it.
func (p *problems) secret(path, secret string) {
	if secret == "" {
		p.add(path, "it is empty: write a secret, or remove it")
	}
	if !utf8.ValidString(secret) {
		p.add(path, "it is not UTF-8")
	}
}

func (p *problems) scope(path, name string) {
	if !isScope(name) {
		p.add(path, "%s is no scope: printable ASCII without spaces, quotation marks and backslashes, RFC 6749 section 3.3",
			quoted(name))
	}
}

func isScope(name string) bool {
	return name != "" &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' })
}

func containsFold(all []string, one string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, one) })
}
