package entratest

import (
	"net/http"
	"net/url"
)

// logout ends the browser's session, OpenID Connect RP-Initiated Logout. A post_logout_redirect_uri that an app has
// registered is followed; for any other the user stays here, as at Entra.
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
	r := e.afterLogout(x, parameters)
	r.header.Add("Set-Cookie", e.cookie("").String())
	return r
}

func (e *Emulator) afterLogout(x *exchange, parameters url.Values) *reply {
	target := parameters.Get("post_logout_redirect_uri")
	for i := range x.directory.directory.Apps {
		if target == "" || !x.directory.directory.Apps[i].redirectsTo(target) {
			continue
		}
		state := url.Values{}
		if parameters.Has("state") {
			state.Set("state", parameters.Get("state"))
		}
		return e.redirect(x, target, state)
	}
	return e.page(x, http.StatusOK, "message", map[string]any{
		"Title": "You signed out of your account",
		"Text":  "It's a good idea to close all browser windows.",
	})
}
