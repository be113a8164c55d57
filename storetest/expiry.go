package storetest

import "time"

const (
	short     = 1500 * time.Millisecond // of what ends during a check
	tolerance = time.Second             // by which a store may be late; early it may be by half a second
	interval  = 10 * time.Millisecond   // between two looks
)

var timeChecks = []check{
	{"a record's time ends", func(s *subject) {
		key := newKey()
		began := time.Now()
		s.put(key, "v1", "one", short)
		s.wantEnd(began, "the record", func() bool { _, found := s.get(key); return found })
		s.wantSwap(false, key, "v1", "v2", "two", long)
		s.wantNoRecord(key)
		s.put(key, "v3", "three", long)
		s.wantRecord(key, "three", "v3")
	}},
	{"a Swap begins the time anew", func(s *subject) {
		longer, shorter, again := newKey(), newKey(), newKey()
		began := time.Now()
		s.put(longer, "v1", "one", short)
		s.wantSwap(true, longer, "v1", "v2", "two", long)
		s.put(again, "v1", "one", short)
		s.put(shorter, "v1", "one", long)
		s.wantSwap(true, shorter, "v1", "v2", "two", short)
		s.wantEnd(began, "the record whose second Swap was short", func() bool { _, found := s.get(shorter); return found })
		s.wantEnd(began, "the record with one short Swap", func() bool { _, found := s.get(again); return found })
		s.wantRecord(longer, "two", "v2")
	}},
	{"a Swap that wrote nothing leaves the time", func(s *subject) {
		key := newKey()
		began := time.Now()
		s.put(key, "v1", "one", short)
		s.wantSwap(false, key, "v0", "v2", "two", long)
		s.wantSwap(false, key, "", "v3", "three", long)
		s.wantEnd(began, "the record", func() bool { _, found := s.get(key); return found })
	}},
	{"what ended is not listed", func(s *subject) {
		prefix := newKey() + ":"
		lister := s.lister()
		began := time.Now()
		s.put(prefix+"short", "v1", "one", short)
		s.put(prefix+"long", "v1", "one", long)
		s.wantEnd(began, "the key in the list", func() bool { return s.list(lister, prefix)[prefix+"short"] == 1 })
		s.wantListed(lister, prefix, prefix+"long")
	}},
	{"a lease's time ends", func(s *subject) {
		leaser, key := s.leaser(), newKey()
		began := time.Now()
		s.wantLease(leaser, true, key, "alice", short)
		s.wantEnd(began, "the lease", func() bool { return !s.lease(leaser, key, "bob", long) })
		s.wantLease(leaser, false, key, "alice", long)
		s.release(leaser, key, "alice") // which is bob's by now
		s.wantLease(leaser, false, key, "alice", long)
	}},
	{"the owner's lease begins anew", func(s *subject) {
		leaser, longer, shorter := s.leaser(), newKey(), newKey()
		began := time.Now()
		s.wantLease(leaser, true, longer, "alice", short)
		s.wantLease(leaser, true, longer, "alice", long)
		s.wantLease(leaser, true, shorter, "alice", long)
		s.wantLease(leaser, true, shorter, "alice", short)
		s.wantEnd(began, "the lease whose renewal was short", func() bool { return !s.lease(leaser, shorter, "bob", long) })
		s.wantLease(leaser, false, longer, "bob", long)
	}},
	{"record and lease end each in its time", func(s *subject) {
		leaser, record, lease, released, leased := s.leaser(), newKey(), newKey(), newKey(), newKey()
		began := time.Now()
		s.wantLease(leaser, true, leased, "alice", long)
		s.put(leased, "v1", "one", short)
		s.put(record, "v1", "one", short)
		s.wantLease(leaser, true, record, "alice", long)
		s.put(released, "v1", "one", short)
		s.wantLease(leaser, true, released, "alice", long)
		s.release(leaser, released, "alice")
		s.wantLease(leaser, true, lease, "alice", short)
		s.put(lease, "v1", "one", long)
		s.wantEnd(began, "the record under a lease", func() bool { _, found := s.get(record); return found })
		s.wantEnd(began, "the record written under a lease", func() bool { _, found := s.get(leased); return found })
		s.wantEnd(began, "the record after a lease", func() bool { _, found := s.get(released); return found })
		s.wantEnd(began, "the lease on a record", func() bool { return !s.lease(leaser, lease, "bob", long) })
		s.wantLease(leaser, false, record, "bob", long)
		s.wantLease(leaser, false, leased, "bob", long)
		s.put(record, "v2", "two", long) // under the lease of a key whose record ended
		s.wantRecord(record, "two", "v2")
		s.wantRecord(lease, "one", "v1")
	}},
}

// wantEnd waits for the end of something that got the time short no earlier than began and no later than now.
func (s *subject) wantEnd(began time.Time, what string, is func() bool) {
	s.Helper()
	given := time.Now()
	for {
		asked := time.Now()
		there := is()
		if passed := time.Since(began); !there && passed < short-tolerance/2 {
			s.Fatalf("%s ended after at most %s, and had %s", what, passed, short)
		}
		if !there {
			return
		}
		if passed := asked.Sub(given); passed > short+tolerance {
			s.Fatalf("%s is still there after %s, and had %s", what, passed, short)
		}
		select {
		case <-s.Context().Done():
			s.Fatal(s.Context().Err())
		case <-time.After(interval):
		}
	}
}
