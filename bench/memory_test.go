package bench

import (
	"runtime"
	"strings"
	"testing"
)

const manyAccounts = 100_000

// BenchmarkAccountMemory is what an account takes in an App beyond the text of its two tokens, as the allocator rounds it. With
// an ID token the account also keeps its claims, some 500 bytes of JSON.
func BenchmarkAccountMemory(b *testing.B) {
	text := heapPer(manyAccounts, func() any {
		texts := make([]string, 2*manyAccounts)
		for i := range manyAccounts {
			texts[2*i] = strings.Clone(tokenText("a", i, accessBytes))
			texts[2*i+1] = strings.Clone(tokenText("r", i, refreshBytes))
		}
		return texts
	}) - 2*16 // the array of strings
	b.Run("client-info", func(b *testing.B) { accountMemory(b, &canned{}, text) })
	b.Run("id-token", func(b *testing.B) {
		signer, err := newECSigner(issuerAt(cannedHost))
		if err != nil {
			b.Fatal(err)
		}
		accountMemory(b, &canned{signer: signer}, text)
	})
}

func accountMemory(b *testing.B, server *canned, text float64) {
	server.accessBytes, server.refreshBytes, server.expiresIn = accessBytes, refreshBytes, 86_399
	var total float64
	for range b.N {
		total += heapPer(manyAccounts, func() any { return newCrowd(b, server, manyAccounts) }) - 8 // the crowd's array
	}
	total /= float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(total, "B/account")
	b.ReportMetric(text, "B/account-text")
	b.ReportMetric(total-text, "B/account-beyond")
}

// heapPer gives the heap that what is made holds, divided by n.
func heapPer(n int, build func() any) float64 {
	before := liveHeap()
	held := build()
	after := liveHeap()
	runtime.KeepAlive(held)
	return float64(after-before) / float64(n)
}

func liveHeap() int64 {
	for range 3 { // finalizers and pools take more than one collection
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
