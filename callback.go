package authcode

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Redeem ends a flow: it matches the callback's parameters with the flow, redeems the code, verifies the ID token and keeps
// the grant. response is the callback's query; flow is the one that App.OpenFlow gave for the browser that sent it. The
// credential is that of the user who signed in, the same as App.Credential gives for their account; it can be used from then
// on anywhere in the process. Identical callbacks that arrive together share one redemption.
//
// Errors: ErrStateMismatch and ErrFlowExpired, before anything is sent; *AuthenticationFailedError for what the server
// answered or failed to, a callback with an error among it; *AuthenticationRequiredError where a new sign-in helps; and errors
// that name what in the callback, the flow or the configuration is wrong. If nothing was sent or the answer was lost, the same
// call can be made again.
func (a *App) Redeem(ctx context.Context, flow *Flow, response url.Values) (*AuthorizationCodeCredential, error) {
	if ctx == nil {
		return nil, errors.New("authcode: the context is nil: pass the request's context")
	}
	if err := a.checkFlow(flow); err != nil {
		return nil, err
	}
	if err := checkState(flow, response); err != nil {
		return nil, err
	}
	if !time.Now().Before(flow.Expires) {
		return nil, ErrFlowExpired
	}
	ctx, release := a.callContext(ctx)
	defer release()
	trust, err := a.trustOf(ctx, flow.TenantID)
	if err != nil {
		return nil, err
	}
	if err := a.checkCallbackIssuer(trust, flow, response); err != nil {
		return nil, err
	}
	code, err := callbackCode(flow, response)
	if err != nil {
		return nil, err
	}
	if err := pauses.wait(ctx, a.site.endpointsOf(flow.TenantID).Token); err != nil {
		return nil, err
	}
	return a.redemptions.Do(ctx, redemptionOf(flow, code), func(ctx context.Context) (*AuthorizationCodeCredential, error) {
		return inFlight(ctx, a, func(ctx context.Context) (*AuthorizationCodeCredential, error) {
			return a.redeemCallback(ctx, flow, code, trust)
		})
	})
}

// redemption names a callback: two that differ in anything are not the same.
type redemption [sha256.Size]byte

func redemptionOf(flow *Flow, code string) redemption {
	return sha256.Sum256([]byte(strings.Join([]string{flow.State, flow.Nonce, flow.CodeVerifier, flow.RedirectURI, flow.TenantID, flow.AccountID, code}, "\x00")))
}

// checkFlow refuses a flow that another app, authority or tenant began (RFC 9700 section 4.4: mix-up).
func (a *App) checkFlow(flow *Flow) error {
	if a.isClosed() {
		return ErrClosed
	}
	if flow == nil || flow.State == "" || flow.Nonce == "" || flow.CodeVerifier == "" {
		return errors.New("authcode: the flow is not one that Begin made: begin a new one")
	}
	if flow.ClientID != a.clientID {
		return fmt.Errorf("authcode: the flow was begun for another client, %s, not for %s: begin a new one", quoted(flow.ClientID), quoted(a.clientID))
	}
	tenantID, err := a.tenants.resolve(flow.TenantID)
	if err != nil {
		return fmt.Errorf("authcode: the flow's tenant: %w", err)
	}
	if !strings.EqualFold(tenantID, flow.TenantID) {
		return fmt.Errorf("authcode: the flow was begun for another tenant, %s: begin a new one", quoted(flow.TenantID))
	}
	if authorize := a.site.endpointsOf(flow.TenantID).Authorize; flow.URL != "" && !strings.HasPrefix(flow.URL, authorize) {
		return fmt.Errorf("authcode: the flow was begun at another authority, %s: begin a new one", quoted(hostOf(flow.URL)))
	}
	return nil
}

// checkState comes before everything else a callback says, errors among it: without the state it is anybody's word (RFC 6749
// section 10.12).
func checkState(flow *Flow, response url.Values) error {
	if states := response["state"]; len(states) != 1 || !sameSecret(states[0], flow.State) {
		return ErrStateMismatch
	}
	return nil
}

// sameSecret compares in a time that tells nothing of the content.
func sameSecret(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// checkCallbackIssuer is RFC 9207 section 2.4: iss, where it is sent or promised, is this flow's, on errors too.
func (a *App) checkCallbackIssuer(t *trust, flow *Flow, response url.Values) error {
	issuers := response["iss"]
	switch {
	case len(issuers) == 0 && t.issInCallbacks:
		return errors.New("authcode: the callback names no issuer (iss), which this server always does: start the sign-in again")
	case len(issuers) == 0:
		return nil
	case len(issuers) == 1 && a.isIssuer(t, flow.TenantID, issuers[0]):
		return nil
	}
	return fmt.Errorf("authcode: the callback's issuer (iss) is %s, not %s, where this sign-in began: start it again", quoted(issuers[0]), quoted(t.issuer))
}

func (a *App) isIssuer(t *trust, tenantID, issuer string) bool {
	before, after, template := strings.Cut(t.issuer, tenantTemplate)
	if !template {
		return issuer == t.issuer
	}
	tid, ok := strings.CutPrefix(issuer, before)
	if ok {
		tid, ok = strings.CutSuffix(tid, after)
	}
	return ok && guidPattern.MatchString(tid) && a.checkSignInTenant(tid, tenantID) == nil
}

// callbackCode gives the code, or the error that came in its place (RFC 6749 sections 4.1.2 and 4.1.2.1). Where both are there
// the error counts.
func callbackCode(flow *Flow, response url.Values) (string, error) {
	if response.Has("error") {
		return "", callbackError(flow, response)
	}
	codes := response["code"]
	if len(codes) > 1 {
		return "", errors.New("authcode: the callback has more than one code: start the sign-in again")
	}
	if err := checkCode(response.Get("code")); err != nil {
		return "", fmt.Errorf("authcode: %w", err)
	}
	return codes[0], nil
}

func callbackError(flow *Flow, response url.Values) error {
	r := newRedactor(response.Get("code"), flow.CodeVerifier, flow.State, flow.Nonce)
	failed := &AuthenticationFailedError{
		Claims:      callbackClaims(response),
		Code:        orElse(r.line(response.Get("error"), maxProtocolField), "unknown"),
		Description: r.line(response.Get("error_description"), maxDescription),
		Suberror:    r.line(response.Get("error_subcode"), maxProtocolField),
		doing:       "the sign-in",
	}
	failed.STSCodes = stsCodesIn(failed.Description)
	if mendedBySignIn(failed) {
		return &AuthenticationRequiredError{
			AccountID: flow.AccountID,
			Claims:    failed.Claims,
			Scopes:    flow.Scopes,
			TenantID:  flow.TenantID,
			cause:     failed,
		}
	}
	return failed
}

func callbackClaims(response url.Values) string {
	if claims := response.Get("claims"); claims != "" && checkClaims(claims) == nil {
		return claims
	}
	return ""
}

// stsCodesIn finds the number that a description of Entra begins with.
func stsCodesIn(description string) []int {
	var code int
	if _, err := fmt.Sscanf(description, "AADSTS%d", &code); err != nil {
		return nil
	}
	return []int{code}
}

// redeemCallback sends the code and believes the answer only when its ID token is genuine and for this flow.
func (a *App) redeemCallback(ctx context.Context, flow *Flow, code string, t *trust) (*AuthorizationCodeCredential, error) {
	scopes := flow.Scopes
	if a.site.own == nil {
		scopes = ofFirstResource(scopes)
	}
	if len(scopes) == 0 {
		scopes = reservedScopes
	}
	q := query{key: a.keyFor(flow.TenantID, scopes, false), scopes: scopes}
	began := time.Now()
	answer, failed := a.post(ctx, a.codeRequest(code, flow.RedirectURI, flow.CodeVerifier, q))
	var c *AuthorizationCodeCredential
	var account Account
	err := a.callbackFailure(flow, q, failed)
	if err == nil {
		c, account, err = a.accept(ctx, t, answer, q, expectation{answer.accessToken, flow.Nonce, flow.TenantID}, flow.AccountID)
	}
	event := Event{Kind: EventRedeem, Duration: time.Since(began), Err: err, TenantID: flow.TenantID}
	if err == nil {
		event.GrantedScope = answer.scope
	}
	a.emit(ctx, event, account.ID)
	return c, err
}

func (a *App) callbackFailure(flow *Flow, q query, failed *failure) error {
	if failed == nil {
		return nil
	}
	switch failed.fate {
	case unsent:
		advise(failed, "nothing is spent: the same callback can be redeemed again")
	case lost:
		advise(failed, "the same callback can be tried once more, in case it was not processed")
	}
	err := codeError(q, failed, false)
	if required, ok := errors.AsType[*AuthenticationRequiredError](err); ok {
		required.AccountID = flow.AccountID
	}
	return err
}

// accept verifies who an answer is for and keeps the grant.
func (a *App) accept(ctx context.Context, t *trust, answer *tokenAnswer, q query, want expectation, accountID string) (*AuthorizationCodeCredential, Account, error) {
	refuse := func(what string, cause error) (*AuthorizationCodeCredential, Account, error) {
		return nil, Account{}, &AuthenticationFailedError{doing: "the sign-in", what: what, cause: cause}
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
	case accountID != "" && !strings.EqualFold(accountID, account.ID):
		return refuse("another user signed in than the one who had to; their grant was not kept", nil)
	}
	c, err := a.registry.adopt(a, account.ID, func(c *AuthorizationCodeCredential) error {
		_, err := c.grant.begin(q.key, answer, account, who)
		return err
	})
	return c, account, err
}

// isOwnTenant is the check of a tenant that only client_info names, which says where the user is at home.
func (a *App) isOwnTenant(tenantID string) bool {
	home := a.tenants.home
	if a.site.own != nil || !isMultiTenant(home) {
		return true // the token endpoint of one tenant answers for that tenant alone, its guests among it
	}
	return a.checkSignInTenant(tenantID, home) == nil
}

func rawURLDecode(s string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(s) }
