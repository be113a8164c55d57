package entratest

import (
	"cmp"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
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

// Tenant is an organization, or with the ID [ConsumersTenantID] all personal accounts.
type Tenant struct {
	// Domain is a verified domain, good in place of the ID in every URL. Optional.
	Domain string
	// ID is the tenant's GUID.
	ID string
}

// ConsumersTenantID is the tenant of personal Microsoft accounts, which "consumers" in a URL stands for.
const ConsumersTenantID = "9188040d-6c67-4c5b-b112-36a304b66dad"

// User is a person with an account in one tenant and perhaps a guest in others.
type User struct {
	// Admin users may consent for everybody in their tenant, and to the AdminScopes of a [Resource].
	Admin bool
	// Blocked users are kept out by a Conditional Access policy, AADSTS53003, wherever they sign in.
	Blocked bool
	// Disabled users are refused with AADSTS50057. [Emulator.SetDisabled] changes it later.
	Disabled bool
	// Groups are the object IDs of the user's groups: the groups claim of ID and access tokens.
	Groups []string
	// Guests are the user's guest accounts in other tenants.
	Guests []Guest
	// MFARequired users have to prove a second factor at each new sign-in: the page asks for a code and takes any of
	// six digits. A session or a grant without it is refused with AADSTS50076.
	MFARequired bool
	// Name is the display name, the name claim.
	Name string
	// ObjectID is the user's GUID in the home tenant: uid in client_info, and oid there.
	ObjectID string
	// Password is what the sign-in page's form asks for. Empty: any will do.
	Password string
	// PasswordExpired users must set a new password on the sign-in page, AADSTS50055.
	PasswordExpired bool
	// Roles are the app roles the user has, the roles claim, the same in every app.
	Roles []string
	// SignInFrequency is the Conditional Access session control of that name: older sign-ins have to be repeated, and
	// their refresh tokens are refused with AADSTS70043. Zero: never.
	SignInFrequency time.Duration
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

// FederatedCredential lets tokens of another issuer stand for an app: workload identity federation.
type FederatedCredential struct {
	// Audience is the aud such a token must have. Empty: api://AzureADTokenExchange.
	Audience string
	// Issuer is the iss it must have, letter for letter.
	Issuer string
	// Keys are the issuer's public keys. Empty: those of its OpenID Connect discovery document, fetched through
	// [Options].HTTPClient when they are needed.
	Keys []jose.JSONWebKey
	// Subject is the sub it must have, letter for letter.
	Subject string
}

// App is an app registration.
type App struct {
	// Assigned are the usernames of those who may use the app; others get AADSTS50105. Empty: everybody.
	Assigned []string
	// AsksConsent apps have no consent in advance: each user is asked, once for each permission. False: an
	// administrator has consented to everything for everybody.
	AsksConsent bool
	// Certificates are the public certificates a client assertion may be signed with.
	Certificates []*x509.Certificate
	// ClientID is the application ID, a GUID.
	ClientID string
	// Disabled apps get AADSTS7000112.
	Disabled bool
	// ExpiredSecrets were good once: AADSTS7000222.
	ExpiredSecrets []string
	// FederatedCredentials are the foreign identities the app trusts to be itself.
	FederatedCredentials []FederatedCredential
	// FrontChannelLogoutURL is loaded, in a hidden frame with the parameters iss and sid, when a user who signed in to
	// the app signs out. Empty: none.
	FrontChannelLogoutURL string
	// MultiTenant apps sign in users of every tenant, and may use the common and organizations endpoints.
	MultiTenant bool
	// Name is for people, and for [Directory.App].
	Name string
	// Permissions are the application permissions an administrator has granted, such as
	// https://graph.microsoft.com/User.Read.All: the roles claim of tokens by client credentials.
	Permissions []string
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
	// AdminScopes are those of Scopes that only an [User].Admin can consent to: AADSTS90094.
	AdminScopes []string
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
		a.Assigned, a.Certificates, a.ExpiredSecrets = slices.Clone(a.Assigned), slices.Clone(a.Certificates), slices.Clone(a.ExpiredSecrets)
		a.Permissions, a.RedirectURIs, a.Secrets = slices.Clone(a.Permissions), slices.Clone(a.RedirectURIs), slices.Clone(a.Secrets)
		a.FederatedCredentials = slices.Clone(a.FederatedCredentials)
		for j := range a.FederatedCredentials {
			a.FederatedCredentials[j].Keys = slices.Clone(a.FederatedCredentials[j].Keys)
		}
	}
	for i := range c.Resources {
		c.Resources[i].AdminScopes = slices.Clone(c.Resources[i].AdminScopes)
		c.Resources[i].Scopes = slices.Clone(c.Resources[i].Scopes)
		c.Resources[i].TokenVersion = cmp.Or(c.Resources[i].TokenVersion, 1)
	}
	for i := range c.Users {
		u := &c.Users[i]
		u.Groups, u.Guests, u.Roles = slices.Clone(u.Groups), slices.Clone(u.Guests), slices.Clone(u.Roles)
	}
	return c
}
