package boltstore

import (
	"sync"
	"time"
)

// leases are those of this process, which is the only one that has the file. The zero value is ready.
type leases struct {
	mu   sync.Mutex
	held map[string]lease
}

type lease struct {
	owner string
	until time.Time
}

func (l *leases) take(key, owner string, ttl time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.sweep(now)
	if held, found := l.held[key]; found && held.owner != owner && now.Before(held.until) {
		return false
	}
	if l.held == nil {
		l.held = make(map[string]lease)
	}
	l.held[key] = lease{owner: owner, until: now.Add(ttl)}
	return true
}

func (l *leases) end(key, owner string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[key].owner == owner {
		delete(l.held, key)
	}
}

// sweep looks at a few leases and drops those that are over. Go's maps are ranged over from a random place, so every lease has
// its turn.
func (l *leases) sweep(now time.Time) {
	left := looks
	for key, held := range l.held {
		if !now.Before(held.until) {
			delete(l.held, key)
		}
		if left--; left == 0 {
			return
		}
	}
}
