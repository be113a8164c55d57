package authcode

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// heldCode is the authorization code of a plain credential until it is spent.
type heldCode struct {
	codeState
	code, redirectURI, verifier string
}

const redeeming = "redeeming the authorization code"

// redeemHeld redeems the code if there is one. served means that the token is the one this call asked for; another
// caller's is in the cache by then.
func (g *grant) redeemHeld(ctx context.Context, q query) (access azcore.AccessToken, served bool, err error) {
	held := g.heldCode()
	if held == nil {
		return azcore.AccessToken{}, false, nil
	}
	if err := held.ended(); err != nil {
		return azcore.AccessToken{}, false, err
	}
	if err := pauses.wait(ctx, g.app.site.tokenURL(g.app.tenants.home)); err != nil {
		return azcore.AccessToken{}, false, err
	}
	got, err := g.turns.Do(ctx, turnKey{kind: turnRedeem}, func(ctx context.Context) (outcome, error) {
		return inFlight(ctx, g.app, func(ctx context.Context) (outcome, error) { return g.redeemCode(ctx, q) })
	})
	return got.access, err == nil && got.turn == q.turn(), err
}

func (g *grant) heldCode() *heldCode {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.code
}

// redeemCode is the turn that sends the code. The code goes to the credential's own tenant, which issued it; a caller
// who asked for another is served by the refresh token afterwards.
func (g *grant) redeemCode(ctx context.Context, q query) (outcome, error) {
	held := g.heldCode()
	if held == nil { // the turn before this one
		return outcome{}, nil
	}
	if err := held.ended(); err != nil {
		return outcome{}, err
	}
	if !q.key.home {
		q = query{key: g.app.keyFor(g.app.tenants.home, q.key.asked, q.key.cae)}
	}
	began := time.Now()
	answer, failed := g.app.post(ctx, g.app.codeRequest(held.code, held.redirectURI, held.verifier, q))
	var token cachedToken
	var account Account
	var err error
	if failed != nil {
		err = held.settle(failed, "call again", AuthenticationRequiredError{Claims: q.claims, Scopes: q.key.asked, TenantID: q.key.tenant})
	} else {
		token, account, err = g.accept(q, answer)
	}
	g.app.report(ctx, EventRedeem, began, q, answer, account.ID, err)
	return outcome{token.access, q.turn()}, err
}

// codeRequest is RFC 6749 section 4.1.3 with RFC 7636 section 4.5, and what Entra adds:
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#redeem-a-code-for-an-access-token
func (a *App) codeRequest(code, redirectURI, verifier string, q query) tokenRequest {
	form := a.newForm("authorization_code", q.key.asked)
	form.add("code", code)
	form.add("redirect_uri", redirectURI)
	if verifier != "" {
		form.add("code_verifier", verifier)
	}
	a.setClaims(&form, q.claims, q.key.cae)
	return tokenRequest{
		doing:    redeeming,
		form:     form,
		once:     true,
		tenantID: q.key.tenant,
		timeout:  redeemWindow,
	}
}

// accept keeps the grant that the code left. Whose it is need not be known.
func (g *grant) accept(q query, answer *tokenAnswer) (cachedToken, Account, error) {
	account, who, _ := newAccount(answer.clientInfo, answer.claims())
	token, err := g.begin(q.key, answer, account, who)
	return token, account, err
}

// codeState is what became of a code: it is kept while it may be good, sent at most once more after a lost answer, and never
// again once the server has answered.
type codeState struct {
	mu       sync.Mutex
	lostOnce bool  // an answer for it was lost: it may be spent
	final    error // it is spent, or good for nothing: what every later call gets
}

func (s *codeState) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.final
}

// settle decides after a failure what is left of the code, and makes the error. retry says how to try again, signIn what a new
// sign-in would be for.
func (s *codeState) settle(failed *failure, retry string, signIn AuthenticationRequiredError) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case failed.fate == unsent:
		advise(failed, "the code is kept: "+retry)
		return failed.err
	case failed.fate == lost && !s.lostOnce:
		s.lostOnce = true
		advise(failed, "the code is kept for one more attempt, in case it was not processed: "+retry)
		return failed.err
	}
	if s.lostOnce {
		advise(failed, "an earlier answer for this code was lost, so it was probably redeemed then: start a new sign-in")
	}
	s.final = codeError(failed, signIn)
	return s.final
}

// codeError gives the error of a code that is of no use any more. What a new sign-in mends is an *AuthenticationRequiredError.
func codeError(failed *failure, signIn AuthenticationRequiredError) error {
	server := failed.server()
	if failed.fate != lost && (server == nil || !mendedBySignIn(server)) {
		return failed.err
	}
	if server != nil && server.Claims != "" {
		signIn.Claims = server.Claims
	}
	signIn.cause = failed.err
	return &signIn
}

func mendedBySignIn(e *AuthenticationFailedError) bool {
	return e.Code == "invalid_grant" || e.Code == "login_required" || isAboutRequest(e)
}

func advise(failed *failure, next string) {
	if e, ok := errors.AsType[*AuthenticationFailedError](failed.err); ok && e.next == "" {
		e.next = next
	}
}
