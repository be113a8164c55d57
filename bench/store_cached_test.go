package bench

import (
	"fmt"
	"testing"
)

// BenchmarkGetTokenInFrontOfAStore is GetToken with a good token in memory, in front of a store and without one, by turns.
func BenchmarkGetTokenInFrontOfAStore(b *testing.B) {
	for _, p := range places[:2] {
		for _, accounts := range []int{1, 1_000} {
			b.Run(fmt.Sprintf("%s/N=%d", p.name, accounts), func(b *testing.B) {
				rows := frontRows(b, p.open(b), accounts)
				b.Run("serial", rows[0].serial)
				b.Run("serial/ratio", func(b *testing.B) { compare(b, false, rows...) })
				b.Run("parallel", rows[0].parallel)
				b.Run("parallel/ratio", func(b *testing.B) { compare(b, true, rows...) })
			})
		}
	}
}

// frontRows are the same accounts with a store and without.
func frontRows(tb testing.TB, store fullStore, accounts int) []row {
	server := &canned{accessBytes: accessBytes, refreshBytes: refreshBytes, expiresIn: 86_399}
	with := newCrowdOf(tb, server, accounts, storeOptions(tb, server, store)).credentials
	without := newCrowd(tb, server, accounts).credentials
	ctx := tb.Context()
	return []row{
		{"store", func(r *random, n int) { getTokens(ctx, with, false, r, n) }},
		{"none", func(r *random, n int) { getTokens(ctx, without, false, r, n) }},
	}
}

func TestCachedTokensInFrontOfAStoreDoNotAllocate(t *testing.T) {
	for _, accounts := range []int{1, 1_000} {
		store := &counting{fullStore: places[0].open(t)}
		w := frontRows(t, store, accounts)[0]
		store.asked()
		r := random(seed)
		if allocs := testing.AllocsPerRun(10, func() { w.run(&r, 100) }); allocs > 0 {
			t.Errorf("N=%d: %v allocations in 100 operations", accounts, allocs)
		}
		if asked := store.asked(); asked != "" {
			t.Errorf("N=%d: the store was asked %q", accounts, asked)
		}
	}
}
