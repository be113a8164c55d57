package authcode

import (
	"slices"
	"strings"
)

// reservedScopes are those that speak of the grant and not of a resource (OpenID Connect Core 1.0 sections 3.1.2.1,
// 5.4 and 11). They are sent along with every request and do not tell one access token from another.
var reservedScopes = []string{"openid", "profile", "offline_access"}

// reserved are the scopes of a token that is for no resource: all, or with own Endpoints the one that is always sent.
func (a *App) reserved() []string {
	if a.site.own != nil {
		return reservedScopes[:1]
	}
	return reservedScopes
}

func isReserved(scope string) bool { return containsFold(reservedScopes, scope) }

// withReserved gives the scopes to send: those asked for, then the reserved ones that are missing. With own
// Endpoints only "openid" is added: whether an unknown server grants offline_access is the user's choice.
func withReserved(scopes []string, ownServer bool) string {
	all := make([]string, 0, len(scopes)+len(reservedScopes))
	for _, scope := range scopes {
		if !containsFold(all, scope) {
			all = append(all, scope)
		}
	}
	for _, scope := range reservedScopes {
		if !containsFold(all, scope) && (!ownServer || scope == "openid") {
			all = append(all, scope)
		}
	}
	return strings.Join(all, " ")
}

// scopeSet is the scopes that tell tokens apart, in one spelling: lower case, sorted, once each.
func scopeSet(scopes []string) []string {
	set := make([]string, 0, len(scopes))
	for _, scope := range scopes {
		if !isReserved(scope) {
			set = append(set, strings.ToLower(scope))
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// ofFirstResource keeps the scopes that belong to the same resource as the first one. The authorize endpoint takes
// scopes of several resources, the token endpoint of one alone (AADSTS28000), so a code asked for with several is
// redeemed for the first; the refresh token gets the others.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#redeem-a-code-for-an-access-token
func ofFirstResource(scopes []string) []string {
	first := slices.IndexFunc(scopes, func(scope string) bool { return !isReserved(scope) })
	if first < 0 {
		return scopes
	}
	resource := resourceOf(scopes[first])
	kept := make([]string, 0, len(scopes))
	for _, scope := range scopes {
		if isReserved(scope) || resourceOf(scope) == resource {
			kept = append(kept, scope)
		}
	}
	return kept
}

// resourceOf is the part before a scope's name. Bare names are Microsoft Graph's, which Entra also accepts in full.
func resourceOf(scope string) string {
	resource, _, qualified := cutLast(strings.ToLower(scope), "/")
	resource = strings.TrimRight(resource, "/")
	if !qualified || strings.HasPrefix(resource, "https://graph.microsoft.") || strings.Contains(resource, "microsoftgraph.") || strings.HasSuffix(resource, "-graph.microsoft.us") {
		return ""
	}
	return resource
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
