package storetest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/authcode-go/authcode"
)

const recordBytes = 4 << 10 // about what a sealed grant of one user has

// Benchmark measures Get and Swap of 4 KiB records, and Lease with Release where the store has them, by one caller and by 16,
// each with a key of its own.
func Benchmark(b *testing.B, open func(t testing.TB) authcode.Store) {
	store := open(b)
	for _, callers := range []int{1, 16} {
		keys := make([]string, callers)
		for i := range keys {
			keys[i] = newKey()
			if swapped, err := store.Swap(b.Context(), keys[i], "", "0", make([]byte, recordBytes), long); !swapped || err != nil {
				b.Fatal(swapped, err)
			}
		}
		name := fmt.Sprintf("callers=%d", callers)
		b.Run("Get/"+name, func(b *testing.B) {
			share(b, callers, func(ctx context.Context, caller int) (bool, error) {
				_, _, found, err := store.Get(ctx, keys[caller])
				return found, err
			})
		})
		var swaps [16]int // of each caller, in all runs of the benchmark
		data := make([]byte, recordBytes)
		b.Run("Swap/"+name, func(b *testing.B) {
			share(b, callers, func(ctx context.Context, caller int) (bool, error) {
				before := swaps[caller]
				swaps[caller]++
				return store.Swap(ctx, keys[caller], strconv.Itoa(before), strconv.Itoa(before+1), data, long)
			})
		})
		leaser, is := store.(authcode.Leaser)
		if !is {
			continue
		}
		b.Run("LeaseRelease/"+name, func(b *testing.B) {
			share(b, callers, func(ctx context.Context, caller int) (bool, error) {
				granted, err := leaser.Lease(ctx, keys[caller], "alice", long)
				if err != nil {
					return false, err
				}
				return granted, leaser.Release(ctx, keys[caller], "alice")
			})
		})
	}
}

// share lets callers do b.N calls together.
func share(b *testing.B, callers int, call func(ctx context.Context, caller int) (bool, error)) {
	b.ReportAllocs()
	var done atomic.Int64
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for done.Add(1) <= int64(b.N) {
				if ok, err := call(b.Context(), caller); !ok || err != nil {
					b.Errorf("%t, %v", ok, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
