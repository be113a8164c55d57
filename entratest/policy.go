package entratest

import (
	"fmt"
	"slices"
	"strings"
)

// requirement is a Conditional Access policy: this user must have signed in with these claims to get at this API.
type requirement struct {
	user     string // object ID at home
	resource string // AppID; empty: any
	claims   claimsRequest
	text     string
}

// RequireClaims puts a Conditional Access policy on a user and a resource (an App ID URI, or "" for any): the token
// endpoint answers invalid_grant, AADSTS50076, suberror basic_action and these claims, until the user has signed in
// interactively at authorize with these claims in the claims parameter; what was issued from such a sign-in passes.
// Empty claims remove the policy. It panics if there is no such user or resource, or the claims are no JSON object.
func (e *Emulator) RequireClaims(username, resource, claims string) {
	user := e.mustUser(username)
	appID := ""
	if resource != "" {
		r := e.index.Load().directory.Resource(strings.TrimSuffix(resource, "/"))
		if r.AppID == "" {
			panic("entratest: RequireClaims: no resource " + resource)
		}
		appID = r.AppID
	}
	asked, refusal := parseClaims(claims)
	if refusal != nil {
		panic("entratest: RequireClaims: the claims are no JSON object: " + claims)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.required = slices.DeleteFunc(e.required, func(r requirement) bool { return r.user == user.ObjectID && r.resource == appID })
	if asked != nil {
		e.required = append(e.required, requirement{user: user.ObjectID, resource: appID, claims: asked, text: claims})
	}
}

func (e *Emulator) mustUser(username string) *User {
	user, err := e.findUser(username)
	if err != nil {
		panic(err)
	}
	return user
}

// findUser finds a user as [Directory.User] does.
func (e *Emulator) findUser(username string) (*User, error) {
	index := e.index.Load()
	user := index.user(index.directory.User(username).Username)
	if user == nil {
		return nil, fmt.Errorf("entratest: no user %q", username)
	}
	return user, nil
}

// unmet is a policy that the sign-in's claims do not satisfy for a resource ("" while it has not been chosen: policies
// for any), if there is one.
func (e *Emulator) unmet(user *User, resource string, satisfied claimsRequest) (requirement, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.required, func(r requirement) bool {
		return r.user == user.ObjectID && (r.resource == "" || r.resource == resource) && !satisfied.includes(r.claims)
	})
	if i < 0 {
		return requirement{}, false
	}
	return e.required[i], true
}

// usable checks what Entra checks of every token it issues: consent, and Conditional Access.
func (e *Emulator) usable(user *User, app *App, s scopes, resource *Resource, satisfied claimsRequest) *oauthError {
	if !e.consented(user, app, s) {
		refusal := refuse("invalid_grant", 65001, app.ClientID)
		refusal.suberror = "consent_required"
		return refusal
	}
	if policy, unmet := e.unmet(user, resource.AppID, satisfied); unmet {
		refusal := refuse("invalid_grant", 50076, resource.AppID)
		refusal.suberror, refusal.claims = "basic_action", policy.text
		return refusal
	}
	return nil
}
