package signin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/authcode-go/authcode"
)

const maxCallbackQuery = 16 << 10 // bytes; Entra's codes have 1 to 2 KB

// callback ends a sign-in. Nothing in it is believed before the state was found in a cookie of this browser.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request) {
	response, err := callbackParameters(r.URL.RawQuery)
	if err != nil {
		h.show(w, r, newPage(pageOf(err, PageBadRequest), err).link(h.LoginURL(returnDefault), "Sign in"))
		return
	}
	state := response.Get("state")
	p, err := h.pendingOf(r, state)
	switch {
	case err != nil:
		h.show(w, r, newPage(pageOf(err, PageUnavailable), err).tryAgain())
	case p == nil:
		h.strayCallback(w, r, hashState(state))
	case !time.Now().Before(p.flow.Expires):
		h.dropFlow(w, state)
		h.show(w, r, newPage(PageExpired, authcode.ErrFlowExpired).link(h.LoginURL(p.returnTo), "Sign in"))
	case response.Has("error"):
		h.errorCallback(w, r, p, response)
	default:
		h.codeCallback(w, r, p, response)
	}
}

// callbackParameters refuses what no server of ours sends, before anything is opened or read.
func callbackParameters(query string) (url.Values, error) {
	if len(query) > maxCallbackQuery {
		return nil, fmt.Errorf("%w: the callback has %d bytes", authcode.ErrStateMismatch, len(query))
	}
	response, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("%w: the callback's query cannot be read", authcode.ErrStateMismatch)
	}
	if states := response["state"]; len(states) != 1 || !isState(states[0]) {
		return nil, fmt.Errorf("%w: the callback has no state of ours", authcode.ErrStateMismatch)
	}
	if response.Has("error") {
		return response, nil
	}
	switch codes := response["code"]; {
	case len(codes) > 1:
		return nil, errors.New("signin: the callback has more than one code: start the sign-in again")
	case strings.TrimSpace(response.Get("code")) == "":
		return nil, errors.New("signin: the callback has neither a code nor an error: start the sign-in again")
	}
	return response, nil
}

// strayCallback has no flow in this browser. If the browser's session came from it, it is a refresh or the back button.
func (h *Handler) strayCallback(w http.ResponseWriter, r *http.Request, state stateHash) {
	s, err := h.sessionOf(r)
	if err != nil {
		h.show(w, r, newPage(pageOf(err, PageInternal), err).tryAgain())
		return
	}
	if landed := s.landed(state); landed != nil {
		h.seeOther(w, r, landed.Return)
		return
	}
	page := newPage(PageMismatch, fmt.Errorf("%w (asked for at host %q; the app's origin is %s)", authcode.ErrStateMismatch, r.Host, h.origin))
	h.show(w, r, page.link(h.LoginURL(returnDefault), "Sign in"))
}

// errorCallback is the server's refusal. Nothing is redeemed, so a duplicate may go the same way.
func (h *Handler) errorCallback(w http.ResponseWriter, r *http.Request, p *pending, response url.Values) {
	_, err := h.app.Redeem(r.Context(), p.flow, response)
	failed, refused := errors.AsType[*authcode.AuthenticationFailedError](err)
	refused = refused && failed.Code != ""
	if p.silent && refused {
		h.dropFlow(w, p.flow.State)
		h.redirectToServer(w, r, h.onceMore(r, p, failed.Claims), pending{returnTo: p.returnTo, auto: p.auto})
		return
	}
	if failed != nil && failed.Temporary() {
		h.show(w, r, newPage(PageUnavailable, err).tryAgain())
		return
	}
	page := newPage(pageOfRefusal(p, err), err)
	if refused && failed.Code == "access_denied" {
		page = newPage(PageDenied, err)
	}
	h.show(w, r, page.link(h.LoginURL(p.returnTo), "Try again"))
}

// onceMore begins the same sign-in again, for the same user.
func (h *Handler) onceMore(r *http.Request, p *pending, claims string) authcode.BeginOptions {
	options := authcode.BeginOptions{AccountID: p.flow.AccountID, Claims: claims, Scopes: p.flow.Scopes, TenantID: p.flow.TenantID}
	if s, err := h.sessionOf(r); err == nil && s != nil && options.AccountID != "" {
		options.LoginHint = s.user.Account.Username
	}
	return options
}

func (h *Handler) codeCallback(w http.ResponseWriter, r *http.Request, p *pending, response url.Values) {
	old, err := h.sessionOf(r)
	if err != nil {
		h.show(w, r, newPage(pageOf(err, PageInternal), err).tryAgain())
		return
	}
	// The user at the start is the user at the end: a step-up of one does not end in the session of another.
	if p.flow.AccountID != "" && old != nil && h.userIndexKey(old.user.Account.ID) != h.userIndexKey(p.flow.AccountID) {
		h.dropFlow(w, p.flow.State)
		h.show(w, r, newPage(PageOtherUser, errors.New("signin: another user has signed in with this browser since the sign-in began")).link(p.returnTo, "Continue"))
		return
	}
	id := newSessionID(p.seed[:])
	key := id.key()
	l := landing{h: h, p: p, response: response, key: key, old: old, agent: agentOf(r)}
	exists := func(ctx context.Context) (bool, error) {
		s, err := h.find(ctx, key)
		return s != nil, err
	}
	result, err := h.claimed(r.Context(), hashState(p.flow.State), exists, l.land)
	switch {
	case err != nil:
		h.show(w, r, newPage(pageOf(err, cmp.Or(result.failed, PageInternal)), err).tryAgain())
	case result.again:
		h.show(w, r, newPage(result.failed, nil).refer(result.reference).tryAgain())
	case result.claims != "" && !p.stepped:
		h.dropFlow(w, p.flow.State)
		h.redirectToServer(w, r, h.onceMore(r, p, result.claims), pending{returnTo: p.returnTo, auto: p.auto, stepped: true})
	case result.failed != "":
		// The cookie stays for its time: a refresh shows the same page.
		h.show(w, r, newPage(result.failed, nil).refer(result.reference).link(h.LoginURL(p.returnTo), "Try again"))
	default:
		h.arrive(w, r, p, id)
	}
}

// arrive gives the browser its session. One that has ended since is not brought back by a duplicate.
func (h *Handler) arrive(w http.ResponseWriter, r *http.Request, p *pending, id sessionID) {
	s, err := h.find(r.Context(), id.key())
	if err != nil {
		h.show(w, r, newPage(pageOf(err, PageInternal), err).tryAgain())
		return
	}
	h.dropFlow(w, p.flow.State)
	if s != nil {
		h.setSessionCookie(w, id)
	}
	if p.auto {
		h.countLoop(w, r, p.returnTo)
	}
	h.seeOther(w, r, p.returnTo)
}

// seeOther leaves the callback: 303, never 307 (RFC 9700 section 4.12).
func (h *Handler) seeOther(w http.ResponseWriter, r *http.Request, target string) {
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// landing is the work of one callback, done once.
type landing struct {
	h        *Handler
	p        *pending
	response url.Values
	key      sessionKey
	old      *session // of this browser
	agent    string
}

func (l *landing) land(ctx context.Context) outcome {
	failed, again, err := l.signIn(ctx)
	if err == nil {
		return outcome{}
	}
	if again && failed == PageFailed {
		failed = PageUnavailable
	}
	reference := newReference()
	l.h.options.Logger.ErrorContext(ctx, "signin: a sign-in failed", "page", string(failed), "reference", reference, "error", err)
	result := outcome{failed: failed, reference: reference, again: again}
	if required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err); ok {
		result.claims = required.Claims
	}
	return result
}

// signIn redeems the code and makes the session. again: the same callback may do better later.
func (l *landing) signIn(ctx context.Context) (failed PageKind, again bool, err error) {
	h := l.h
	credential, err := h.app.Redeem(ctx, l.p.flow, l.response)
	if err != nil {
		return pageOfRefusal(l.p, err), isPassing(err), err
	}
	account, err := credential.Account(ctx)
	if err != nil {
		return PageFailed, isPassing(err), err
	}
	now := time.Now().Round(0)
	user := h.newUser(account, l.key, now)
	if err := h.admit(ctx, user); err != nil {
		return PageRefused, false, errors.Join(err, h.forgetIfAlone(ctx, account.ID))
	}
	record := sessionRecord{Agent: l.agent, Seen: now, SignedIn: now}
	if record.Account, err = account.MarshalBinary(); err != nil {
		return PageInternal, false, err
	}
	if l.old != nil {
		record.Flows = l.old.record.Flows
	}
	state := hashState(l.p.flow.State)
	record.Flows = append(record.Flows[:len(record.Flows):len(record.Flows)], landedFlow{Return: l.p.returnTo, State: state[:]})
	record.Flows = record.Flows[max(0, len(record.Flows)-maxFlowsKept):]
	created, err := h.createSession(ctx, l.key, user, record)
	switch {
	case err != nil:
		return PageUnavailable, true, err
	case !created:
		return PageFailed, false, errors.New("signin: the user signed out everywhere while they were signing in")
	}
	if l.old != nil && l.old.key != l.key {
		if err := h.replaceSession(ctx, l.old, user); err != nil {
			h.options.Logger.WarnContext(ctx, "signin: the session before a sign-in could not be ended", "error", err)
		}
	}
	h.options.Logger.InfoContext(ctx, "signin: signed in", "account", account.ID, "tenant", account.TenantID)
	return "", false, nil
}

// admit asks OnSignIn.
func (h *Handler) admit(ctx context.Context, user *User) (err error) {
	if h.options.OnSignIn == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("signin: OnSignIn panicked (%T)", p)
		}
	}()
	if err := h.options.OnSignIn(ctx, user); err != nil {
		return fmt.Errorf("signin: OnSignIn refused the account: %w", err)
	}
	return nil
}

// forgetIfAlone drops the grant of a user who may not come in, unless a session of theirs lives by it.
func (h *Handler) forgetIfAlone(ctx context.Context, accountID string) error {
	index, _, err := h.readIndex(ctx, h.userIndexKey(accountID))
	if err != nil || len(index.Sessions) > 0 || h.options.KeepGrants {
		return err
	}
	return h.app.Forget(ctx, accountID)
}

// pageOfRefusal tells what the server refused from what is wrong with the callback itself.
func pageOfRefusal(p *pending, err error) PageKind {
	_, server := errors.AsType[*authcode.AuthenticationFailedError](err)
	_, required := errors.AsType[*authcode.AuthenticationRequiredError](err)
	switch {
	case server:
		return pageOf(err, PageFailed)
	case required && p.flow.AccountID != "":
		return PageOtherUser
	}
	return pageOf(err, PageBadRequest)
}

// isPassing reports whether the same callback may do better later: nothing was sent, or its answer was lost. The App sends a code at
// most once more, and an answered one never.
func isPassing(err error) bool {
	if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); required {
		return false
	}
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
	return !ok || failed.Temporary() // what else it may be, no code was sent
}

func agentOf(r *http.Request) string {
	agent := r.UserAgent()
	return string(bytes.ToValidUTF8([]byte(agent[:min(len(agent), maxAgent)]), nil))
}
