package signin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
)

// Need is what a handler takes, said before its work, so that the user is asked for it on the way in and not in the middle of a
// form. The zero value needs a signed-in user.
type Need struct {
	// AuthenticationContexts are the IDs (c1 to c99) of Conditional Access that the sign-in must have proved, all of them. The app
	// registration must add the optional claim acrs to the ID token. Empty: none.
	// https://learn.microsoft.com/entra/identity-platform/developer-guide-conditional-access-authentication-context
	AuthenticationContexts []string
	// Roles are app roles of which the user must have one; others get 403. Empty: none.
	Roles []string
	// Scopes are those a token must be had for: a cached one costs nothing, without consent the user is asked. They may span
	// resources. Empty: none.
	Scopes []string
}

// RequireUser lets signed-in users pass to next, which finds them with [UserFrom], and sends others to sign in. needs are what
// it takes beyond that. Answers have Cache-Control: no-store unless next says otherwise. A store that is down is a 503.
func (h *Handler) RequireUser(next http.Handler, needs ...Need) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := h.userOf(r)
		switch {
		case err != nil:
			h.show(w, r, newPage(pageOf(err, PageInternal), err))
			return
		case user == nil:
			h.challenge(w, r, h.signInFor(needs))
			return
		}
		noStore(w)
		r = withUser(r, user)
		for i := range needs {
			if h.answerNeed(w, r, user, &needs[i]) {
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// LoadUser passes every request to next, which finds the user with [UserFrom] if there is one. A store that is down is a 503: a
// page for strangers would look like a sign-out.
func (h *Handler) LoadUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := h.userOf(r)
		if err != nil {
			h.show(w, r, newPage(pageOf(err, PageInternal), err))
			return
		}
		if user != nil {
			noStore(w)
			r = withUser(r, user)
		}
		next.ServeHTTP(w, r)
	})
}

// noStore keeps what a user sees out of caches. The header's key is canonical already.
func noStore(w http.ResponseWriter) { w.Header()["Cache-Control"] = noStoreValue }

var noStoreValue = []string{"no-store"}

func withUser(r *http.Request, user *User) *http.Request {
	if had, ok := UserFrom(r.Context()); ok && had == user {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), userContextKey{}, user))
}

// userOf is the user whom an outer handler has found, or the cookie's.
func (h *Handler) userOf(r *http.Request) (*User, error) {
	if user, ok := UserFrom(r.Context()); ok && user.handler == h {
		return user, nil
	}
	s, err := h.sessionOf(r)
	if err != nil || s == nil {
		return nil, err
	}
	return s.user, nil
}

// signInFor asks for all that is needed at once.
func (h *Handler) signInFor(needs []Need) *challenge {
	c := &challenge{code: "login_required"}
	var contexts []string
	for _, need := range needs {
		contexts = append(contexts, need.AuthenticationContexts...)
		for _, scope := range need.Scopes {
			if !slices.Contains(c.Scopes, scope) {
				c.Scopes = append(c.Scopes, scope)
			}
		}
	}
	if c.Scopes != nil {
		for _, scope := range h.options.Scopes {
			if !slices.Contains(c.Scopes, scope) {
				c.Scopes = append(c.Scopes, scope)
			}
		}
	}
	c.Claims = contextClaims(contexts)
	return c
}

// answerNeed reports whether something is missing, and has answered then.
func (h *Handler) answerNeed(w http.ResponseWriter, r *http.Request, user *User, need *Need) bool {
	if len(need.Roles) > 0 && !user.HasRole(need.Roles...) {
		h.show(w, r, newPage(PageForbidden, fmt.Errorf("signin: the user has none of the roles %q", need.Roles)))
		return true
	}
	for _, id := range need.AuthenticationContexts {
		if slices.Contains(user.claims.ACRs, id) {
			continue
		}
		h.challenge(w, r, &challenge{
			AccountID: user.Account.ID,
			Claims:    contextClaims(need.AuthenticationContexts),
			LoginHint: user.Account.Username,
			Scopes:    need.Scopes,
			code:      "interaction_required",
			why:       fmt.Errorf("signin: the session has not proved the authentication context %q: if it has, add the optional claim acrs to the app's ID token", id),
		})
		return true
	}
	return h.answerScopes(w, r, user, need.Scopes)
}

// answerScopes gets a token for each scope: for one resource at a time, since a token is for one.
func (h *Handler) answerScopes(w http.ResponseWriter, r *http.Request, user *User, scopes []string) bool {
	for i := range scopes {
		_, err := user.credential.GetToken(r.Context(), policy.TokenRequestOptions{EnableCAE: true, Scopes: scopes[i : i+1 : i+1]})
		if err == nil {
			continue
		}
		if required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err); ok {
			required := *required
			required.Scopes = scopes // all at once
			if h.Challenge(w, r, errors.Join(&required, err)) {
				return true
			}
		}
		h.Fail(w, r, err)
		return true
	}
	return false
}

// contextClaims asks for authentication contexts, as essential claims of the ID token, which this package looks at, and of the access
// token, which an API may.
func contextClaims(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	asked := map[string]any{"acrs": map[string]any{"essential": true, "values": ids}}
	claims, err := json.Marshal(map[string]any{"access_token": asked, "id_token": asked})
	if err != nil {
		return "" // unreachable: strings always marshal
	}
	return string(claims)
}

// Fail answers an error that no user mends: with the page of a server error, or 503 where waiting helps. It calls Challenge first.
// The error's text goes to the log alone.
func (h *Handler) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil || h.Challenge(w, r, err) {
		return
	}
	page := newPage(pageOf(err, PageInternal), err)
	if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); ok && failed.RetryAfter > 0 {
		page = newPage(PageUnavailable, err)
		page.RetryAfter = cmp.Or(failed.RetryAfter, page.RetryAfter)
	}
	h.show(w, r, page)
}
