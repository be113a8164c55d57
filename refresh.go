package authcode

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// turnKey names a request to the token endpoint: callers of the same one share it.
type turnKey struct {
	kind   turnKind
	token  string // tokenKey.id
	claims string
}

// turnKind is what a turn is for.
type turnKind int

const (
	turnRefresh turnKind = iota
	turnRedeem           // the code: whatever was asked for
	turnLoad             // the grant is read from the store
	turnLook             // the grant is compared with the store
	turnReload           // the same, whether it is time or not
	turnSettle           // a lease that was kept is given back
)

// outcome is what a turn gave, and which call it answers.
type outcome struct {
	access azcore.AccessToken
	turn   turnKey
}

// query is one call of GetToken, checked.
type query struct {
	claims string
	key    *tokenKey
}

func (q query) turn() turnKey { return turnKey{token: q.key.id, claims: q.claims} }

// refreshed gets a token with the refresh token, in this account's turn.
func (g *grant) refreshed(ctx context.Context, q query) (azcore.AccessToken, error) {
	got, err := g.turns.Do(ctx, q.turn(), g.refreshWork(q))
	return got.access, err
}

// refreshBehind starts a refresh that nobody waits for, if there is anything to do it with.
func (g *grant) refreshBehind(ctx context.Context, q query) {
	s := g.current.Load()
	left, _ := pauses.left(g.app.site.tokenURL(q.key.tenant))
	if left == 0 && s != nil && s.refreshToken != "" {
		g.turns.Start(ctx, q.turn(), g.refreshWork(q))
	}
}

func (g *grant) refreshWork(q query) func(context.Context) (outcome, error) {
	return func(ctx context.Context) (outcome, error) {
		return inFlight(ctx, g.app, func(ctx context.Context) (outcome, error) {
			access, err := g.refresh(ctx, q)
			return outcome{access, q.turn()}, err
		})
	}
}

// holdOff keeps refreshes behind callers' backs away for a while: 30 seconds, or as long as the server asked.
func (g *grant) holdOff(q query, err error) {
	wait := retryStale
	if e, ok := errors.AsType[*AuthenticationFailedError](err); ok && e.RetryAfter > 0 {
		wait = e.RetryAfter
	}
	now := time.Now()
	if s := g.current.Load(); s != nil {
		if token, f := s.lookup(q.options(), now); f != expired {
			token.retry.holdOff(now, wait)
		}
	}
}

// errMovedOn means that what was refused is not what the grant holds any more.
var errMovedOn = errors.New("the grant has moved on")

// refresh is one turn. A refusal of a refresh token that a new sign-in has replaced meanwhile says nothing: the turn is taken
// once more with the new one. So it is where another replica may have got the lease before anything was sent.
func (g *grant) refresh(ctx context.Context, q query) (access azcore.AccessToken, err error) {
	defer func() {
		if err != nil {
			g.holdOff(q, err)
		}
	}()
	access, err = g.refreshOnce(ctx, q)
	if errors.Is(err, errMovedOn) || errors.Is(err, errLeaseOver) {
		access, err = g.refreshOnce(ctx, q)
	}
	switch {
	case errors.Is(err, errMovedOn) && g.current.Load() == nil:
		err = g.unknownAccount(q)
	case errors.Is(err, errMovedOn), errors.Is(err, errLeaseOver):
		err = unavailable("refreshing a grant", err)
	}
	return access, err
}

// refreshOnce takes the lease and looks again, asks the server, and keeps what it gave.
func (g *grant) refreshOnce(ctx context.Context, q query) (azcore.AccessToken, error) {
	had := g.current.Load()
	held, served, err := g.prepare(ctx, q, had)
	if err != nil || served != nil {
		return served.given(), err
	}
	defer g.giveBack(context.WithoutCancel(ctx), held)
	now, generation := g.state()
	if now == nil {
		return azcore.AccessToken{}, g.unknownAccount(q)
	}
	if token, served := now.since(had, q, time.Now()); served { // the turn before this one, or another replica, has brought it
		return token.access, nil
	}
	if err := now.usable(q); err != nil {
		return azcore.AccessToken{}, err
	}
	began := time.Now()
	answer, failed := g.postWithin(ctx, held, g.refreshRequest(now.holding, q))
	if failed != nil && failed.fate == unsent && (held.isOver() || errors.Is(failed.err, errLeaseOver)) { // what was read is old
		return azcore.AccessToken{}, errLeaseOver
	}
	token, err := g.settle(ctx, now.holding, generation, q, answer, failed)
	g.app.report(ctx, EventRefresh, began, q, answer, now.account.ID, err)
	return token.access, err
}

// prepare takes the lease and looks at what is stored; without a store there is nothing to do. It gives a token if that makes the
// refresh needless.
func (g *grant) prepare(ctx context.Context, q query, had *snapshot) (held *lease, served *cachedToken, err error) {
	if g.app.store == nil {
		return nil, nil, nil
	}
	held, served, err = g.takeLease(ctx, q, had)
	if err != nil || served != nil {
		return nil, served, err
	}
	if g.app.site.own != nil {
		g.app.outage.awaitWrites(ctx)
	}
	if err := g.reread(ctx, q); err != nil {
		g.giveBack(context.WithoutCancel(ctx), held)
		return nil, nil, err
	}
	return held, nil, nil
}

// postWithin sends a refresh while the lease lasts.
func (g *grant) postWithin(ctx context.Context, held *lease, r tokenRequest) (*tokenAnswer, *failure) {
	if !held.lasts(ctx, r.timeout) {
		return nil, &failure{unsent, errLeaseOver}
	}
	ctx, cancel := held.bound(ctx)
	defer cancel()
	return g.app.post(ctx, r)
}

// since gives a token that makes a refresh needless: a fresh one, or for a call with claims one that is newer than what there
// was when it came (a step-up on another replica). had may be nil.
func (s *snapshot) since(had *snapshot, q query, now time.Time) (*cachedToken, bool) {
	if s == nil {
		return nil, false
	}
	token, f := s.lookup(q.options(), now)
	if q.claims == "" {
		return token, f == fresh
	}
	if f == expired || had == nil {
		return nil, false
	}
	old, oldFreshness := had.lookup(q.options(), now)
	return token, oldFreshness == expired || token.received().After(old.received())
}

const refreshing = "refreshing a token"

// refreshRequest is RFC 6749 section 6 with what Entra adds:
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#refresh-the-access-token
func (g *grant) refreshRequest(held *holding, q query) tokenRequest {
	a := g.app
	form := a.newForm("refresh_token", q.key.asked)
	form.add("refresh_token", held.refreshToken)
	a.setClaims(&form, q.claims, q.key.cae)
	return tokenRequest{
		doing:    refreshing,
		form:     form,
		mailbox:  a.mailboxOf(held),
		tenantID: q.key.tenant,
		timeout:  refreshWindow,
	}
}

// newForm is what every token request has.
func (a *App) newForm(grantType string, scopes []string) form {
	return append(make(form, 0, 8),
		param{"client_id", a.clientID},
		param{"client_info", "1"}, // asks for the home account ID, as every Microsoft client does
		param{"grant_type", grantType},
		param{"scope", withReserved(scopes, a.site.own != nil)},
	)
}

func (a *App) setClaims(f *form, claims string, cae bool) {
	if merged, err := claimsToSend(claims, cae); err == nil && merged != "" { // checked when the call came in
		f.add("claims", merged)
	}
}

func (a *App) mailboxOf(held *holding) string {
	if a.site.own != nil {
		return ""
	}
	if uid, utid, ok := cutLast(held.identity.home, "."); ok {
		return uid + "@" + utid
	}
	return ""
}

// settle sorts what a refresh gave.
func (g *grant) settle(ctx context.Context, held *holding, generation uint64, q query, answer *tokenAnswer, failed *failure) (cachedToken, error) {
	if failed != nil {
		return cachedToken{}, g.refused(ctx, held, generation, q, failed)
	}
	claims := answer.claims()
	if err := g.app.checkSameUser(held, q.key.tenant, answer.clientInfo, claims); err != nil {
		return cachedToken{}, err
	}
	account, who, _ := newAccount(answer.clientInfo, claims)
	token, err := g.renew(generation, q.key, answer, account, who)
	switch {
	case errors.Is(err, ErrUnknownAccount):
		return cachedToken{}, g.unknownAccount(q)
	case err != nil:
		return cachedToken{}, err
	}
	_ = g.save(ctx)                                   // what cannot be written now is in the backlog
	if g.current.Load() == nil && !g.app.isClosed() { // another replica forgot the account meanwhile
		return cachedToken{}, g.unknownAccount(q)
	}
	return token, nil
}

// refused tells three kinds of refusal apart, by error, suberror and claims: about this request, about the grant,
// about the app or the server. Only the second costs the user their grant.
func (g *grant) refused(ctx context.Context, held *holding, generation uint64, q query, failed *failure) error {
	server := failed.server()
	switch {
	case server == nil || failed.fate != answered:
		return failed.err
	case isAboutRequest(server):
		return held.required(q, server)
	case g.app.isAboutGrant(server):
		return g.believe(ctx, held, generation, q, server)
	}
	return failed.err
}

// believe marks the grant, if the refresh token that was refused is still the newest anybody has.
func (g *grant) believe(ctx context.Context, held *holding, generation uint64, q query, server *AuthenticationFailedError) error {
	if g.app.store != nil {
		before := g.sight()
		stored, err := g.app.readRecord(ctx, held.account.ID)
		switch _, broken := errors.AsType[*brokenRecordError](err); {
		case err == nil:
			g.reconcile(before, stored)
		case !broken: // of a broken one there is nothing newer to be had
			return err
		}
	}
	now, _ := g.state()
	if now == nil || now.refreshToken != held.refreshToken || !g.markDead(generation, server) {
		return errMovedOn
	}
	_ = g.save(ctx)
	if now = g.current.Load(); now != nil && now.mark == nil {
		return errMovedOn
	}
	return held.required(q, server)
}

// isAboutRequest means that the user can get what was asked for, and keeps the rest
// (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#error-codes-for-token-endpoint-errors).
func isAboutRequest(e *AuthenticationFailedError) bool {
	switch e.Suberror {
	case "consent_required", "basic_action", "additional_action", "message_only":
		return true
	}
	return e.Code == "interaction_required" || e.Code == "consent_required" || e.Claims != ""
}

// isAboutGrant means that the refresh token is dead (RFC 6749 section 5.2). dex answers invalid_request for one.
func (a *App) isAboutGrant(e *AuthenticationFailedError) bool {
	switch e.Code {
	case "invalid_grant", "login_required":
		return true
	case "invalid_request":
		return a.site.own != nil
	}
	return false
}

// usable says why no refresh can be tried.
func (h *holding) usable(q query) error {
	switch {
	case h.mark != nil:
		return h.required(q, h.mark.cause)
	case h.refreshToken == "":
		required := h.required(q, nil)
		required.why = "the access token has expired and the server gave no refresh token: ask for the scope offline_access when the user signs in"
		return required
	}
	return nil
}

func (h *holding) required(q query, cause *AuthenticationFailedError) *AuthenticationRequiredError {
	e := &AuthenticationRequiredError{
		AccountID: h.account.ID,
		Claims:    q.claims,
		LoginHint: h.account.Username,
		Scopes:    q.key.asked,
		TenantID:  q.key.tenant,
	}
	if cause != nil {
		e.cause = cause
		e.Claims = cmp.Or(cause.Claims, q.claims)
	}
	return e
}

func (g *grant) unknownAccount(q query) *AuthenticationRequiredError {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &AuthenticationRequiredError{
		AccountID: g.accountID,
		Claims:    q.claims,
		Scopes:    q.key.asked,
		TenantID:  q.key.tenant,
		cause:     ErrUnknownAccount,
	}
}

// checkSameUser refuses an answer for another user than the grant's (OpenID Connect Core 1.0 section 12.2: same iss,
// sub and aud). An answer need not say whose it is.
func (a *App) checkSameUser(held *holding, tenantID string, info clientInfo, claims *idClaims) error {
	changed := func(what string) error {
		return &AuthenticationFailedError{
			doing: refreshing,
			what:  "the answer's " + what + " is not the grant's, so it was not stored",
			next:  "the server mixes up its users: tell those who run it",
		}
	}
	if !held.identity.sameUser(whoseAnswer(info, claims)) {
		return changed("account")
	}
	if claims == nil {
		return nil
	}
	switch {
	case held.identity.iss != "" && strings.EqualFold(tenantID, held.tenant) && claims.iss != held.identity.iss:
		return changed("issuer")
	case held.identity.iss != "" && claims.iss == held.identity.iss && claims.sub != held.identity.sub:
		return changed("subject")
	case !containsFold(claims.aud, a.clientID):
		return changed("audience")
	}
	return nil
}
