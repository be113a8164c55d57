package authcode

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// heldCode is the authorization code of a plain credential until it is spent. The grant's mutex guards it.
type heldCode struct {
	code, redirectURI, verifier string

	lostOnce bool  // an answer for it was lost: it may be spent
	final    error // it is spent, or good for nothing: what every later call gets
}

const redeeming = "redeeming the authorization code"

// redeemHeld redeems the code if there is one. served means that the token is the one this call asked for; another
// caller's is in the cache by then.
func (g *grant) redeemHeld(ctx context.Context, q query) (access azcore.AccessToken, served bool, err error) {
	held, err := g.codeHeld()
	if !held || err != nil {
		return azcore.AccessToken{}, false, err
	}
	if err := pauses.wait(ctx, g.app.site.endpointsOf(g.app.tenants.home).Token); err != nil {
		return azcore.AccessToken{}, false, err
	}
	got, err := g.turns.Do(ctx, turnKey{redeem: true}, func(ctx context.Context) (outcome, error) {
		return inFlight(ctx, g.app, func(ctx context.Context) (outcome, error) { return g.redeemCode(ctx, q) })
	})
	return got.access, err == nil && got.turn == q.turn(), err
}

func (g *grant) codeHeld() (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.code == nil {
		return false, nil
	}
	return true, g.code.final
}

// redeemCode is the turn that sends the code. The code goes to the credential's own tenant, which issued it; a caller
// who asked for another is served by the refresh token afterwards.
func (g *grant) redeemCode(ctx context.Context, q query) (outcome, error) {
	g.mu.Lock()
	held := g.code
	g.mu.Unlock()
	if held == nil || held.final != nil { // the turn before this one
		_, err := g.codeHeld()
		return outcome{}, err
	}
	if !q.key.home {
		q = query{key: g.app.keyFor(g.app.tenants.home, q.scopes, q.key.cae), scopes: q.scopes}
	}
	began := time.Now()
	answer, failed := g.app.post(ctx, g.app.codeRequest(held.code, held.redirectURI, held.verifier, q))
	token, account, err := g.settleCode(held, q, answer, failed)
	event := Event{Kind: EventRedeem, Duration: time.Since(began), Err: err, TenantID: q.key.tenant}
	if err == nil {
		event.GrantedScope = answer.scope
	}
	g.app.emit(ctx, event, account.ID)
	return outcome{token.access, q.turn()}, err
}

// codeRequest is RFC 6749 section 4.1.3 with RFC 7636 section 4.5, and what Entra adds:
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#redeem-a-code-for-an-access-token
func (a *App) codeRequest(code, redirectURI, verifier string, q query) tokenRequest {
	form := a.newForm("authorization_code", q.scopes)
	form.Set("code", code)
	form.Set("redirect_uri", redirectURI)
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	a.setClaims(form, q.claims, q.key.cae)
	return tokenRequest{
		doing:    redeeming,
		form:     form,
		once:     true,
		tenantID: q.key.tenant,
		timeout:  redeemWindow,
	}
}

// settleCode keeps the code or drops it for good.
func (g *grant) settleCode(held *heldCode, q query, answer *tokenAnswer, failed *failure) (cachedToken, Account, error) {
	if failed != nil {
		return cachedToken{}, Account{}, g.keepOrEnd(held, q, failed)
	}
	var claims *idClaims
	if answer.idToken != "" {
		claims, _ = parseIDToken(answer.idToken) // unreadable: the access token works all the same
	}
	account, who, _ := newAccount(answer.clientInfo, claims)
	token, err := g.begin(q.key, answer, account, who)
	return token, account, err
}

// keepOrEnd decides what is left of the code after a failure.
func (g *grant) keepOrEnd(held *heldCode, q query, failed *failure) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.app.isClosed() {
		return ErrClosed
	}
	err := codeError(q, failed, held.lostOnce)
	switch {
	case failed.fate == unsent:
		advise(failed, "the code is kept: call again")
	case failed.fate == lost && !held.lostOnce:
		held.lostOnce = true
		advise(failed, "the code is kept for one more call, in case it was not processed")
	default:
		held.code, held.verifier = "", ""
		held.final = err
	}
	return err
}

// codeError gives the error of a failed redemption. What a new sign-in mends is an *AuthenticationRequiredError.
func codeError(q query, failed *failure, lostOnce bool) error {
	server := failed.server()
	if lostOnce && failed.fate != unsent {
		advise(failed, "an earlier answer for this code was lost, so it was probably redeemed then: start a new sign-in")
	}
	if server == nil || failed.fate != answered || !mendedBySignIn(server) {
		return failed.err
	}
	e := &AuthenticationRequiredError{Claims: orElse(server.Claims, q.claims), Scopes: q.scopes, TenantID: q.key.tenant, cause: server}
	return e
}

func mendedBySignIn(e *AuthenticationFailedError) bool {
	return e.Code == "invalid_grant" || e.Code == "login_required" || isAboutRequest(e)
}

func advise(failed *failure, next string) {
	if e, ok := errors.AsType[*AuthenticationFailedError](failed.err); ok && e.next == "" {
		e.next = next
	}
}
