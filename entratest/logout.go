package entratest

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// logout ends a browser's session, OpenID Connect RP-Initiated Logout, and tells the apps it was for. A
// post_logout_redirect_uri that an app has registered is followed; for any other the user stays here, as at Entra.
// An id_token_hint is no part of Entra's documentation and changes nothing.
func (e *Emulator) logout(x *exchange) *reply {
	if m := x.request.Method; m != http.MethodGet && m != http.MethodPost {
		r := e.errorPage(x, http.StatusMethodNotAllowed, refuse("invalid_request", 900561, "GET, POST", m))
		r.set("Allow", "GET, POST")
		return r
	}
	if x.unreadable != nil {
		return e.errorPage(x, x.unreadable.httpStatus(), x.unreadable)
	}
	if !x.known {
		refusal := refuse("invalid_request", 90002, x.authority.alias)
		return e.errorPage(x, refusal.httpStatus(), refusal)
	}
	parameters := x.query
	if x.request.Method == http.MethodPost && len(x.form) > 0 {
		parameters = x.form
	}
	sessions := e.sessions(x)
	ended := endedSessions(x.directory, sessions, parameters)
	if len(sessions) > 0 && len(ended) == 0 {
		return e.signOutPage(x, sessions, parameters)
	}
	target, frames := postLogoutTarget(x.directory, parameters), e.frontChannel(x, ended)
	var r *reply
	if target != "" && len(frames) == 0 {
		r = e.redirect(x, target, nil)
	} else {
		r = e.signedOutPage(x, frames, target)
	}
	r.header.Add("Set-Cookie", e.sessionsCookie(remaining(sessions, ended)).String())
	return r
}

// remaining are the sessions that go on.
func remaining(all, ended []signedIn) []session {
	var left []session
	for _, s := range all {
		if !slices.ContainsFunc(ended, func(other signedIn) bool { return other.session.ID == s.session.ID }) {
			left = append(left, s.session)
		}
	}
	return left
}

// endedSessions are those the request is for: the one of the user in logout_hint, the one the user picked on our page by
// its sid, or the only one there is. None, where there are several: the user has to say.
func endedSessions(d *directoryIndex, all []signedIn, parameters url.Values) []signedIn {
	hinted, picked := d.claimed(parameters.Get("logout_hint")), parameters.Get("emulator_sid")
	for _, b := range all {
		if b.session.ID == picked || (hinted != nil && b.user == hinted) {
			return []signedIn{b}
		}
	}
	if len(all) == 1 {
		return all
	}
	return nil
}

// claimed is the user whose login_hint claim this is. Nil: it is nobody's. A username is none, as Entra's documentation says.
func (x *directoryIndex) claimed(loginHint string) *User {
	data, err := base64.RawURLEncoding.DecodeString(loginHint)
	objectID, _, ok := strings.Cut(string(data), " ")
	if err != nil || !ok {
		return nil
	}
	return x.oid(objectID)
}

// postLogoutTarget is where the browser goes afterwards, with the request's state. Empty: nowhere, because the request
// names no URI or one that no app has registered.
func postLogoutTarget(d *directoryIndex, parameters url.Values) string {
	target := parameters.Get("post_logout_redirect_uri")
	registered := slices.ContainsFunc(d.directory.Apps, func(a App) bool { return a.redirectsTo(target) })
	switch {
	case target == "" || !registered:
		return ""
	case parameters.Has("state"):
		return withQuery(target, url.Values{"state": {parameters.Get("state")}})
	}
	return target
}

// signOutPage asks which of several accounts to sign out of.
func (e *Emulator) signOutPage(x *exchange, sessions []signedIn, parameters url.Values) *reply {
	kept := make(map[string]string)
	for _, name := range []string{"post_logout_redirect_uri", "state"} {
		if parameters.Has(name) {
			kept[name] = parameters.Get(name)
		}
	}
	var accounts []account
	for _, s := range sessions {
		accounts = append(accounts, account{
			Username: s.user.Username, Name: cmp.Or(s.user.Name, s.user.Username), Initials: s.user.initials(), Session: s.session.ID,
		})
	}
	return e.page(x, http.StatusOK, "signout", map[string]any{
		"Title": "Pick an account", "Parameters": kept, "Sessions": accounts,
	})
}
