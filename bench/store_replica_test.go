package bench

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
)

// replica is an App in front of a store, one of those that share it.
type replica struct {
	*authcode.App
	server *canned
}

// newStoreServer answers as Entra ID does, with an ID token.
func newStoreServer(tb testing.TB) *canned {
	tb.Helper()
	signer, err := newECSigner(issuerAt(cannedHost))
	if err != nil {
		tb.Fatal(err)
	}
	return &canned{accessBytes: accessBytes, refreshBytes: refreshBytes, expiresIn: 86_399, signer: signer}
}

func newReplica(tb testing.TB, server *canned, store authcode.Store) *replica {
	tb.Helper()
	options := storeOptions(tb, server, store)
	app, err := authcode.NewApp(tenantID, clientID, redirectURI, authcode.SecretAuth(clientSecret), options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = app.Close() })
	return &replica{app, server}
}

func storeOptions(tb testing.TB, server *canned, store authcode.Store) *authcode.AppOptions {
	tb.Helper()
	sealer, err := authcode.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	return &authcode.AppOptions{ClientOptions: server.clientOptions(), Sealer: sealer, Store: store}
}

// signIn is that of one user, as far as the core and the store have to do with it.
func (r *replica) signIn(ctx context.Context, user int) error {
	_, err := r.ImportRefreshToken(ctx, tokenText("r", user, r.server.refreshBytes), graphScope)
	return err
}

func (r *replica) token(ctx context.Context, user int, claims string) error {
	token, err := r.Credential(accountID(user)).GetToken(ctx, policy.TokenRequestOptions{Claims: claims, Scopes: graphScopes})
	if err == nil && token.Token == "" {
		err = errNoToken
	}
	return err
}

// renewing are claims that no cached token meets: a call with them is a refresh.
const renewing = `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`

// spread lets callers share the numbers from first to first+n: no two have the same.
func spread(tb testing.TB, callers, first, n int, do func(ctx context.Context, i int) error) {
	tb.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(tb.Context(), first+i); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if tb.Failed() {
		tb.FailNow()
	}
}

func signInAll(tb testing.TB, r *replica, users int) {
	tb.Helper()
	spread(tb, storeCallers, 0, users, r.signIn)
}
