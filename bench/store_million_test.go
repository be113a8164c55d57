package bench

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var long = flag.Bool("long", false, "run BenchmarkMillion, which takes minutes and about 8 GB of memory")

const (
	million     = 1_000_000
	misses      = 50_000
	claimsBytes = 682 // what an ID token adds to a record
)

// BenchmarkMillion is a million users in Redis from one process, once: what they take there and here, how long it takes to write
// and to list them, and what a random one waits for where they are not in memory.
func BenchmarkMillion(b *testing.B) {
	if !*long {
		b.Skip("it takes minutes and about 8 GB of memory: go test -run xxx -bench Million -long -benchtime 1x -timeout 1h")
	}
	redis := flushedRedis(b, redisServer)
	store := newRedisStore(b, redis)
	// A million signatures are not what is measured: there is no ID token, and the access token is longer by its claims.
	server := &canned{accessBytes: accessBytes + claimsBytes, refreshBytes: refreshBytes, expiresIn: 86_399}
	usedBefore := redisMemory(b, redis)
	b.ResetTimer()
	b.ReportMetric(0, "ns/op")

	var r *replica
	var writing time.Duration
	heap := heapPer(1, func() any {
		began := time.Now()
		r = newReplica(b, server, store)
		signInAll(b, r, million)
		writing = time.Since(began)
		return r
	})
	b.ReportMetric(writing.Seconds(), "s-writing")
	b.ReportMetric(million/writing.Seconds(), "sign-ins/s")
	b.ReportMetric((redisMemory(b, redis)-usedBefore)/million, "B/user-redis")
	b.ReportMetric(heap/1e6, "MB-here")

	began := time.Now()
	accounts := 0
	for _, err := range r.Accounts(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		accounts++
	}
	if accounts != million {
		b.Fatalf("Accounts gave %d, want %d", accounts, million)
	}
	b.ReportMetric(time.Since(began).Seconds(), "s-accounts")

	cold := newReplica(b, server, store)
	waits := make([]time.Duration, misses)
	for i, user := range rand.Perm(million)[:misses] {
		began := time.Now()
		if err := cold.token(b.Context(), user, ""); err != nil {
			b.Fatal(err)
		}
		waits[i] = time.Since(began)
	}
	slices.Sort(waits)
	for _, at := range []struct {
		name string
		part float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}} {
		b.ReportMetric(float64(waits[int(at.part*misses)].Microseconds()), "µs-miss-"+at.name)
	}
}
