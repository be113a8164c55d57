package authcode

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// ImportRefreshToken takes over a refresh token that another system got for this same app registration: it redeems it for
// scopes (of one resource; none: openid, profile and offline_access), verifies the ID token if one comes, and keeps the
// grant. Errors are Redeem's; the refresh token is spent only if the server rotates it.
func (a *App) ImportRefreshToken(ctx context.Context, refreshToken string, scopes ...string) (*AuthorizationCodeCredential, error) {
	if err := checkContext(ctx); err != nil {
		return nil, err
	}
	switch {
	case a.isClosed():
		return nil, ErrClosed
	case refreshToken == "" || len(refreshToken) > maxTokenBytes || !isVSCHAR(refreshToken): // RFC 6749 appendix A.17
		return nil, errors.New("authcode: the refresh token is empty, too long, or holds control or non-ASCII characters: pass it as it was issued")
	case len(scopes) == 0:
		scopes = a.reserved()
	}
	q, err := a.newQuery(policy.TokenRequestOptions{Scopes: scopes})
	if err != nil {
		return nil, fmt.Errorf("authcode: %w", err)
	}
	ctx, release := a.callContext(ctx)
	defer release()
	trust, err := a.trustOf(ctx, q.key.tenant)
	if err != nil {
		return nil, a.sayClosed(err)
	}
	if err := pauses.wait(ctx, a.site.tokenURL(q.key.tenant)); err != nil {
		return nil, a.sayClosed(err)
	}
	// Detached like a redemption: a server that rotates has spent the token, whether the caller stays or not.
	credential, err := a.redemptions.Do(ctx, importOf(refreshToken, q), func(ctx context.Context) (*AuthorizationCodeCredential, error) {
		return inFlight(ctx, a, func(ctx context.Context) (*AuthorizationCodeCredential, error) {
			return a.redeemImported(ctx, refreshToken, q, trust)
		})
	})
	return credential, a.sayClosed(err)
}

func importOf(refreshToken string, q query) redemption {
	return sha256.Sum256([]byte("import\x00" + q.key.id + "\x00" + refreshToken))
}

func (a *App) redeemImported(ctx context.Context, refreshToken string, q query, t *trust) (*AuthorizationCodeCredential, error) {
	form := a.newForm("refresh_token", q.key.asked)
	form.add("refresh_token", refreshToken)
	began := time.Now()
	answer, failed := a.post(ctx, tokenRequest{doing: "importing the refresh token", form: form, tenantID: q.key.tenant, timeout: refreshWindow})
	var c *AuthorizationCodeCredential
	var account Account
	var err error
	if failed != nil {
		if err = failed.err; failed.fate == answered {
			err = codeError(failed, AuthenticationRequiredError{Scopes: q.key.asked, TenantID: q.key.tenant})
		}
	} else {
		if answer.refreshToken == "" { // RFC 6749 section 6: none means go on with the old
			answer.refreshToken = refreshToken
		}
		c, account, err = a.accept(ctx, t, answer, q, expectation{answer.accessToken, answer.show, "", q.key.tenant}, AuthenticationRequiredError{})
	}
	a.report(ctx, EventImport, began, q, answer, account.ID, err)
	return c, err
}
