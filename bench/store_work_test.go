package bench

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkMiss is GetToken on a replica that has nothing in memory: one Get, and the record is opened and decoded.
func BenchmarkMiss(b *testing.B) {
	const users = 2_000
	for _, p := range places {
		b.Run(p.name, func(b *testing.B) {
			server, store := newStoreServer(b), p.open(b)
			signInAll(b, newReplica(b, server, store), users)
			forEachCallers(b, func(b *testing.B, callers int) {
				b.ResetTimer()
				for done := 0; done < b.N; {
					b.StopTimer()
					r := newReplica(b, server, store)
					n := min(users, b.N-done)
					b.StartTimer()
					spread(b, callers, 0, n, func(ctx context.Context, user int) error { return r.token(ctx, user, "") })
					done += n
				}
			})
		})
	}
}

// BenchmarkSignIn is the import of a refresh token, from a server without a network: the answer is verified, sealed and stored.
func BenchmarkSignIn(b *testing.B) {
	for _, p := range places {
		b.Run(p.name, func(b *testing.B) {
			server, store := newStoreServer(b), p.open(b)
			users := 0 // who have signed in
			forEachCallers(b, func(b *testing.B, callers int) {
				r := newReplica(b, server, store)
				b.ResetTimer()
				spread(b, callers, users, b.N, r.signIn)
				users += b.N
			})
		})
	}
}

// BenchmarkRefresh is a refresh, with a lease: four round trips, and the record twice.
func BenchmarkRefresh(b *testing.B) {
	const users = 1_000
	for _, p := range places {
		b.Run(p.name, func(b *testing.B) {
			r := newReplica(b, newStoreServer(b), p.open(b))
			signInAll(b, r, users)
			forEachCallers(b, func(b *testing.B, callers int) {
				b.ResetTimer()
				spread(b, callers, 0, b.N, func(ctx context.Context, i int) error { return r.token(ctx, i%users, renewing) })
			})
		})
	}
}

// forEachCallers runs a benchmark with one caller and with many, and says how many operations there were in a second.
func forEachCallers(b *testing.B, run func(b *testing.B, callers int)) {
	for _, callers := range []int{1, storeCallers} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			run(b, callers)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "per-s")
		})
	}
}
