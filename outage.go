package authcode

import (
	"context"
	"errors"
	"sync"
	"time"
)

// lateWrites is how long after an outage of the store the other replicas are given to write what they could not: a pause of the
// backlog, and a call that was made before the end and gets no answer.
const lateWrites = longBacklog + storeTime + time.Second

// outage remembers faults of the store, where a refresh token is good once. What a replica refreshed as the store went down is in its
// memory alone, and its lease may be over when the store is back: who refreshes then, with the refresh token that is stored, would use
// one that is spent. The zero value is ready.
type outage struct {
	mu       sync.Mutex
	answered time.Time // last
	failed   bool      // a call since then
	writing  time.Time // until when others may be writing
}

// heard is told how each call of the store ended.
func (o *outage) heard(err error) {
	if errors.Is(err, context.Canceled) { // it says nothing of the store
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.failed = true
		return
	}
	now := time.Now()
	if o.failed && now.Sub(o.answered) >= leaseTime-leaseRenew { // a lease of which the last renewal failed is over no earlier
		o.writing = now.Add(lateWrites)
	}
	o.answered, o.failed = now, false
}

// awaitWrites waits until the others have had their time.
func (o *outage) awaitWrites(ctx context.Context) error {
	o.mu.Lock()
	left := time.Until(o.writing)
	o.mu.Unlock()
	if left <= 0 {
		return nil
	}
	return sleep(ctx, left)
}
