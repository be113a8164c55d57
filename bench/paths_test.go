package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
)

const (
	mailScope    = "https://graph.microsoft.com/Mail.Read"
	storageScope = "https://storage.azure.com/user_impersonation"
)

// BenchmarkGetTokenOther is GetToken with a good token in memory that is not the account's newest, or is asked for in other
// words: it is looked for among all of the account's.
func BenchmarkGetTokenOther(b *testing.B) {
	const accounts = 1_000
	server := &canned{accessBytes: accessBytes, refreshBytes: refreshBytes, expiresIn: 86_399}
	credentials := newCrowd(b, server, accounts).credentials
	first, second, third := []string{storageScope}, []string{mailScope, graphScope}, graphScopes
	for _, c := range credentials { // the newest comes first
		mustToken(b, c, second)
		mustToken(b, c, first)
	}
	for _, w := range []struct {
		name   string
		scopes []string
	}{
		{"first-set", first},
		{"second-set", second},
		{"second-set-reordered", []string{graphScope, mailScope}},
		{"third-set", []string{third[0]}},
	} {
		b.Run(w.name, func(b *testing.B) {
			if posts := server.refreshs.Load(); posts != 3*accounts {
				b.Fatalf("%d requests before, want %d", posts, 3*accounts)
			}
			row{w.name, func(r *random, n int) {
				for range n {
					access, err := credentials[r.below(accounts)].GetToken(b.Context(), policy.TokenRequestOptions{Scopes: w.scopes})
					if err != nil || access.Token == "" {
						panic("no token")
					}
				}
			}}.serial(b)
		})
	}
}

func mustToken(tb testing.TB, c *authcode.AuthorizationCodeCredential, scopes []string) {
	tb.Helper()
	if _, err := c.GetToken(tb.Context(), policy.TokenRequestOptions{Scopes: scopes}); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkCredential is App.Credential, which a request pays before GetToken: a look into a map under a read lock.
func BenchmarkCredential(b *testing.B) {
	for _, accounts := range []int{1, 1_000, 100_000} {
		b.Run(fmt.Sprintf("N=%d", accounts), func(b *testing.B) {
			app := newCrowd(b, &canned{accessBytes: 300, refreshBytes: 300, expiresIn: 86_399}, accounts).app
			ids := make([]string, accounts)
			for i := range ids {
				ids[i] = accountID(i)
			}
			lookup := row{"lookup", func(r *random, n int) {
				for range n {
					if app.Credential(ids[r.below(accounts)]) == nil {
						panic("no credential")
					}
				}
			}}
			withToken := row{"lookup-and-token", func(r *random, n int) {
				for range n {
					access, err := app.Credential(ids[r.below(accounts)]).GetToken(b.Context(), policy.TokenRequestOptions{Scopes: graphScopes})
					if err != nil || access.Token == "" {
						panic("no token")
					}
				}
			}}
			for _, w := range []row{lookup, withToken} {
				b.Run(w.name+"/serial", w.serial)
				b.Run(w.name+"/parallel", w.parallel)
			}
		})
	}
}

// BenchmarkGetTokenStale is GetToken with a token that is still good and due to be renewed: while the refresh behind the
// caller's back is under way, and after it failed, when none is tried for a while.
func BenchmarkGetTokenStale(b *testing.B) {
	b.Run("refreshing", func(b *testing.B) {
		stale(b, func(server *canned) { server.delay = time.Hour })
	})
	b.Run("after-failure", func(b *testing.B) {
		stale(b, func(server *canned) { server.failing.Store(true) })
	})
}

func stale(b *testing.B, trouble func(*canned)) {
	server := &canned{accessBytes: accessBytes, refreshBytes: refreshBytes, expiresIn: 86_399, refreshIn: 1}
	options := &authcode.AppOptions{ClientOptions: server.clientOptions()}
	options.Retry.MaxRetries = -1 // a failure is to be over at once
	credential := newCrowdOf(b, server, 1, options).credentials[0]
	trouble(server)
	mustToken(b, credential, graphScopes) // starts the refresh
	time.Sleep(10 * time.Millisecond)
	row{"stale", func(_ *random, n int) {
		for range n {
			access, err := credential.GetToken(b.Context(), policy.TokenRequestOptions{Scopes: graphScopes})
			if err != nil || access.Token == "" {
				panic("no token")
			}
		}
	}}.serial(b)
}
