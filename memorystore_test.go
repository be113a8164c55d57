package authcode_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(testing.TB) authcode.Store { return authcode.NewMemoryStore() }, nil)
}

func TestMemoryStoreEndsTimesByTheBubblesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := authcode.NewMemoryStore()
		leaser := store.(authcode.Leaser)
		if swapped, err := store.Swap(t.Context(), "key", "", "v1", nil, time.Hour); !swapped || err != nil {
			t.Fatal(swapped, err)
		}
		if granted, err := leaser.Lease(t.Context(), "key", "alice", time.Hour); !granted || err != nil {
			t.Fatal(granted, err)
		}
		for _, step := range []struct {
			passes time.Duration
			over   bool
		}{{time.Hour - 1, false}, {1, true}} {
			time.Sleep(step.passes) // the bubble's
			_, _, found, err := store.Get(t.Context(), "key")
			if err != nil || found == step.over {
				t.Errorf("found %t, %v", found, err)
			}
			granted, err := leaser.Lease(t.Context(), "key", "bob", time.Hour)
			if err != nil || granted != step.over {
				t.Errorf("granted %t, %v", granted, err)
			}
		}
	})
}

// TestMemoryStoreLetsGoOfWhatIsOver writes many short records and leases, and measures what stays.
func TestMemoryStoreLetsGoOfWhatIsOver(t *testing.T) {
	const count, perSecond, ttl = 50_000, 100, time.Minute
	synctest.Test(t, func(t *testing.T) {
		store := authcode.NewMemoryStore()
		before := callbackHeap()
		data := make([]byte, 1000)
		for i := range count {
			key := fmt.Sprint("key", i)
			if swapped, err := store.Swap(t.Context(), key, "", "v1", data, ttl); !swapped || err != nil {
				t.Fatal(swapped, err)
			}
			if granted, err := store.(authcode.Leaser).Lease(t.Context(), key, "alice", ttl); !granted || err != nil {
				t.Fatal(granted, err)
			}
			time.Sleep(time.Second / perSecond)
		}
		kept := callbackHeap() - before
		if all := int64(count * len(data)); kept > all/4 {
			t.Errorf("%d MiB stay of %d MiB, of which %d records of %d are alive", kept>>20, all>>20, perSecond*60, count)
		}
	})
}

func BenchmarkMemoryStore(b *testing.B) {
	storetest.Benchmark(b, func(testing.TB) authcode.Store { return authcode.NewMemoryStore() })
}
