package authcode

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const signingIn = "the sign-in"

// redeemCallback sends the code and believes the answer only when its ID token is genuine and for this flow.
func (a *App) redeemCallback(ctx context.Context, flow *Flow, code string, t *trust) (*AuthorizationCodeCredential, error) {
	state := a.callbacks.of(redemptionOf(flow, code), flow.Expires) // the flight before this one may have ended it
	if c, err := state.outcome(); c != nil || err != nil {
		return c, err
	}
	q := query{key: a.keyFor(flow.TenantID, a.scopesToRedeem(flow), false)}
	began := time.Now()
	answer, failed := a.post(ctx, a.codeRequest(code, flow.RedirectURI, flow.CodeVerifier, q))
	var c *AuthorizationCodeCredential
	var account Account
	var err error
	if failed != nil {
		err = state.settle(failed, "redeem the same callback again", signInOf(flow))
	} else {
		c, account, err = a.accept(ctx, t, answer, q, expectation{answer.accessToken, answer.show, flow.Nonce, flow.TenantID}, signInOf(flow))
		state.finish(c, err)
	}
	a.report(ctx, EventRedeem, began, q, answer, account.ID, err)
	return c, err
}

// signInOf is what a sign-in in the place of this one would be for: all that the flow asked for, not the part its code is
// redeemed for.
func signInOf(flow *Flow) AuthenticationRequiredError {
	return AuthenticationRequiredError{AccountID: flow.AccountID, Scopes: flow.Scopes, TenantID: flow.TenantID}
}

// scopesToRedeem are those of the flow that one token can have.
func (a *App) scopesToRedeem(flow *Flow) []string {
	switch {
	case len(flow.Scopes) == 0:
		return a.reserved()
	case a.site.own != nil:
		return flow.Scopes
	}
	return ofFirstResource(flow.Scopes)
}

// accept verifies who an answer is for and keeps the grant.
func (a *App) accept(ctx context.Context, t *trust, answer *tokenAnswer, q query, want expectation, signIn AuthenticationRequiredError) (*AuthorizationCodeCredential, Account, error) {
	refuse := func(what string, cause error) (*AuthorizationCodeCredential, Account, error) {
		return nil, Account{}, &AuthenticationFailedError{doing: signingIn, what: what, cause: cause}
	}
	var claims *idClaims
	switch {
	case answer.idToken != "":
		var err error
		if claims, err = a.verifyIDToken(ctx, t, answer.idToken, want); err != nil {
			return refuse(err.Error(), err)
		}
	case want.nonce != "":
		return refuse("the server sent no ID token though openid was asked for", nil)
	}
	account, who, ok := newAccount(answer.clientInfo, claims)
	switch {
	case !ok:
		return refuse("the server did not say whose grant this is: its answer had neither client_info nor an ID token", nil)
	case claims == nil && !a.isOwnTenant(account.TenantID):
		return refuse(fmt.Sprintf("the account's tenant %s may not be used here and there was no ID token to tell otherwise", quoted(account.TenantID)), nil)
	case signIn.AccountID != "" && !sameAccount(signIn.AccountID, account.ID):
		signIn.why = "another user signed in than the one who had to; their grant was not kept"
		return nil, Account{}, &signIn
	}
	c, err := a.registry.adopt(a, account.ID, func(c *AuthorizationCodeCredential) error {
		_, err := c.grant.begin(q.key, answer, account, who)
		return err
	})
	if err != nil {
		return nil, account, err
	}
	_ = c.grant.save(ctx) // what cannot be written now is in the backlog
	return c, account, nil
}

// isOwnTenant is the check of a tenant that only client_info names, which says where the user is at home.
func (a *App) isOwnTenant(tenantID string) bool {
	home := a.tenants.home
	if a.site.own != nil || !isMultiTenant(home) {
		return true // the token endpoint of one tenant answers for that tenant alone, its guests among it
	}
	return a.checkSignInTenant(tenantID, home) == nil
}

// callbackState is what became of one callback.
type callbackState struct {
	codeState
	credential *AuthorizationCodeCredential // it was redeemed
	removals   uint64                       // of its grant by then
	until      time.Time
}

// outcome gives what an identical callback already had: a second redemption of a code makes a strict server revoke what it
// gave for the first (RFC 6749 section 4.1.2).
func (s *callbackState) outcome() (*AuthorizationCodeCredential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credential != nil && s.credential.grant.removals() != s.removals {
		return nil, fmt.Errorf("%w (its user has signed in with it and out again)", ErrStateMismatch)
	}
	return s.credential, s.final
}

func (s *callbackState) finish(c *AuthorizationCodeCredential, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credential, s.final = c, err
	if c != nil {
		s.removals = c.grant.removals()
	}
}

const maxCallbacks = 10_000 // remembered at a time

// callbackBoard remembers callbacks until their flows expire. The zero value is ready.
type callbackBoard struct {
	mu     sync.Mutex
	states map[redemption]*callbackState
	order  []redemption // as they came: those of flows that expire first are in front, by and large
}

func (b *callbackBoard) of(key redemption, until time.Time) *callbackState {
	b.mu.Lock()
	defer b.mu.Unlock()
	if state := b.states[key]; state != nil {
		return state
	}
	b.makeRoom(time.Now())
	if b.states == nil {
		b.states = make(map[redemption]*callbackState)
	}
	state := &callbackState{until: until}
	b.states[key] = state
	b.order = append(b.order, key)
	return state
}

// makeRoom drops the first few if their flows have expired, or if there are too many.
func (b *callbackBoard) makeRoom(now time.Time) {
	for range min(looksPerSignIn, len(b.order)) {
		first := b.order[0]
		if len(b.states) < maxCallbacks && !now.After(b.states[first].until) {
			return
		}
		delete(b.states, first)
		b.order = b.order[1:]
	}
}
