package authcode

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
)

// Endpoints are the addresses of an authorization server that is not laid out as Entra ID is: Azure AD B2C, a
// custom domain of External ID, or any OpenID Connect server. All are https URLs. With own Endpoints nothing is
// derived or discovered, and no tenant is checked: the issuer says whose users sign in.
type Endpoints struct {
	// Authorize is where App.Begin sends the browser (RFC 6749 section 3.1). Empty: Begin gives an error.
	Authorize string
	// EndSession is where App.SignOutURL sends the browser (OpenID Connect RP-Initiated Logout 1.0 section 2).
	// Empty: SignOutURL is empty.
	EndSession string
	// Issuer is the exact "iss" of ID tokens (OpenID Connect Core 1.0 section 2). Empty: App.Redeem gives an error.
	Issuer string
	// JWKS is the URL of the server's signing keys (RFC 7517 section 5). Empty: App.Redeem gives an error.
	JWKS string
	// Token is where codes and refresh tokens are redeemed (RFC 6749 section 3.2). Required.
	Token string
}

// check refuses what could not be used, naming the field.
func (e *Endpoints) check() error {
	if e.Token == "" {
		return errors.New("Endpoints has no Token: give the URL of the token endpoint")
	}
	for _, field := range []struct {
		name, url  string
		allowQuery bool // B2C carries its policy in the query
	}{
		{"Authorize", e.Authorize, true},
		{"EndSession", e.EndSession, true},
		{"Issuer", e.Issuer, false},
		{"JWKS", e.JWKS, true},
		{"Token", e.Token, true},
	} {
		if field.url == "" {
			continue
		}
		if _, err := checkServerURL(field.url, field.allowQuery); err != nil {
			return fmt.Errorf("invalid Endpoints.%s %s: %w", field.name, quoted(field.url), err)
		}
	}
	return nil
}

// authorityHost picks the authority as azidentity does: the options' cloud, else AZURE_AUTHORITY_HOST, else the
// public cloud. It is https always (RFC 9700 section 2.6), and a host alone: the tenant is an argument of its own.
func authorityHost(c cloud.Configuration) (string, error) {
	host, source := c.ActiveDirectoryAuthorityHost, "ClientOptions.Cloud"
	if host == "" {
		if len(c.Services) > 0 {
			return "", errors.New("ClientOptions.Cloud has Services but no ActiveDirectoryAuthorityHost: set the authority of that cloud")
		}
		host, source = os.Getenv("AZURE_AUTHORITY_HOST"), "AZURE_AUTHORITY_HOST"
	}
	if host == "" {
		host, source = cloud.AzurePublic.ActiveDirectoryAuthorityHost, "the public cloud"
	}
	u, err := checkServerURL(host, false)
	if err == nil && strings.Trim(u.Path, "/") != "" {
		err = errors.New("it has a path; the tenant is an argument of its own, and other layouts go in Endpoints")
	}
	if err != nil {
		return "", fmt.Errorf("invalid authority %s from %s: %w; give an address such as https://login.microsoftonline.com", quoted(host), source, err)
	}
	return "https://" + strings.ToLower(u.Host), nil
}

const (
	tenantADFS          = "adfs"
	tenantCommon        = "common"
	tenantOrganizations = "organizations"
)

// site is an authorization server as this app uses it: where each request of a tenant goes.
type site struct {
	host string     // authority without trailing slash; empty with own Endpoints
	own  *Endpoints // nil: derived from host and tenant
}

// endpointsOf lays out a tenant's addresses:
// https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc and, for AD FS,
// https://learn.microsoft.com/windows-server/identity/ad-fs/overview/ad-fs-openid-connect-oauth-flows-scenarios.
// Issuer and JWKS come from the discovery document.
func (s *site) endpointsOf(tenantID string) Endpoints {
	if s.own != nil {
		return *s.own
	}
	base := s.host + "/" + tenantID
	if isADFS(tenantID) {
		return Endpoints{
			Authorize:  base + "/oauth2/authorize",
			EndSession: base + "/oauth2/logout",
			Token:      s.tokenURL(tenantID),
		}
	}
	return Endpoints{
		Authorize:  base + "/oauth2/v2.0/authorize",
		EndSession: base + "/oauth2/v2.0/logout",
		Token:      s.tokenURL(tenantID),
	}
}

// tokenURL is the one of them that every request for a token needs.
func (s *site) tokenURL(tenantID string) string {
	switch {
	case s.own != nil:
		return s.own.Token
	case isADFS(tenantID):
		return s.host + "/" + tenantID + "/oauth2/token"
	}
	return s.host + "/" + tenantID + "/oauth2/v2.0/token"
}

// discoveryURL is where a tenant's metadata is (OpenID Connect Discovery 1.0 section 4).
func (s *site) discoveryURL(tenantID string) string {
	base := s.host + "/" + tenantID
	if !isADFS(tenantID) {
		base += "/v2.0"
	}
	return base + "/.well-known/openid-configuration"
}

func isADFS(tenantID string) bool { return strings.EqualFold(tenantID, tenantADFS) }

// isMultiTenant reports whether anybody's directory can answer for this tenant name.
func isMultiTenant(tenantID string) bool {
	return strings.EqualFold(tenantID, tenantCommon) || strings.EqualFold(tenantID, tenantOrganizations)
}
