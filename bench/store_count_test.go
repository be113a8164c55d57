package bench

import (
	"context"
	"strings"
	"sync"
	"time"
)

// counting notes what a store is asked, each of which is one round trip, and how large its records are.
type counting struct {
	fullStore

	mu      sync.Mutex
	calls   []string
	largest int // record, in bytes
}

func (c *counting) note(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call)
}

// asked gives the calls since it was last asked, in their order.
func (c *counting) asked() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := strings.Join(c.calls, " ")
	c.calls = nil
	return calls
}

func (c *counting) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	c.note("Get")
	return c.fullStore.Get(ctx, key)
}

func (c *counting) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	c.note("Swap")
	c.mu.Lock()
	c.largest = max(c.largest, len(data))
	c.mu.Unlock()
	return c.fullStore.Swap(ctx, key, oldVersion, newVersion, data, ttl)
}

func (c *counting) Delete(ctx context.Context, key string) error {
	c.note("Delete")
	return c.fullStore.Delete(ctx, key)
}

func (c *counting) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	c.note("Lease")
	return c.fullStore.Lease(ctx, key, owner, ttl)
}

func (c *counting) Release(ctx context.Context, key, owner string) error {
	c.note("Release")
	return c.fullStore.Release(ctx, key, owner)
}

func (c *counting) List(ctx context.Context, prefix string, yield func(string) bool) error {
	c.note("List")
	return c.fullStore.List(ctx, prefix, yield)
}
