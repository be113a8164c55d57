package authcode

import "context"

// VerifyIDToken is App's verification of an ID token by itself: for tests that need it ten thousand times, or with texts
// that no token answer could hold.
func VerifyIDToken(ctx context.Context, a *App, tenantID, idToken, nonce string) error {
	t, err := a.trustOf(ctx, tenantID)
	if err != nil {
		return err
	}
	_, err = a.verifyIDToken(ctx, t, idToken, expectation{nonce: nonce, tenantID: tenantID})
	return err
}
