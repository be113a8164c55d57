package signin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/authcode-go/authcode"
)

// logout ends the session here and then at the server. It is a POST of a page of this app: a link or a form of another site signs
// nobody out.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		page := newPage(PageSignOut, nil)
		page.Action = h.logoutPath
		w.Header().Set("Referrer-Policy", "same-origin") // with no-referrer the form's Origin would be null
		h.show(w, r, page)
		return
	}
	if err := h.checkOrigin(r); err != nil {
		h.show(w, r, newPage(PageCrossSite, err).link(h.logoutPath, "Sign out"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
	everywhere := r.FormValue("everywhere") == "1"
	s, err := h.sessionOf(r)
	if err == nil && s != nil {
		if everywhere {
			err = h.endAll(r.Context(), s.user.Account.ID, SignOutEverywhere)
		} else {
			err = h.endSession(r.Context(), s, SignOutByUser)
		}
	}
	if err != nil { // the cookie stays: with it the same POST can be tried again
		h.show(w, r, newPage(pageOf(err, PageInternal), err))
		return
	}
	http.SetCookie(w, h.cookie(h.sessionCookieName(), "", 0))
	http.SetCookie(w, h.cookie(h.loopCookieName(), "", 0)) // somebody is there
	for _, c := range h.flowCookies(r) {
		http.SetCookie(w, h.cookie(c.Name, "", 0))
	}
	target := h.signOutURL(s)
	if kindOf(r) == script {
		writeJSON(w, http.StatusOK, jsonError{URL: target})
		return
	}
	h.seeOther(w, r, target)
}

// signOutURL ends the server's session of this user, if the server has an address for it.
func (h *Handler) signOutURL(s *session) string {
	options := authcode.SignOutOptions{PostLogoutRedirectURI: cmp.Or(h.options.PostLogoutRedirectURI, h.origin+"/")}
	if s != nil {
		options.LogoutHint = s.user.claims.LoginHint
	}
	return cmp.Or(h.app.SignOutURL(&options), returnDefault)
}

// checkOrigin refuses what another site sends. Where the browser says itself whose request it is (Fetch Metadata), that counts;
// else Origin, else Referer, else nothing does.
func (h *Handler) checkOrigin(r *http.Request) error {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	switch {
	case site != "" && site != "same-origin":
		return fmt.Errorf("signin: a %s request to sign out is refused", site)
	case origin != "" && origin != "null":
		return h.isOrigin("Origin", origin)
	case site == "same-origin":
		return nil
	}
	referer, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || referer.Host == "" || origin == "null" {
		return errors.New("signin: a request to sign out that does not say where it comes from is refused")
	}
	return h.isOrigin("Referer", referer.Scheme+"://"+referer.Host)
}

func (h *Handler) isOrigin(header, origin string) error {
	if strings.EqualFold(origin, h.origin) {
		return nil
	}
	return fmt.Errorf("signin: a request to sign out with the %s %q is refused: the app's origin is %s, that of its redirect URI", header, origin, h.origin)
}

// frontChannelLogout is OpenID Connect Front-Channel Logout 1.0 section 2: the server's page loads it in a frame, where browsers
// send none of our cookies. The sid is what it goes by, looked up on the server. The answer tells nobody whether there was a session.
func (h *Handler) frontChannelLogout(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	sid, issuer := query.Get("sid"), query.Get("iss")
	if sid == "" || len(sid) > 256 || len(query["sid"]) > 1 || len(query["iss"]) > 1 {
		h.show(w, r, newPage(PageBadRequest, errors.New("signin: a front-channel logout without one sid")))
		return
	}
	index, _, err := h.readIndex(r.Context(), h.sidIndexKey(sid))
	for _, key := range index.keys() {
		if err != nil {
			break
		}
		var s *session
		s, err = h.load(r.Context(), key, false)
		if err != nil || s == nil || issuer != "" && issuer != s.user.claims.Issuer {
			continue
		}
		err = h.endSession(r.Context(), s, SignOutFrontChannel)
	}
	if err != nil {
		h.show(w, r, newPage(pageOf(err, PageInternal), err))
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("signed out\n"))
}
