package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/authcode-go/authcode"
)

const challengeLifetime = 15 * time.Minute

// challenge is what a sign-in must bring. In a URL it is sealed: nobody else can make a user consent to something with it.
type challenge struct {
	AccountID string    `json:"account,omitempty"` // who must sign in; "": anybody
	Claims    string    `json:"claims,omitempty"`
	Expires   time.Time `json:"expires"`
	LoginHint string    `json:"hint,omitempty"`
	Return    string    `json:"return,omitempty"`
	Scopes    []string  `json:"scopes,omitempty"`
	Silent    bool      `json:"silent,omitempty"` // without a page first
	TenantID  string    `json:"tenant,omitempty"`

	code string // for a script: login_required, interaction_required, consent_required
	why  error
}

func (c *challenge) beginOptions() authcode.BeginOptions {
	return authcode.BeginOptions{AccountID: c.AccountID, Claims: c.Claims, LoginHint: c.LoginHint, Scopes: c.Scopes, TenantID: c.TenantID}
}

// Challenge answers an error that the user can mend, and errors of the store; it reports whether it has. Look for it after
// each call that gets a token; err may wrap, and nil is none.
//
//   - An *authcode.AuthenticationRequiredError of the request's user: a page is redirected to the server and comes back here (302).
//     A script gets 401 with WWW-Authenticate and a JSON body with error, error_description and the url to navigate to. A form that
//     was posted gets a page (401) that says what happened, so that what it holds can be sent again. If the server may know the
//     user still, it is first asked without a page (prompt=none). If it says that the user's sessions are over (revoked, account
//     disabled, password changed), all of them end here too.
//   - authcode.ErrStoreUnavailable: 503 with Retry-After. Nobody is signed out for it.
//
// Any other error, and one of another account's credential, is the caller's to answer, and nothing is written. Nothing may have been
// written before.
func (h *Handler) Challenge(w http.ResponseWriter, r *http.Request, err error) bool {
	if err == nil {
		return false
	}
	required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err)
	if !ok {
		if !errors.Is(err, authcode.ErrStoreUnavailable) {
			return false
		}
		h.show(w, r, newPage(PageUnavailable, err))
		return true
	}
	user, err2 := h.userOf(r)
	if err2 != nil {
		h.show(w, r, newPage(pageOf(err2, PageInternal), err2))
		return true
	}
	if user != nil && required.AccountID != "" && h.userIndexKey(required.AccountID) != h.userIndexKey(user.Account.ID) {
		return false
	}
	c := challengeFor(required, user)
	c.why = err
	if user != nil && areSessionsOver(required) {
		if err := h.endAll(r.Context(), user.Account.ID, SignOutRevoked); err != nil {
			h.show(w, r, newPage(pageOf(err, PageInternal), err))
			return true
		}
		c.AccountID, c.Silent = "", false // whoever it is now
	}
	h.challenge(w, r, c)
	return true
}

// challengeFor says what the sign-in must bring.
func challengeFor(required *authcode.AuthenticationRequiredError, user *User) *challenge {
	c := &challenge{
		AccountID: required.AccountID,
		Claims:    required.Claims,
		LoginHint: required.LoginHint,
		Scopes:    required.Scopes,
		TenantID:  required.TenantID,
		code:      "login_required",
	}
	if user != nil {
		c.AccountID = user.Account.ID
		if c.LoginHint == "" {
			c.LoginHint = user.Account.Username
		}
	}
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](required)
	switch {
	case ok && (failed.Suberror == "consent_required" || failed.Code == "consent_required"):
		c.code = "consent_required"
	case required.Claims != "" || ok && (failed.Code == "interaction_required" || failed.Suberror == "basic_action" || failed.Suberror == "additional_action"):
		c.code = "interaction_required"
	default:
		c.Silent = user != nil // the server may know them still
	}
	return c
}

// Entra's numbers for a grant that ended together with the user's sessions: FreshTokenNeeded, password changed or reset, password
// expired, account disabled. https://learn.microsoft.com/entra/identity-platform/reference-error-codes
var sessionsOver = []int{50173, 50132, 50133, 50055, 50057}

func areSessionsOver(err error) bool {
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
	return ok && failed.Code == "invalid_grant" && failed.Claims == "" &&
		slices.ContainsFunc(failed.STSCodes, func(code int) bool { return slices.Contains(sessionsOver, code) })
}

// challenge sends the user to sign in, each kind of request in its way.
func (h *Handler) challenge(w http.ResponseWriter, r *http.Request, c *challenge) {
	c.Return = h.here(r)
	if kindOf(r) != navigation {
		c.Return = h.cameFrom(r)
	}
	protect(w.Header())
	switch kind := kindOf(r); {
	case h.isLoop(r, c.Return):
		page := newPage(PageLoop, fmt.Errorf("signin: three sign-ins within a minute led back to %s, which still wants one: %w", c.Return, c.reason()))
		h.show(w, r, page.link(h.LoginURL(c.Return), "Sign in again"))
	case kind == navigation:
		h.redirectToServer(w, r, c.beginOptions(), pending{returnTo: c.Return, silent: c.Silent, auto: true})
	default:
		h.challengeURL(w, r, c, kind)
	}
}

func (c *challenge) reason() error {
	if c.why == nil {
		return errors.New("the session is not there")
	}
	return c.why
}

// challengeURL hands out where to sign in, to those who cannot be redirected.
func (h *Handler) challengeURL(w http.ResponseWriter, r *http.Request, c *challenge, kind requestKind) {
	target, err := h.sealChallenge(r.Context(), c)
	if err != nil {
		h.show(w, r, newPage(pageOf(err, PageInternal), err))
		return
	}
	// RFC 6750 section 3 and RFC 9470 section 3, the nearest there is: a browser shows no dialog for Bearer.
	w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q, error=%q, authorization_uri=%q", h.origin, c.code, target))
	if kind == submission {
		page := newPage(PageInterrupted, c.why).link(target, "Sign in in a new tab")
		page.NewTab = true
		h.show(w, r, page)
		return
	}
	writeJSON(w, http.StatusUnauthorized, jsonError{Error: c.code, Description: challengeTexts[c.code], URL: target})
}

var challengeTexts = map[string]string{
	"consent_required":     "The user has to allow this first: navigate to url.",
	"interaction_required": "The user has to prove more about themselves first: navigate to url.",
	"login_required":       "The user has to sign in: navigate to url.",
}

func (h *Handler) sealChallenge(ctx context.Context, c *challenge) (string, error) {
	c.Expires = time.Now().Add(challengeLifetime).Round(0)
	plain, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	text, err := h.sealText(ctx, kindChallenge, "", plain)
	return h.loginPath + "?" + url.Values{"challenge": {text}}.Encode(), err
}

// openChallenge gives an error for one that is too old, or that we did not make.
func (h *Handler) openChallenge(r *http.Request, text string) (*challenge, error) {
	plain, err := h.openText(r.Context(), kindChallenge, "", text)
	if err != nil {
		return nil, err
	}
	var c challenge
	if err := json.Unmarshal(plain, &c); err != nil {
		return nil, fmt.Errorf("signin: the challenge cannot be read: %w", err)
	}
	if !time.Now().Before(c.Expires) {
		return nil, authcode.ErrFlowExpired
	}
	return &c, nil
}
