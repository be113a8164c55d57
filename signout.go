package authcode

import "net/url"

// SignOutOptions are the optional parts of [App.SignOutURL].
type SignOutOptions struct {
	// LogoutHint is the account's login_hint claim, an optional claim of the ID token: with it Entra does not ask which
	// account to sign out. Empty: it may ask.
	LogoutHint string
	// PostLogoutRedirectURI is where the user comes back to; it must be registered. Empty: they stay at the server.
	PostLogoutRedirectURI string
}

// SignOutURL is where to send the browser to end the user's session at the server
// (https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#send-a-sign-out-request). Call Forget first,
// and end your own session. options may be nil. With own Endpoints without EndSession it is empty.
func (a *App) SignOutURL(options *SignOutOptions) string {
	endSession := a.site.endpointsOf(a.tenants.home).EndSession
	if endSession == "" {
		return ""
	}
	query := url.Values{}
	if a.site.own != nil {
		query.Set("client_id", a.clientID) // OpenID Connect RP-Initiated Logout 1.0 section 2
	}
	if options != nil && options.LogoutHint != "" {
		query.Set("logout_hint", options.LogoutHint)
	}
	if options != nil && options.PostLogoutRedirectURI != "" {
		query.Set("post_logout_redirect_uri", options.PostLogoutRedirectURI)
	}
	if len(query) == 0 {
		return endSession
	}
	return endSession + querySeparator(endSession) + query.Encode()
}
