package storetest

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/authcode-go/authcode"
)

const (
	replicas   = 8  // that swap at once, on two handles
	increments = 20 // by each
	rounds     = 20 // in each of which one may win
)

var contentionChecks = []check{
	{"of many Swaps from no version one succeeds", func(s *subject) {
		both := s.handles()
		for round := range rounds {
			s.race(both, newKey(), "", round)
		}
	}},
	{"of many Swaps from one version one succeeds", func(s *subject) {
		both, key := s.handles(), newKey()
		s.put(key, "v", "", long)
		before := "v"
		for round := range rounds {
			before = s.race(both, key, before, round)
		}
	}},
	{"no increment is lost", func(s *subject) {
		both, key := s.handles(), newKey()
		s.put(key, "v", "0", long)
		var wg sync.WaitGroup
		for replica := range replicas {
			wg.Go(func() {
				for i := range increments {
					if !s.increment(both[replica%2], key, fmt.Sprintf("%d-%d", replica, i)) {
						return
					}
				}
			})
		}
		wg.Wait()
		if got, _ := s.get(key); got.data != strconv.Itoa(replicas*increments) {
			s.Errorf("%d increments made %s", replicas*increments, got)
		}
	}},
	{"what a Swap wrote is read next", func(s *subject) {
		both, key := s.handles(), newKey()
		before := ""
		for i := range 4 * rounds {
			version := strconv.Itoa(i)
			s.Store = both[i%2]
			s.wantSwap(true, key, before, version, version, long)
			s.Store = both[(i+1)%2]
			s.wantRecord(key, version, version)
			before = version
		}
	}},
}

// race swaps from one version on all replicas at once, and gives the winner's.
func (s *subject) race(handles [2]authcode.Store, key, oldVersion string, round int) string {
	s.Helper()
	var swapped [replicas]bool
	start := make(chan struct{})
	var wg sync.WaitGroup
	for replica := range replicas {
		wg.Go(func() {
			<-start
			name := fmt.Sprintf("%d-%d", round, replica)
			var err error
			swapped[replica], err = handles[replica%2].Swap(s.Context(), key, oldVersion, name, []byte(name), long)
			if err != nil {
				s.Errorf("Swap by replica %d: %v", replica, err)
			}
		})
	}
	close(start)
	wg.Wait()
	var winners []string
	for replica, won := range swapped {
		if won {
			winners = append(winners, fmt.Sprintf("%d-%d", round, replica))
		}
	}
	if len(winners) != 1 {
		s.Fatalf("of %d Swaps from version %q these succeeded: %v; want one", replicas, oldVersion, winners)
	}
	s.wantRecord(key, winners[0], winners[0])
	return winners[0]
}

// increment counts up by one, however often it has to try.
func (s *subject) increment(store authcode.Store, key, name string) (ok bool) {
	for try := 0; ; try++ {
		data, version, found, err := store.Get(s.Context(), key)
		if err != nil || !found {
			s.Errorf("Get(%q): found %t, %v", key, found, err)
			return false
		}
		count, err := strconv.Atoi(string(data))
		if err != nil {
			s.Errorf("Get(%q): %v", key, err)
			return false
		}
		newVersion := fmt.Sprintf("%s-%d", name, try)
		swapped, err := store.Swap(s.Context(), key, version, newVersion, []byte(strconv.Itoa(count+1)), long)
		if err != nil {
			s.Errorf("Swap(%q): %v", key, err)
			return false
		}
		if swapped {
			return true
		}
	}
}
