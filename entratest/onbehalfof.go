package entratest

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// onBehalfOfGrant is the grant_type of RFC 7523 section 2.1.
const onBehalfOfGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// sealedOrigin is the kind of sealed value in the aio claim, which at Entra too holds what only Entra is to know.
const sealedOrigin = "origin"

// redeemOnBehalfOf lets an API exchange the access token it was called with for one of another API. See "Microsoft
// identity platform and OAuth 2.0 On-Behalf-Of flow". ID tokens and SAML assertions are not exchanged.
func (e *Emulator) redeemOnBehalfOf(x *exchange, c client) (*issue, *oauthError) {
	if c.app.Type != Confidential {
		return nil, refuse("invalid_client", 7000218)
	}
	if refusal := missing(x.form, "assertion", "requested_token_use", "scope"); refusal != nil {
		return nil, refusal
	}
	if x.form.Get("requested_token_use") != "on_behalf_of" {
		return nil, refuse("invalid_request", 90023, "unsupported 'requested_token_use' value.")
	}
	if x.form.Get("requested_token_type") != "" {
		return nil, refuse("invalid_request", 90023, "unsupported 'requested_token_type' value.")
	}
	g, refusal := e.grantOf(x, c)
	if refusal != nil {
		return nil, refusal
	}
	x.user = x.directory.oid(g.ObjectID)
	user, refusal := e.accountOf(x, g)
	if refusal != nil {
		return nil, refusal
	}
	asked, refusal := e.askedFor(x, g)
	if refusal != nil {
		return nil, refusal
	}
	i := &issue{client: c, user: user, tenantID: g.TenantID, grant: g, scopes: asked, refresh: refreshToken{Family: newGUID()}}
	refusal = e.complete(x, i)
	if refusal != nil && refusal.number == 50076 {
		refusal.code = "interaction_required" // where the other grants say invalid_grant
	}
	return i, refusal
}

// grantOf finds in the assertion what the user granted at the sign-in it began with: that is as old as it was, and
// proves no more than it did.
func (e *Emulator) grantOf(x *exchange, c client) (*grant, *oauthError) {
	claims, times, err := e.openToken(x.form.Get("assertion"))
	switch {
	case errors.Is(err, errMalformedToken):
		return nil, refuse("invalid_request", 50027)
	case errors.Is(err, errUnknownKey):
		return nil, refuse("invalid_grant", 50013, "The key was not found.")
	case err != nil:
		return nil, refuse("invalid_grant", 50013, "Key was found, but use of the key to verify the signature failed.")
	case times.Expiry == nil || !x.now.Before(times.Expiry.Time()),
		times.NotBefore != nil && x.now.Before(times.NotBefore.Time()):
		expiry := time.Time{}
		if times.Expiry != nil {
			expiry = times.Expiry.Time().UTC()
		}
		return nil, refuse("invalid_grant", 500133, x.now.UTC().Format(entraTime), expiry.Format(entraTime))
	}
	tenantID, _ := claims["tid"].(string)
	_, delegated := claims["scp"]
	var g grant
	origin, _ := claims["aio"].(string)
	switch {
	case claims["idtyp"] == "app":
		return nil, refuse("unauthorized_client", 7000114, c.app.ClientID)
	case !delegated:
		return nil, refuse("invalid_grant", 50013, "The token is not an access token.")
	case !x.directory.audienceOf(c.app, times.Audience):
		return nil, refuse("invalid_grant", 500131, strings.Join(times.Audience, " "), c.app.ClientID)
	case x.authority.tenant != nil && x.authority.tenant.ID != tenantID:
		return nil, refuse("invalid_grant", 50013, "The token was issued by another tenant.")
	case !e.unseal(sealedOrigin, origin, &g):
		return nil, refuse("invalid_grant", 50013, "The token was issued before its audience was an app.")
	}
	g.ClientID, g.TenantID, g.Scopes = c.app.ClientID, tenantID, x.form.Get("scope")
	return &g, nil
}

// audienceOf reports whether an aud names the app: by its client ID, or as the API it is.
func (x *directoryIndex) audienceOf(app *App, audience []string) bool {
	return slices.ContainsFunc(audience, func(aud string) bool {
		if strings.EqualFold(aud, app.ClientID) {
			return true
		}
		resource := x.directory.Resource(strings.TrimSuffix(aud, "/"))
		return strings.EqualFold(resource.AppID, app.ClientID)
	})
}
