package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authcode-go/authcode"
)

var leaseChecks = []check{
	{"a lease has one owner", func(s *subject) {
		leaser, key := s.leaser(), newKey()
		s.wantLease(leaser, true, key, "alice", long)
		for _, other := range []string{"bob", "Alice", "alice ", "alic", "*"} {
			s.wantLease(leaser, false, key, other, long)
		}
		s.wantLease(leaser, true, key, "alice", long)
		s.wantLease(leaser, true, newKey(), "bob", long)
	}},
	{"a lease ends when its owner releases it", func(s *subject) {
		leaser, key := s.leaser(), newKey()
		s.wantLease(leaser, true, key, "alice", long)
		s.release(leaser, key, "alice")
		s.wantLease(leaser, true, key, "bob", long)
		s.release(leaser, key, "alice") // again
		s.wantLease(leaser, false, key, "alice", long)
	}},
	{"a lease is not for others to release", func(s *subject) {
		leaser, key := s.leaser(), newKey()
		s.release(leaser, key, "bob") // nobody's
		s.wantLease(leaser, true, key, "alice", long)
		s.release(leaser, key, "bob")
		s.wantLease(leaser, false, key, "bob", long)
	}},
	{"a lease makes no record", func(s *subject) {
		leaser, key := s.leaser(), newKey()
		s.wantLease(leaser, true, key, "alice", long)
		s.wantNoRecord(key)
		s.wantSwap(false, key, "v1", "v2", "two", long)
		if lister, is := s.Store.(authcode.Lister); is {
			s.wantListed(lister, key)
		}
		s.put(key, "v1", "one", long)
		s.release(leaser, key, "alice")
		s.wantRecord(key, "one", "v1")
	}},
	{"a lease stays through Swap and Delete", func(s *subject) {
		leaser, key := s.leaser(), newKey()
		s.wantLease(leaser, true, key, "alice", long)
		for _, step := range []struct {
			name string
			do   func()
		}{
			{"a Swap from no version", func() { s.put(key, "v1", "one", long) }},
			{"a Swap", func() { s.wantSwap(true, key, "v1", "v2", "two", long) }},
			{"a Swap that wrote nothing", func() { s.wantSwap(false, key, "v1", "v3", "three", long) }},
			{"Delete", func() { s.delete(key) }},
			{"Delete of nothing", func() { s.delete(key) }},
		} {
			step.do()
			if s.lease(leaser, key, "bob", long) {
				s.Fatalf("bob got alice's lease after %s", step.name)
			}
		}
		s.wantNoRecord(key)
	}},
	{"a record stays through leases", func(s *subject) {
		leaser, key := s.leaser(), newKey()
		s.put(key, "v1", "one", long)
		s.wantLease(leaser, true, key, "alice", long)
		s.wantRecord(key, "one", "v1")
		s.wantLease(leaser, false, key, "bob", long)
		s.wantSwap(true, key, "v1", "v2", "two", long) // the lease binds nobody
		s.release(leaser, key, "alice")
		s.wantRecord(key, "two", "v2")
	}},
	{"another handle sees the lease", func(s *subject) {
		s.leaser()
		both, key := s.handles(), newKey()
		first, second := both[0].(authcode.Leaser), both[1].(authcode.Leaser)
		s.wantLease(first, true, key, "alice", long)
		s.wantLease(second, false, key, "bob", long)
		s.release(second, key, "alice")
		s.wantLease(first, true, key, "bob", long)
	}},
	{"of many who ask one gets the lease", func(s *subject) {
		s.leaser()
		both := s.handles()
		for range rounds {
			key := newKey()
			var granted atomic.Int32
			var wg sync.WaitGroup
			for replica := range replicas {
				wg.Go(func() {
					got, err := both[replica%2].(authcode.Leaser).Lease(s.Context(), key, fmt.Sprint("replica ", replica), long)
					if err != nil {
						s.Errorf("Lease by replica %d: %v", replica, err)
					}
					if got {
						granted.Add(1)
					}
				})
			}
			wg.Wait()
			if granted.Load() != 1 {
				s.Fatalf("%d of %d got the lease, want one", granted.Load(), replicas)
			}
		}
	}},
}

func (s *subject) lease(leaser authcode.Leaser, key, owner string, ttl time.Duration) bool {
	s.Helper()
	granted, err := leaser.Lease(s.Context(), key, owner, ttl)
	if err != nil {
		s.Fatalf("Lease(%q, %q): %v", key, owner, err)
	}
	return granted
}

func (s *subject) wantLease(leaser authcode.Leaser, want bool, key, owner string, ttl time.Duration) {
	s.Helper()
	if granted := s.lease(leaser, key, owner, ttl); granted != want {
		s.Fatalf("Lease(%q, %q) = %t, want %t", key, owner, granted, want)
	}
}

func (s *subject) release(leaser authcode.Leaser, key, owner string) {
	s.Helper()
	if err := leaser.Release(s.Context(), key, owner); err != nil {
		s.Fatalf("Release(%q, %q): %v", key, owner, err)
	}
}
