package signin

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/authcode-go/authcode"
)

// login begins a sign-in that somebody asked for: by a link of the app's, or with the challenge that a script was given.
func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	if kindOf(r) != navigation {
		// An image or a script of another site must not push the sign-ins under way out of the browser.
		h.show(w, r, newPage(PageBadRequest, errors.New("signin: login is a page to navigate to, not to fetch")))
		return
	}
	query := r.URL.Query()
	returnTo := returnDefault
	if query.Has("return") {
		returnTo = query.Get("return")
		if err := checkReturnURL(returnTo); err != nil {
			h.show(w, r, newPage(PageReturnURL, fmt.Errorf("signin: %w", err)))
			return
		}
	}
	p := pending{returnTo: h.returnOrRoot(returnTo)}
	options := authcode.BeginOptions{LoginHint: query.Get("login_hint")}
	switch prompt := query.Get("prompt"); prompt {
	case "", "select_account", "login":
		options.Prompt = prompt
	default:
		h.show(w, r, newPage(PageBadRequest, fmt.Errorf("signin: prompt %q is not for a link: use select_account, login or none at all", prompt)))
		return
	}
	if query.Has("challenge") {
		c, err := h.openChallenge(r, query.Get("challenge"))
		if err != nil {
			h.show(w, r, newPage(pageOf(err, PageBadRequest), err))
			return
		}
		options, p.silent = c.beginOptions(), c.Silent
		if !query.Has("return") {
			p.returnTo = h.returnOrRoot(c.Return)
		}
	}
	h.redirectToServer(w, r, options, p)
}

// redirectToServer begins a flow and sends the browser away with it.
func (h *Handler) redirectToServer(w http.ResponseWriter, r *http.Request, options authcode.BeginOptions, p pending) {
	target, err := h.begin(w, r, options, p)
	if err != nil {
		h.show(w, r, newPage(pageOf(err, PageInternal), err))
		return
	}
	protect(w.Header())
	http.Redirect(w, r, target, http.StatusFound)
}
