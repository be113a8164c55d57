package authcode

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Redeem ends a flow: it matches the callback's parameters with the flow, redeems the code, verifies the ID token and keeps
// the grant. response is the callback's query; flow is the one that App.OpenFlow gave for the browser that sent it. The
// credential is that of the user who signed in, the same as App.Credential gives for their account; it can be used from then
// on anywhere in the process. Identical callbacks share one redemption, whether they arrive together or later: a code is not sent
// again once the server has answered, and what came of it is remembered until the flow expires.
//
// Errors: ErrStateMismatch and ErrFlowExpired, before anything is sent; *AuthenticationFailedError for what the server
// answered or failed to, a callback with an error among it; *AuthenticationRequiredError where a new sign-in helps; and errors
// that name what in the callback, the flow or the configuration is wrong. If nothing was sent or the answer was lost, the same
// call can be made again.
func (a *App) Redeem(ctx context.Context, flow *Flow, response url.Values) (*AuthorizationCodeCredential, error) {
	if err := checkContext(ctx); err != nil {
		return nil, err
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
	key := redemptionOf(flow, code)
	if c, err := a.callbacks.of(key, flow.Expires).outcome(); c != nil || err != nil {
		return c, err
	}
	if err := pauses.wait(ctx, a.site.tokenURL(flow.TenantID)); err != nil {
		return nil, a.sayClosed(err)
	}
	credential, err := a.redemptions.Do(ctx, key, func(ctx context.Context) (*AuthorizationCodeCredential, error) {
		return inFlight(ctx, a, func(ctx context.Context) (*AuthorizationCodeCredential, error) {
			return a.redeemCallback(ctx, flow, code, trust)
		})
	})
	return credential, a.sayClosed(err)
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
	tenantID, err := a.tenants.resolveSignIn(flow.TenantID)
	if err != nil {
		return fmt.Errorf("authcode: the flow's tenant: %w", err)
	}
	if !strings.EqualFold(tenantID, flow.TenantID) {
		return fmt.Errorf("authcode: the flow was begun for another tenant, %s: begin a new one", quoted(flow.TenantID))
	}
	if authorize := a.site.endpointsOf(flow.TenantID).Authorize; flow.URL != "" && !strings.HasPrefix(flow.URL, authorize+querySeparator(authorize)) {
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
	r := newRedactor(append(slices.Clone(response["code"]), flow.CodeVerifier, flow.State, flow.Nonce)...)
	return fmt.Errorf("authcode: the callback's issuer (iss) is %s, not %s, where this sign-in began: start it again", quoted(r.text(issuers[0])), quoted(t.issuer))
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
	r := newRedactor(append(slices.Clone(response["code"]), flow.CodeVerifier, flow.State, flow.Nonce)...)
	failed := &AuthenticationFailedError{
		Claims:      callbackClaims(response),
		Code:        cmp.Or(r.line(response.Get("error"), maxProtocolField), "unknown"),
		Description: r.line(response.Get("error_description"), maxDescription),
		Suberror:    r.line(response.Get("error_subcode"), maxProtocolField),
		doing:       signingIn,
	}
	failed.STSCodes = stsCodesIn(failed.Description)
	if mendedBySignIn(failed) {
		signIn := signInOf(flow)
		signIn.Claims, signIn.cause = failed.Claims, failed
		return &signIn
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
