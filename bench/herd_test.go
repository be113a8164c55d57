package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
)

const (
	herd      = 1_000                 // callers
	herdDelay = 50 * time.Millisecond // of the server
)

// BenchmarkHerd is 1,000 callers of one credential at the same moment, for whom there is no token: how many requests reach the
// server, and how long until all have their token, of which the server takes 50 ms.
func BenchmarkHerd(b *testing.B) {
	b.Run("code", func(b *testing.B) {
		var posts int64
		for range b.N {
			server := newHerdServer(86_399)
			credential := newHeldCode(b, server)
			posts += stampede(b, server, credential)
		}
		b.ReportMetric(float64(posts)/float64(b.N), "requests/op")
	})
	b.Run("expired", func(b *testing.B) {
		var posts int64
		for range b.N {
			b.StopTimer()
			server := newHerdServer(1)
			credential := newHeldCode(b, server)
			mustToken(b, credential, graphScopes)
			time.Sleep(time.Second)
			b.StartTimer()
			posts += stampede(b, server, credential)
		}
		b.ReportMetric(float64(posts)/float64(b.N), "requests/op")
	})
}

func newHerdServer(expiresIn int) *canned {
	return &canned{accessBytes: accessBytes, refreshBytes: refreshBytes, delay: herdDelay, expiresIn: expiresIn}
}

// newHeldCode is a plain credential that has not redeemed its code.
func newHeldCode(tb testing.TB, server *canned) *authcode.AuthorizationCodeCredential {
	tb.Helper()
	credential, err := authcode.NewAuthorizationCodeCredential(tenantID, clientID, codeText(0, "nonce"), redirectURI,
		&authcode.AuthorizationCodeCredentialOptions{ClientOptions: server.clientOptions(), ClientSecret: clientSecret})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = credential.Close() })
	return credential
}

// stampede lets the herd ask at once and gives the number of requests that reached the server.
func stampede(tb testing.TB, server *canned, credential *authcode.AuthorizationCodeCredential) int64 {
	tb.Helper()
	before := server.codes.Load() + server.refreshs.Load()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	open := make(chan struct{})
	var wg sync.WaitGroup
	for range herd {
		wg.Go(func() {
			<-open
			if _, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: graphScopes}); err != nil {
				tb.Error(err)
			}
		})
	}
	close(open)
	wg.Wait()
	return server.codes.Load() + server.refreshs.Load() - before
}
