package entratest

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxSessionApps bounds how many apps a session remembers; the newest stay. The session travels in a cookie, of which a
// browser keeps 4 KB.
const maxSessionApps = 16

// sessionApp is an app a session signed in to.
type sessionApp struct {
	ClientID string
	TenantID string `json:",omitempty"` // whose tokens the app got; empty: the user's home
}

// remember keeps a session in the browser, with the app in it that a sign-in was for, unless it was refused.
func (e *Emulator) remember(x *exchange, r *reply, s session) *reply {
	if r.err == nil {
		r.header.Add("Set-Cookie", e.withSession(x, s).String())
	}
	return r
}

// signedInTo is the session with one more app in it, for the sign-out to tell.
func (s session) signedInTo(a *authorizeRequest, user *User) session {
	if a.userCode != "" {
		return s // a device is not in this browser
	}
	app := sessionApp{ClientID: a.app.ClientID}
	if tenantID := a.tenantFor(user); tenantID != user.TenantID {
		app.TenantID = tenantID
	}
	apps := slices.DeleteFunc(slices.Clone(s.Apps), func(other sessionApp) bool { return other == app })
	apps = append(apps, app)
	s.Apps = apps[max(0, len(apps)-maxSessionApps):]
	return s
}

// continued is the session of a user who signs in again: to the apps it is the one they know, with the same sid.
func (e *Emulator) continued(x *exchange, s session) session {
	for _, old := range e.sessions(x) {
		if old.session.ObjectID == s.ObjectID {
			s.ID, s.Apps = old.session.ID, old.session.Apps
		}
	}
	return s
}

// frontChannel is what a sign-out loads of the apps, OpenID Connect Front-Channel Logout section 3: each registered
// URL with the iss and sid of the app's ID tokens.
func (e *Emulator) frontChannel(x *exchange, ended []signedIn) (frames []string) {
	for _, b := range ended {
		for _, visited := range b.session.Apps {
			app := x.directory.app(visited.ClientID)
			if app == nil || app.FrontChannelLogoutURL == "" {
				continue
			}
			tenantID := visited.TenantID
			if tenantID == "" {
				tenantID = b.user.TenantID
			}
			frames = append(frames, withQuery(app.FrontChannelLogoutURL, url.Values{
				"iss": {e.issuer(tenantID)}, "sid": {b.session.ID},
			}))
		}
	}
	return frames
}

// signedOutPage tells the user, loads the apps' frames, and then goes on to the target if there is one. Entra waits for
// the frames with a script; here the browser does: a refresh comes due once the document has loaded, frames included.
func (e *Emulator) signedOutPage(x *exchange, frames []string, target string) *reply {
	r := e.page(x, http.StatusOK, "signedout", map[string]any{
		"Title":  "You signed out of your account",
		"Text":   "It's a good idea to close all browser windows.",
		"Target": template.URL(target), // registered, so an app's own scheme may pass too
		"Frames": frames,
	})
	if target != "" {
		r.set("Refresh", "1; url="+target)
	}
	if len(frames) > 0 {
		r.set("Content-Security-Policy", r.header.Get("Content-Security-Policy")+"; frame-src "+frameSources(frames))
	}
	return r
}

// frameSources are the frames' URLs as Content Security Policy Level 3 section 2.3.1 writes them: without a query.
func frameSources(frames []string) string {
	var sources []string
	for _, frame := range frames {
		u, err := url.Parse(frame)
		if err != nil {
			continue // unreachable: withQuery parsed it
		}
		path := strings.NewReplacer(";", "%3B", ",", "%2C").Replace(u.EscapedPath())
		sources = append(sources, u.Scheme+"://"+u.Host+path)
	}
	slices.Sort(sources)
	return strings.Join(slices.Compact(sources), " ")
}
