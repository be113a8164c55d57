package entratest

import (
	"cmp"
	"slices"
	"strings"
)

// directoryIndex answers the handlers' questions about the directory. It never changes.
type directoryIndex struct {
	directory *Directory
	apps      map[string]*App
	tenants   map[string]*Tenant // by lower-case ID and domain
	users     map[string]*User   // by lower-case username
	userByOID map[string]*User   // by home or guest object ID, lower case
	graph     *Resource          // the resource of scopes without one; may be nil
	// resourceIDs are what may stand before a scope's name, longest first, so that of api://a and api://a/b the
	// right one is found.
	resourceIDs []resourceID
}

type resourceID struct {
	text     string
	resource *Resource
}

func newDirectoryIndex(d *Directory) (*directoryIndex, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	x := &directoryIndex{
		directory: d,
		apps:      make(map[string]*App),
		tenants:   make(map[string]*Tenant),
		users:     make(map[string]*User),
		userByOID: make(map[string]*User),
	}
	for i := range d.Apps {
		x.apps[strings.ToLower(d.Apps[i].ClientID)] = &d.Apps[i]
	}
	for i := range d.Tenants {
		t := &d.Tenants[i]
		x.tenants[strings.ToLower(t.ID)] = t
		if t.Domain != "" {
			x.tenants[strings.ToLower(t.Domain)] = t
		}
	}
	for i := range d.Users {
		u := &d.Users[i]
		x.users[strings.ToLower(u.Username)] = u
		x.userByOID[strings.ToLower(u.ObjectID)] = u
		for _, g := range u.Guests {
			x.userByOID[strings.ToLower(g.ObjectID)] = u
		}
	}
	for i := range d.Resources {
		r := &d.Resources[i]
		if r.ShortScopes && x.graph == nil {
			x.graph = r
		}
		x.resourceIDs = append(x.resourceIDs, resourceID{strings.TrimSuffix(r.ID, "/"), r}, resourceID{r.AppID, r})
	}
	slices.SortStableFunc(x.resourceIDs, func(a, b resourceID) int { return cmp.Compare(len(b.text), len(a.text)) })
	return x, nil
}

func (x *directoryIndex) app(clientID string) *App   { return x.apps[strings.ToLower(clientID)] }
func (x *directoryIndex) user(username string) *User { return x.users[strings.ToLower(username)] }
func (x *directoryIndex) oid(objectID string) *User  { return x.userByOID[strings.ToLower(objectID)] }

// authority is the first segment of an endpoint's path: a tenant, or a door to many.
type authority struct {
	alias  string  // as the client wrote it
	tenant *Tenant // nil for common and organizations
}

// authority resolves a tenant alias; ok is false where there is no such tenant.
func (x *directoryIndex) authority(alias string) (authority, bool) {
	lower := strings.ToLower(alias)
	switch lower {
	case "common", "organizations":
		return authority{alias: lower}, true
	case "consumers":
		lower = ConsumersTenantID
	}
	t := x.tenants[lower]
	return authority{alias: alias, tenant: t}, t != nil
}

// segment is how Entra's own documents name the authority: the tenant's ID, or the alias of a door to many.
func (a authority) segment() string {
	if a.tenant == nil {
		return a.alias
	}
	return a.tenant.ID
}

// objectID is the user's ID in a tenant: at home, as a guest, or none.
func (u *User) objectID(tenantID string) (id string, member bool) {
	if strings.EqualFold(u.TenantID, tenantID) {
		return u.ObjectID, true
	}
	for _, g := range u.Guests {
		if strings.EqualFold(g.TenantID, tenantID) {
			return g.ObjectID, true
		}
	}
	return "", false
}

// available reports whether the app can be used in a tenant: its own, or any if it is multi-tenant.
func (a *App) available(tenantID string) bool {
	return a.MultiTenant || strings.EqualFold(a.TenantID, tenantID)
}
