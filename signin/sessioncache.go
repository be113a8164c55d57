package signin

import (
	"sync"
	"time"
)

const (
	maxSessionsInMemory = 10_000
	looksForSession     = 4 // at entries that may be over, per write
)

// sessionCache is the sessions in memory, and marks of those that ended here a moment ago. The zero value is ready.
type sessionCache struct {
	mu      sync.RWMutex
	entries map[sessionKey]*session
}

func (c *sessionCache) get(key sessionKey) *session {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[key]
}

// put keeps a session, and gives nil for one that has ended meanwhile: session IDs are never used again.
func (c *sessionCache) put(s *session) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if had := c.entries[s.key]; had != nil && had.ended {
		return nil
	}
	c.makeRoom(time.Now())
	if c.entries == nil {
		c.entries = make(map[sessionKey]*session)
	}
	c.entries[s.key] = s
	return s
}

// drop forgets a session that the store does not have.
func (c *sessionCache) drop(key sessionKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if had := c.entries[key]; had != nil && !had.ended {
		delete(c.entries, key)
	}
}

// end leaves a mark for as long as a reading that began before may take.
func (c *sessionCache) end(key sessionKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.makeRoom(time.Now())
	if c.entries == nil {
		c.entries = make(map[sessionKey]*session)
	}
	c.entries[key] = &session{key: key, ended: true, checked: time.Now()}
}

// makeRoom looks at a few and drops those that were not asked for lately, or any where there are too many: they are read again.
// A map is ranged over from a random place, so every entry has its turn.
func (c *sessionCache) makeRoom(now time.Time) {
	looks := looksForSession
	for key, s := range c.entries {
		if now.Sub(s.checked) > servedUnstored || len(c.entries) >= maxSessionsInMemory && !s.ended {
			delete(c.entries, key)
		}
		if looks--; looks == 0 {
			return
		}
	}
}
