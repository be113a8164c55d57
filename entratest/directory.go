package entratest

import (
	"cmp"
	"crypto/x509"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Directory is what the emulator knows: who there is, and what may be asked for. The emulator copies it, so later
// changes to it have no effect. [ParseDirectory] reads one from JSON, with the member names of the tags, and marshalling
// writes one.
type Directory struct {
	// Apps are the app registrations.
	Apps []App `json:"apps,omitempty"`
	// Resources are the APIs tokens can be asked for. The first with ShortScopes is what scopes without a resource,
	// such as User.Read, belong to.
	Resources []Resource `json:"resources"`
	// Tenants are the organizations.
	Tenants []Tenant `json:"tenants,omitempty"`
	// Users are the people who sign in.
	Users []User `json:"users,omitempty"`
}

// Tenant is an organization, or with the ID [ConsumersTenantID] all personal accounts.
type Tenant struct {
	// Domain is a verified domain, good in place of the ID in every URL. Optional.
	Domain string `json:"domain,omitempty"`
	// ID is the tenant's GUID.
	ID string `json:"id,omitempty"`
}

// ConsumersTenantID is the tenant of personal Microsoft accounts, which "consumers" in a URL stands for.
const ConsumersTenantID = "9188040d-6c67-4c5b-b112-36a304b66dad"

// User is a person with an account in one tenant and perhaps a guest in others.
type User struct {
	// Admin users may consent for everybody in their tenant, and to the AdminScopes of a [Resource].
	Admin bool `json:"admin,omitempty"`
	// Blocked users are kept out by a Conditional Access policy, AADSTS53003, wherever they sign in.
	Blocked bool `json:"blocked,omitempty"`
	// Disabled users are refused with AADSTS50057. [Emulator.SetDisabled] changes it later.
	Disabled bool `json:"disabled,omitempty"`
	// Groups are the object IDs of the user's groups: the groups claim of ID and access tokens.
	Groups []string `json:"groups,omitempty"`
	// Guests are the user's guest accounts in other tenants.
	Guests []Guest `json:"guests,omitempty"`
	// MFARequired users have to prove a second factor at each new sign-in: the page asks for a code and takes any of
	// six digits. A session or a grant without it is refused with AADSTS50076.
	MFARequired bool `json:"mfa_required,omitempty"`
	// Name is the display name, the name claim.
	Name string `json:"name,omitempty"`
	// ObjectID is the user's GUID in the home tenant: uid in client_info, and oid there.
	ObjectID string `json:"object_id,omitempty"`
	// Password is what the sign-in page's form asks for. Empty: any will do.
	Password string `json:"password,omitempty"`
	// PasswordExpired users must set a new password on the sign-in page, AADSTS50055.
	PasswordExpired bool `json:"password_expired,omitempty"`
	// Roles are the app roles the user has, the roles claim, the same in every app.
	Roles []string `json:"roles,omitempty"`
	// SignInFrequency is the Conditional Access session control of that name: older sign-ins have to be repeated, and
	// their refresh tokens are refused with AADSTS70043. Zero: never.
	SignInFrequency time.Duration `json:"sign_in_frequency,omitempty"`
	// TenantID is the home tenant's GUID: utid in client_info.
	TenantID string `json:"tenant_id,omitempty"`
	// Username is the user principal name, like alice@contoso.example; the preferred_username claim.
	Username string `json:"username,omitempty"`
}

// Guest is a user's account in a tenant that is not their home.
type Guest struct {
	// ObjectID is the user's GUID there: the oid claim of that tenant's tokens.
	ObjectID string `json:"object_id,omitempty"`
	// TenantID is that tenant's GUID.
	TenantID string `json:"tenant_id,omitempty"`
}

// FederatedCredential lets tokens of another issuer stand for an app: workload identity federation.
type FederatedCredential struct {
	// Audience is the aud such a token must have. Empty: api://AzureADTokenExchange.
	Audience string `json:"audience,omitempty"`
	// Issuer is the iss it must have, letter for letter.
	Issuer string `json:"issuer,omitempty"`
	// Keys are the issuer's public keys. Empty: those of its OpenID Connect discovery document, fetched through
	// [Options].HTTPClient when they are needed.
	Keys []jose.JSONWebKey `json:"keys,omitempty"`
	// Subject is the sub it must have, letter for letter.
	Subject string `json:"subject,omitempty"`
}

// App is an app registration.
type App struct {
	// Assigned are the usernames of those who may use the app; others get AADSTS50105. Empty: everybody.
	Assigned []string `json:"assigned,omitempty"`
	// AsksConsent apps have no consent in advance: each user is asked, once for each permission. False: an
	// administrator has consented to everything for everybody.
	AsksConsent bool `json:"asks_consent,omitempty"`
	// Certificates are the public certificates a client assertion may be signed with, RSA of 2048 bits or more. One
	// with another kind of key can be registered, but no assertion is good with it: AADSTS700027.
	Certificates []*x509.Certificate `json:"certificates,omitempty"`
	// ClientID is the application ID, a GUID.
	ClientID string `json:"client_id,omitempty"`
	// Disabled apps get AADSTS7000112.
	Disabled bool `json:"disabled,omitempty"`
	// ExpiredSecrets were good once: AADSTS7000222.
	ExpiredSecrets []string `json:"expired_client_secrets,omitempty"`
	// FederatedCredentials are the foreign identities the app trusts to be itself.
	FederatedCredentials []FederatedCredential `json:"federated_credentials,omitempty"`
	// FrontChannelLogoutURL is loaded, in a hidden frame with the parameters iss and sid, when a user who signed in to
	// the app signs out. Empty: none.
	FrontChannelLogoutURL string `json:"front_channel_logout_url,omitempty"`
	// MultiTenant apps sign in users of every tenant, and may use the common and organizations endpoints.
	MultiTenant bool `json:"multi_tenant,omitempty"`
	// Name is for people, and for [Directory.App].
	Name string `json:"name,omitempty"`
	// Permissions are the application permissions an administrator has granted, such as
	// https://graph.microsoft.com/User.Read.All: the roles claim of tokens by client credentials.
	Permissions []string `json:"permissions,omitempty"`
	// RedirectURIs are matched exactly; those of a [Public] app that are http://localhost or http://127.0.0.1 with
	// any port, RFC 8252 section 7.3. A post_logout_redirect_uri must be one of them too.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// Secrets are the client secrets, any of which is good.
	Secrets []string `json:"client_secrets,omitempty"`
	// TenantID is the GUID of the tenant the app is registered in.
	TenantID string `json:"tenant_id,omitempty"`
	// Type says how the app proves itself at the token endpoint.
	Type AppType `json:"type"`
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

// appTypeNames are the types as the "type" member of an app's JSON has them.
var appTypeNames = []string{Confidential: "confidential", Public: "public", SPA: "spa"}

// String is the type's name: confidential, public or spa.
func (t AppType) String() string {
	if t < Confidential || t > SPA {
		return "AppType(" + strconv.Itoa(int(t)) + ")"
	}
	return appTypeNames[t]
}

// MarshalText is [AppType.String]; a type that is none of the three is an error.
func (t AppType) MarshalText() ([]byte, error) {
	if t < Confidential || t > SPA {
		return nil, errors.New("entratest: unknown " + t.String())
	}
	return []byte(t.String()), nil
}

// UnmarshalText reads confidential, public or spa, in lower case; anything else is an error.
func (t *AppType) UnmarshalText(text []byte) error {
	i := slices.Index(appTypeNames, string(text))
	if i < 0 {
		return errors.New("entratest: unknown app type: it must be one of " + strings.Join(appTypeNames, ", "))
	}
	*t = AppType(i)
	return nil
}

// Resource is an API that access tokens are for.
type Resource struct {
	// AdminScopes are those of Scopes that only an [User].Admin can consent to: AADSTS90094.
	AdminScopes []string `json:"admin_scopes,omitempty"`
	// AppID is the API's own client ID, the audience of its version 2 tokens. Two resources with one AppID are two
	// names of one API.
	AppID string `json:"app_id,omitempty"`
	// ID is the App ID URI, such as https://storage.azure.com, which stands before the scope's name.
	ID string `json:"id,omitempty"`
	// Scopes are the delegated permissions the API has. Empty: any name is accepted, and .default gives
	// user_impersonation (User.Read with ShortScopes).
	Scopes []string `json:"scopes,omitempty"`
	// ShortScopes lets scopes be written without ID, as those of Microsoft Graph, and answers name them so.
	ShortScopes bool `json:"short_scopes,omitempty"`
	// TokenVersion is the format of the access tokens, 1 or 2. Zero: 1, as an app registration's
	// requestedAccessTokenVersion of null.
	TokenVersion int `json:"token_version,omitempty"`
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
