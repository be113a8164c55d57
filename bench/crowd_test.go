package bench

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/authcode-go/authcode"
)

// crowd is an App with many accounts.
type crowd struct {
	app         *authcode.App
	credentials []*authcode.AuthorizationCodeCredential
}

// newCrowd makes the accounts through the public API: one import of a refresh token each.
func newCrowd(tb testing.TB, server *canned, accounts int) *crowd {
	tb.Helper()
	return newCrowdOf(tb, server, accounts, &authcode.AppOptions{ClientOptions: server.clientOptions()})
}

func newCrowdOf(tb testing.TB, server *canned, accounts int, options *authcode.AppOptions) *crowd {
	tb.Helper()
	app, err := authcode.NewApp(tenantID, clientID, redirectURI, authcode.SecretAuth(clientSecret), options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = app.Close() })
	c := &crowd{app: app, credentials: make([]*authcode.AuthorizationCodeCredential, accounts)}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				user := int(next.Add(1)) - 1
				if user >= accounts {
					return
				}
				credential, err := app.ImportRefreshToken(tb.Context(), tokenText("r", user, server.refreshBytes), graphScope)
				if err != nil {
					tb.Error(err)
					return
				}
				c.credentials[user] = credential
			}
		})
	}
	wg.Wait()
	if tb.Failed() {
		tb.FailNow()
	}
	runtime.GC() // what making them left behind is not to be collected while something is measured
	return c
}
