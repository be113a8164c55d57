package authcode

import (
	"context"
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
	mu      sync.Mutex
	leased  time.Time // the last answer to a call for a lease: a store that reads and does not write gives none
	failing bool      // a call since then had none
	writing time.Time // until when others may be writing
}

func (o *outage) failed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing = true
}

// answered is told of an answer to a call for a lease. A lease that was renewed until the answer before is over ten seconds after that
// one at the earliest.
func (o *outage) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if o.failing && now.Sub(o.leased) >= leaseTime-leaseRenew {
		o.writing = now.Add(lateWrites)
	}
	o.leased, o.failing = now, false
}

// awaitWrites waits until the others have had their time, or ctx is over: then the store is not read, either.
func (o *outage) awaitWrites(ctx context.Context) {
	o.mu.Lock()
	left := time.Until(o.writing)
	o.mu.Unlock()
	if left > 0 {
		_ = sleep(ctx, left)
	}
}
