package authcode

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"
)

const looksPerWrite = 4 // at entries whose time may be over

// NewMemoryStore gives a [Store] that is also a [Leaser] and a [Lister], in the memory of this process: for tests, and for an
// app of one replica whose users sign in again after a restart. It is what an [App] without a Store uses.
//
// It keeps what it was given until its time is over, however much that is: who wants less memory gives shorter times. Entries
// that are over leave as others are written, a few at each write, so that nothing runs in the background and there is nothing
// to close. Its clock is [time.Now], in a bubble of testing/synctest the bubble's.
func NewMemoryStore() Store {
	return &memoryStore{records: make(map[string]memoryRecord), leases: make(map[string]memoryLease)}
}

type memoryStore struct {
	mu      sync.RWMutex
	records map[string]memoryRecord
	leases  map[string]memoryLease
}

type memoryRecord struct {
	data    []byte // never written to
	version string
	until   time.Time
}

type memoryLease struct {
	owner string
	until time.Time
}

func (r memoryRecord) isOver(now time.Time) bool { return !now.Before(r.until) }
func (l memoryLease) isOver(now time.Time) bool  { return !now.Before(l.until) }

func (s *memoryStore) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", false, err
	}
	s.mu.RLock()
	r, found := s.records[key]
	s.mu.RUnlock()
	if !found || r.isOver(time.Now()) {
		return nil, "", false, nil
	}
	return bytes.Clone(r.data), r.version, true, nil
}

func (s *memoryStore) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	sweep(s.records, now)
	stored := "" // the version
	if r, found := s.records[key]; found && !r.isOver(now) {
		stored = r.version
	}
	switch stored {
	case newVersion:
		return true, nil
	case oldVersion:
		s.records[key] = memoryRecord{data: bytes.Clone(data), version: newVersion, until: now.Add(ttl)}
		return true, nil
	}
	return false, nil
}

func (s *memoryStore) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

func (s *memoryStore) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	sweep(s.leases, now)
	if l, found := s.leases[key]; found && l.owner != owner && !l.isOver(now) {
		return false, nil
	}
	s.leases[key] = memoryLease{owner: owner, until: now.Add(ttl)}
	return true, nil
}

func (s *memoryStore) Release(ctx context.Context, key, owner string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[key].owner == owner {
		delete(s.leases, key)
	}
	return nil
}

// List takes the keys first, so that yield may use the store.
func (s *memoryStore) List(ctx context.Context, prefix string, yield func(key string) bool) error {
	for _, key := range s.keys(prefix) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(key) {
			return nil
		}
	}
	return ctx.Err()
}

func (s *memoryStore) keys(prefix string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := time.Now()
	var keys []string
	for key, r := range s.records {
		if strings.HasPrefix(key, prefix) && !r.isOver(now) {
			keys = append(keys, key)
		}
	}
	return keys
}

// sweep looks at a few entries and drops those that are over. Go's maps are ranged over from a random place, so every entry
// has its turn, and of those that are over about one in looksPerWrite is still there.
func sweep[E interface{ isOver(time.Time) bool }](entries map[string]E, now time.Time) {
	looks := looksPerWrite
	for key, e := range entries {
		if e.isOver(now) {
			delete(entries, key)
		}
		if looks--; looks == 0 {
			return
		}
	}
}
