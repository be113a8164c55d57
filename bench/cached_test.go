package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"golang.org/x/oauth2"

	"github.com/authcode-go/authcode"
)

// graphScopes are as a caller writes them: once for the program.
var graphScopes = []string{graphScope}

// BenchmarkGetTokenCached is GetToken with a good token in memory, for a random one of N accounts of an App, beside the
// same of memory alone and of golang.org/x/oauth2.
func BenchmarkGetTokenCached(b *testing.B) {
	for _, accounts := range []int{1, 1_000, 1_000_000} {
		b.Run(fmt.Sprintf("N=%d", accounts), func(b *testing.B) {
			rows := cachedRows(b, accounts, false)
			b.Run("serial", func(b *testing.B) {
				for _, w := range rows {
					b.Run(w.name, w.serial)
				}
				b.Run("ratio", func(b *testing.B) { compare(b, false, rows...) })
			})
			b.Run("parallel", func(b *testing.B) {
				for _, w := range rows {
					b.Run(w.name, w.parallel)
				}
				b.Run("ratio", func(b *testing.B) { compare(b, true, rows...) })
			})
		})
	}
	// azcore's clients ask with EnableCAE, which is another token.
	for _, accounts := range []int{1, 1_000} {
		b.Run(fmt.Sprintf("CAE/N=%d", accounts), func(b *testing.B) {
			rows := cachedRows(b, accounts, true)[:2]
			b.Run("serial", rows[0].serial)
			b.Run("parallel", rows[0].parallel)
			b.Run("ratio", func(b *testing.B) { compare(b, false, rows...) })
		})
	}
}

// cachedRows holds the same tokens in all rows, so that their text is in memory once.
func cachedRows(tb testing.TB, accounts int, cae bool) []row {
	server := &canned{accessBytes: accessBytes, refreshBytes: refreshBytes, expiresIn: 86_399}
	if accounts > 100_000 { // 3 GB of text would measure the memory of the machine and leave none to others
		server.accessBytes, server.refreshBytes = 300, 300
	}
	credentials := newCrowd(tb, server, accounts).credentials
	tokens := make([]azcore.AccessToken, accounts)
	for i, c := range credentials {
		token, err := c.GetToken(tb.Context(), policy.TokenRequestOptions{EnableCAE: cae, Scopes: graphScopes})
		if err != nil {
			tb.Fatal(err)
		}
		tokens[i] = token
	}
	one, two, sources := newOneLoad(tokens), newTwoLoads(tokens), newSources(tokens)
	ctx := tb.Context()
	return []row{
		{"authcode", func(r *random, n int) { getTokens(ctx, credentials, cae, r, n) }},
		{"floor", func(r *random, n int) {
			for range n {
				if access := two.get(r.below(len(two))); access.Token == "" {
					panic("no token")
				}
			}
		}},
		{"floor-one-load", func(r *random, n int) {
			for range n {
				if access := one.get(r.below(len(one))); access.Token == "" {
					panic("no token")
				}
			}
		}},
		{"oauth2", func(r *random, n int) {
			for range n {
				token, err := sources[r.below(len(sources))].Token()
				if err != nil || token.AccessToken == "" {
					panic("no token")
				}
			}
		}},
	}
}

func getTokens(ctx context.Context, credentials []*authcode.AuthorizationCodeCredential, cae bool, r *random, n int) {
	for range n {
		access, err := credentials[r.below(len(credentials))].GetToken(ctx, policy.TokenRequestOptions{EnableCAE: cae, Scopes: graphScopes})
		if err != nil || access.Token == "" {
			panic("no token")
		}
	}
}

func newSources(tokens []azcore.AccessToken) []oauth2.TokenSource {
	sources := make([]oauth2.TokenSource, len(tokens))
	for i, token := range tokens {
		sources[i] = oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: token.Token, TokenType: "Bearer", Expiry: token.ExpiresOn}, nil)
	}
	return sources
}
