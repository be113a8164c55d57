package entratest_test

import (
	"sync"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	f := start(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily, LogSize: 50})
	var all sync.WaitGroup
	for _, username := range []string{alice, bob} {
		for range 4 {
			all.Go(func() {
				for range 5 {
					a := f.mustToken(codeForm(f.signIn(username), "claims", cp1))
					f.token(refreshForm(a.RefreshToken, "scope", storage))
					_, _ = f.VerifyAccessToken(a.AccessToken)
					f.token(oboForm(f.ordersToken(username)))
					f.mustToken(appForm(graphDefault, "claims", cp1))
				}
			})
		}
	}
	for _, change := range []func(){
		func() { f.Advance(time.Second) },
		func() { f.RequireClaims(bob, "https://storage.azure.com", step) },
		func() { f.RequireClaims(bob, "https://storage.azure.com", "") },
		func() { f.WithdrawConsent(bob, "web", storage) },
		func() { f.Consent(bob, "web", storage) },
		func() { f.RevokeAccessTokens(alice) },
		func() { f.Inject(entratest.Fault{Endpoint: "keys", Times: 1, Edit: func(map[string]any) {}})() },
		func() { f.keySet(contoso) },
		func() { f.Requests() },
		func() { f.ResetRequests() },
		func() { f.Directory() },
	} {
		all.Go(func() {
			for range 20 {
				change()
			}
		})
	}
	all.Go(f.RotateKeys)
	all.Go(f.PublishNextKey)
	all.Wait()
}
