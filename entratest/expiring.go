package entratest

import (
	"sync"
	"time"
)

// expiringSet remembers strings until a time, and forgets the expired ones as it grows: its size follows the number
// that are alive, not the number that ever were.
type expiringSet struct {
	mu      sync.Mutex
	until   map[string]time.Time
	sweepAt int
}

func newExpiringSet() *expiringSet {
	return &expiringSet{until: make(map[string]time.Time), sweepAt: 1024}
}

// add reports whether s was not there; one of many who add the same s at once gets true.
func (x *expiringSet) add(s string, until, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if t, there := x.until[s]; there && now.Before(t) {
		return false
	}
	if len(x.until) >= x.sweepAt {
		for k, t := range x.until {
			if !now.Before(t) {
				delete(x.until, k)
			}
		}
		// Twice what survived: the cost of sweeping stays a constant per add.
		x.sweepAt = max(1024, 2*len(x.until))
	}
	x.until[s] = until
	return true
}
