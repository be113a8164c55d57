package entratest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// caeAppTokenLifetime is how long the CAE tokens of apps last. See "Continuous access evaluation for workload
// identities".
const caeAppTokenLifetime = 24 * time.Hour

// issueToApp is the client credentials grant, RFC 6749 section 4.4: a token for the app itself, with the permissions
// an administrator gave it. See "OAuth 2.0 client credentials flow on the Microsoft identity platform".
func (e *Emulator) issueToApp(x *exchange, c client) (*issue, *oauthError) {
	switch {
	case c.app.Type != Confidential:
		return nil, refuse("invalid_client", 7000218)
	case x.authority.tenant == nil:
		return nil, refuse("invalid_request", 50059)
	case x.authority.tenant.ID == ConsumersTenantID:
		return nil, refuse("invalid_request", 9001023)
	case x.form.Get("scope") == "":
		return nil, refuse("invalid_request", 90014, "scope")
	}
	claims, refusal := parseClaims(x.form.Get("claims"))
	if refusal != nil {
		return nil, refusal
	}
	asked, refusal := x.directory.parseScopes(x.form.Get("scope"))
	switch {
	case refusal != nil && refusal.number != 70011:
		return nil, refusal
	case asked.resources() > 1:
		return nil, refuse("invalid_scope", 28000, asked.text)
	// The OpenID Connect scopes mean nothing here, but MSAL Go always sends them, and Entra lets it.
	case refusal != nil, len(asked.names) == 0,
		slices.ContainsFunc(asked.names, func(n scopeName) bool { return n.name != defaultScope }):
		return nil, refuse("invalid_scope", 1002012, asked.text)
	}
	return &issue{
		client:   c,
		tenantID: x.authority.tenant.ID,
		scopes:   asked,
		resource: asked.names[0].resource,
		audience: asked.names[0].audience,
		cae:      claims.cp1(),
	}, nil
}

// mintForApp makes the only token an app gets for itself: neither a refresh token nor an ID token comes with it, and
// the answer names no scope.
func (e *Emulator) mintForApp(x *exchange, i *issue) (*tokenAnswer, error) {
	lifetime := accessTokenLifetime
	if i.cae {
		lifetime = caeAppTokenLifetime
	}
	lifetime = cmp.Or(e.options.AccessTokenLifetime, lifetime)
	access, err := e.keys.current.Load().sign(e.appClaims(x, i, lifetime))
	if err != nil {
		return nil, err
	}
	return e.newAnswer(access, lifetime), nil
}

// appClaims are those of an app-only access token; oid and sub are the app's service principal in the tenant.
func (e *Emulator) appClaims(x *exchange, i *issue, lifetime time.Duration) map[string]any {
	oid := servicePrincipal(i.client.app.ClientID, i.tenantID)
	claims := e.commonClaims(x, i, lifetime)
	claims["oid"], claims["sub"], claims["idtyp"] = oid, oid, "app"
	if roles := x.directory.roles(i.client.app, i.resource); len(roles) > 0 {
		claims["roles"] = roles
	}
	if i.resource.TokenVersion != 2 {
		claims["idp"], claims["appidacr"] = claims["iss"], i.client.method
	}
	return claims
}

// roles are the app's permissions of one API. An app without any gets a token all the same: the API decides.
func (x *directoryIndex) roles(app *App, resource *Resource) []string {
	var all []string
	for _, permission := range app.Permissions {
		if r, _, name := x.locate(permission); r != nil && r.AppID == resource.AppID {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// servicePrincipal is the object ID of an app in a tenant, the same in every run.
func servicePrincipal(clientID, tenantID string) string {
	b := sha256.Sum256([]byte("service principal\x00" + strings.ToLower(clientID) + "\x00" + strings.ToLower(tenantID)))
	b[6] = b[6]&0x0f | 0x80 // RFC 9562 version 8
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// appRevoked reports whether a CAE token is one of an app that has been disabled since.
func (e *Emulator) appRevoked(claims map[string]any) error {
	clientID, _ := claims["azp"].(string)
	if v1, ok := claims["appid"].(string); ok {
		clientID = v1
	}
	switch app := e.index.Load().app(clientID); {
	case app == nil:
		return fmt.Errorf("entratest: the access token's app %s is not in the directory", strconv.Quote(clientID))
	case app.Disabled:
		return &RevokedError{Claims: nbfChallenge(e.Now())}
	}
	return nil
}
