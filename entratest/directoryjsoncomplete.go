package entratest

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// complete fills in what a file may leave out, and turns the domains of tenants into their IDs.
func (d *Directory) complete(p *problems) {
	for i := range d.Tenants {
		completeTenant(p, element("tenants", i), &d.Tenants[i])
	}
	for i := range d.Users {
		d.completeUser(p, element("users", i), &d.Users[i])
	}
	for i := range d.Apps {
		d.completeApp(p, element("apps", i), &d.Apps[i])
	}
	for i := range d.Resources {
		r := &d.Resources[i]
		if r.AppID == "" {
			r.AppID = strings.TrimPrefix(r.ID, "api://")
			if !isGUID(r.AppID) {
				r.AppID = derivedID("resource", strings.ToLower(r.ID))
			}
		}
	}
}

func completeTenant(p *problems, at string, t *Tenant) {
	switch {
	case strings.EqualFold(t.ID, "consumers"):
		t.ID = ConsumersTenantID
	case t.ID == "" && t.Domain == "":
		if p.blamed(at+".domain") || p.blamed(at+".id") {
			p.hide(at + ".id")
			return
		}
		p.add(at, "it has neither a domain nor an id: write one of them")
	case t.ID == "":
		t.ID = derivedID("tenant", strings.ToLower(t.Domain))
	}
}

func (d *Directory) completeUser(p *problems, at string, u *User) {
	if u.ObjectID == "" {
		name := strings.ToLower(u.Username)
		if name == "" {
			name = at // the missing username is the problem, not IDs that are the same for that
		}
		u.ObjectID = derivedID("user", name)
	}
	if u.TenantID == "" {
		u.TenantID = d.homeOf(u.Username)
	}
	if u.TenantID == "" && u.Username == "" {
		p.hide(at + ".tenant_id")
	} else if u.TenantID == "" && !p.unsure("tenants", len(d.Tenants), "id", "domain") {
		p.add(at+".tenant_id", "missing, and no tenant has the domain of the username: write one of %s", d.tenantNames())
	}
	d.resolveTenant(p, at+".tenant_id", &u.TenantID)
	for i := range u.Guests {
		g, at := &u.Guests[i], element(at+".guests", i)
		if g.TenantID == "" {
			p.add(at+".tenant_id", "missing: write one of %s", d.tenantNames())
		}
		d.resolveTenant(p, at+".tenant_id", &g.TenantID)
		if g.ObjectID == "" {
			g.ObjectID = derivedID("guest", u.ObjectID+" "+strings.ToLower(g.TenantID))
		}
	}
}

// homeOf is the ID of the tenant a username belongs to: by its domain, or because there is no other. "": unknown.
func (d *Directory) homeOf(username string) string {
	domain := username[strings.LastIndex(username, "@")+1:]
	for _, t := range d.Tenants {
		if t.Domain != "" && strings.EqualFold(t.Domain, domain) || len(d.Tenants) == 1 {
			return t.ID
		}
	}
	return ""
}

func (d *Directory) completeApp(p *problems, at string, a *App) {
	if a.ClientID == "" {
		name := a.Name
		if name == "" {
			p.add(at+".name", "missing, and client_id too: write a name, of which the client_id is made, or a client_id")
			name = at
		}
		a.ClientID = derivedID("app", strings.ToLower(name))
	}
	if a.TenantID == "" && len(d.Tenants) > 0 {
		a.TenantID = d.Tenants[0].ID
	}
	d.resolveTenant(p, at+".tenant_id", &a.TenantID)
}

// resolveTenant makes an ID of a tenant's domain, or of consumers.
func (d *Directory) resolveTenant(p *problems, path string, id *string) {
	if strings.EqualFold(*id, "consumers") {
		*id = ConsumersTenantID
	}
	if *id == "" || isGUID(*id) || p.blamed(path) || p.unsure("tenants", len(d.Tenants), "id", "domain") {
		return
	}
	for _, t := range d.Tenants {
		if strings.EqualFold(t.Domain, *id) {
			*id = t.ID
			return
		}
	}
	p.add(path, "no tenant has the ID or domain %s: add it to tenants, or use one of %s", quoted(*id), d.tenantNames())
}

// derivedID is the UUID of a name, version 8 by SHA-256 as in RFC 9562 appendix B.2.
func derivedID(kind, name string) string {
	b := sha256.Sum256([]byte("entratest " + kind + " " + name))
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
