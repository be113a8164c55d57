package entratest

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Directory is what the emulator knows: who there is, and what may be asked for. The emulator copies it, so later
// changes to it have no effect.
type Directory struct {
	// Apps are the app registrations.
	Apps []App
	// Resources are the APIs tokens can be asked for. The first with ShortScopes is what scopes without a resource,
	// such as User.Read, belong to.
	Resources []Resource
	// Tenants are the organizations.
	Tenants []Tenant
	// Users are the people who sign in.
	Users []User
}

// Tenant is an organization.
type Tenant struct {
	// Domain is a verified domain, good in place of the ID in every URL. Optional.
	Domain string
	// ID is the tenant's GUID.
	ID string
}

// User is a person with an account in one tenant and perhaps a guest in others.
type User struct {
	// Disabled users are refused with AADSTS50057. [Emulator.SetDisabled] changes it later.
	Disabled bool
	// Guests are the user's guest accounts in other tenants.
	Guests []Guest
	// Name is the display name, the name claim.
	Name string
	// ObjectID is the user's GUID in the home tenant: uid in client_info, and oid there.
	ObjectID string
	// Password is what the sign-in page's form asks for. Empty: any will do.
	Password string
	// TenantID is the home tenant's GUID: utid in client_info.
	TenantID string
	// Username is the user principal name, like alice@contoso.example; the preferred_username claim.
	Username string
}

// Guest is a user's account in a tenant that is not their home.
type Guest struct {
	// ObjectID is the user's GUID there: the oid claim of that tenant's tokens.
	ObjectID string
	// TenantID is that tenant's GUID.
	TenantID string
}

// App is an app registration.
type App struct {
	// Certificates are the public certificates a client assertion may be signed with.
	Certificates []*x509.Certificate
	// ClientID is the application ID, a GUID.
	ClientID string
	// MultiTenant apps sign in users of every tenant, and may use the common and organizations endpoints.
	MultiTenant bool
	// Name is for people, and for [Directory.App].
	Name string
	// RedirectURIs are matched exactly; those of a [Public] app that are http://localhost or http://127.0.0.1 with
	// any port, RFC 8252 section 7.3. A post_logout_redirect_uri must be one of them too.
	RedirectURIs []string
	// Secrets are the client secrets, any of which is good.
	Secrets []string
	// TenantID is the GUID of the tenant the app is registered in.
	TenantID string
	// Type says how the app proves itself at the token endpoint.
	Type AppType
}

// AppType is the platform of an [App].
type AppType int

const (
	// Confidential apps (web) authenticate with a secret or a certificate.
	Confidential AppType = iota
	// Public apps (mobile and desktop) must not authenticate.
	Public
	// SPA apps (single-page application) do not authenticate either: they redeem from a browser, with an Origin
	// header and PKCE, and their refresh tokens last 24 hours in all.
	SPA
)

// Resource is an API that access tokens are for.
type Resource struct {
	// AppID is the API's own client ID, the audience of its version 2 tokens. Two resources with one AppID are two
	// names of one API.
	AppID string
	// ID is the App ID URI, such as https://storage.azure.com, which stands before the scope's name.
	ID string
	// Scopes are the delegated permissions the API has. Empty: any name is accepted, and .default gives
	// user_impersonation (User.Read with ShortScopes).
	Scopes []string
	// ShortScopes lets scopes be written without ID, as those of Microsoft Graph, and answers name them so.
	ShortScopes bool
	// TokenVersion is the format of the access tokens, 1 or 2. Zero: 1, as an app registration's
	// requestedAccessTokenVersion of null.
	TokenVersion int
}

// App finds an app by its name or client ID. There is none: the zero App.
func (d *Directory) App(name string) App {
	return find(d.Apps, func(a App) bool { return a.Name == name || strings.EqualFold(a.ClientID, name) })
}

// Resource finds a resource by its ID or AppID. There is none: the zero Resource.
func (d *Directory) Resource(id string) Resource {
	return find(d.Resources, func(r Resource) bool { return strings.EqualFold(r.ID, id) || strings.EqualFold(r.AppID, id) })
}

// Tenant finds a tenant by its domain, the domain's first label (contoso) or its ID. There is none: the zero Tenant.
func (d *Directory) Tenant(name string) Tenant {
	return find(d.Tenants, func(t Tenant) bool {
		label, _, _ := strings.Cut(t.Domain, ".")
		return strings.EqualFold(t.ID, name) || strings.EqualFold(t.Domain, name) || strings.EqualFold(label, name)
	})
}

// User finds a user by the username, its part before the @ (alice) or the object ID. There is none: the zero User.
func (d *Directory) User(name string) User {
	return find(d.Users, func(u User) bool {
		local, _, _ := strings.Cut(u.Username, "@")
		return strings.EqualFold(u.Username, name) || strings.EqualFold(local, name) || strings.EqualFold(u.ObjectID, name)
	})
}

// HomeAccountID is the user's ID at Entra, whatever tenant they sign in to: the object ID and the tenant ID of their
// home, joined by a dot, as clients build it from client_info.
func (u User) HomeAccountID() string { return u.ObjectID + "." + u.TenantID }

func find[T any](all []T, match func(T) bool) T {
	var none T
	if i := slices.IndexFunc(all, match); i >= 0 {
		return all[i]
	}
	return none
}

func (d *Directory) clone() *Directory {
	c := &Directory{
		Apps:      slices.Clone(d.Apps),
		Resources: slices.Clone(d.Resources),
		Tenants:   slices.Clone(d.Tenants),
		Users:     slices.Clone(d.Users),
	}
	for i := range c.Apps {
		a := &c.Apps[i]
		a.Certificates, a.RedirectURIs, a.Secrets = slices.Clone(a.Certificates), slices.Clone(a.RedirectURIs), slices.Clone(a.Secrets)
	}
	for i := range c.Resources {
		c.Resources[i].Scopes = slices.Clone(c.Resources[i].Scopes)
		c.Resources[i].TokenVersion = cmp.Or(c.Resources[i].TokenVersion, 1)
	}
	for i := range c.Users {
		c.Users[i].Guests = slices.Clone(c.Users[i].Guests)
	}
	return c
}

var guidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func isGUID(s string) bool { return guidPattern.MatchString(s) }

// check refuses a directory the emulator could only misread: a test that fails here says more than one that gets a
// puzzling AADSTS number later.
func (d *Directory) check() error {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("entratest: "+format, args...))
	}
	seen := make(map[string]bool)
	unique := func(kind, id string) {
		key := kind + " " + strings.ToLower(id)
		if seen[key] {
			bad("%s %q is there twice", kind, id)
		}
		seen[key] = true
	}
	guid := func(what, id string) {
		if !isGUID(id) {
			bad("%s %q is not a GUID", what, id)
		}
	}
	tenant := func(what, id string) {
		if !slices.ContainsFunc(d.Tenants, func(t Tenant) bool { return strings.EqualFold(t.ID, id) }) {
			bad("%s: no tenant has the ID %q", what, id)
		}
	}
	for _, t := range d.Tenants {
		guid("tenant ID", t.ID)
		unique("tenant", t.ID)
		if t.Domain != "" {
			unique("tenant", t.Domain)
		}
	}
	for _, u := range d.Users {
		guid("user "+u.Username+": object ID", u.ObjectID)
		unique("object ID", u.ObjectID)
		unique("username", u.Username)
		tenant("user "+u.Username, u.TenantID)
		for _, g := range u.Guests {
			guid("guest "+u.Username+": object ID", g.ObjectID)
			unique("object ID", g.ObjectID)
			tenant("guest "+u.Username, g.TenantID)
		}
	}
	for _, a := range d.Apps {
		guid("app "+a.Name+": client ID", a.ClientID)
		unique("client ID", a.ClientID)
		tenant("app "+a.Name, a.TenantID)
		if a.Type < Confidential || a.Type > SPA {
			bad("app %s: unknown Type %d", a.Name, a.Type)
		}
	}
	for _, r := range d.Resources {
		guid("resource "+r.ID+": AppID", r.AppID)
		unique("resource", r.ID)
		if r.TokenVersion != 1 && r.TokenVersion != 2 {
			bad("resource %s: TokenVersion is %d, not 1 or 2", r.ID, r.TokenVersion)
		}
	}
	return errors.Join(problems...)
}
