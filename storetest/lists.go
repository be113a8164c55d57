package storetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/authcode-go/authcode"
)

const (
	manyKeys = 10_000
	writers  = 64 // who make them
)

var listChecks = []check{
	{"a list has the keys with the prefix", func(s *subject) {
		lister, prefix := s.lister(), newKey()+":"
		s.wantListed(lister, prefix)
		others := []string{prefix[:len(prefix)-1], prefix[:len(prefix)-1] + ";x", strings.ToUpper(prefix) + "x", "x" + prefix + "x"}
		for _, other := range others {
			s.put(other, "v1", "", long)
		}
		s.put(prefix, "v1", "", long) // the prefix itself
		s.put(prefix+"a", "v1", "", long)
		s.put(prefix+"b", "v1", "", long)
		s.put(prefix+"gone", "v1", "", long)
		s.delete(prefix + "gone")
		s.wantListed(lister, prefix, prefix, prefix+"a", prefix+"b")
	}},
	{"nothing in a prefix is a pattern", func(s *subject) {
		lister, base := s.lister(), newKey()
		meta := []string{"%", "_", "*", "?", "[a]", "[^a]", `\`, `\*`, "{a,b}", "'", `"`, "$1", ".", "+", "(", "|", "^", "a"}
		for _, m := range meta {
			s.put(base+m+"x", "v1", "", long)
		}
		for _, m := range meta {
			want := []string{base + m + "x"}
			if m == `\` {
				want = append(want, base+`\*x`)
			}
			s.wantListed(lister, base+m, want...)
		}
	}},
	{"a list ends when yield says so", func(s *subject) {
		lister, prefix := s.lister(), newKey()+":"
		for i := range 5 {
			s.put(fmt.Sprint(prefix, i), "v1", "", long)
		}
		calls := 0
		err := lister.List(s.Context(), prefix, func(string) bool { calls++; return calls < 2 })
		if err != nil || calls != 2 {
			s.Fatalf("List ended with %v after %d calls of yield, want nil after 2", err, calls)
		}
	}},
	{"yield may use the store", func(s *subject) {
		lister, prefix := s.lister(), newKey()+":"
		for i := range 20 {
			s.put(fmt.Sprint(prefix, i), "v1", "", long)
		}
		err := lister.List(s.Context(), prefix, func(key string) bool {
			s.wantRecord(key, "", "v1")
			s.wantSwap(true, key, "v1", "v2", "two", long)
			s.delete(key)
			return true
		})
		if err != nil {
			s.Fatalf("List: %v", err)
		}
		s.wantListed(lister, prefix)
	}},
	{"a list has many keys, each once, while others come and go", func(s *subject) {
		lister, prefix := s.lister(), newKey()+":"
		count := manyKeys
		if testing.Short() {
			count /= 10
		}
		s.putMany(prefix+"stays", count)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { s.churn(prefix+"goes", stop) })
		listed := s.list(lister, prefix+"stays")
		close(stop)
		wg.Wait()
		for i := range count {
			key := fmt.Sprint(prefix, "stays", i)
			if times := listed[key]; times != 1 {
				s.Errorf("%s was listed %d times, want once", key, times)
				break
			}
		}
		if len(listed) != count {
			s.Errorf("%d keys were listed, want %d", len(listed), count)
		}
	}},
}

// putMany makes records under prefix and 0, 1, ...
func (s *subject) putMany(prefix string, count int) {
	s.Helper()
	keys := make(chan string)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for key := range keys {
				if swapped, err := s.Swap(s.Context(), key, "", "v1", nil, long); !swapped || err != nil {
					s.Errorf("Swap(%q) = %t, %v", key, swapped, err)
				}
			}
		})
	}
	for i := range count {
		keys <- fmt.Sprint(prefix, i)
	}
	close(keys)
	wg.Wait()
	if s.Failed() {
		s.FailNow()
	}
}

// churn makes and deletes records until stop is closed.
func (s *subject) churn(prefix string, stop chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		key := fmt.Sprint(prefix, i)
		if swapped, err := s.Swap(s.Context(), key, "", "v1", nil, long); !swapped || err != nil {
			s.Errorf("Swap(%q) = %t, %v", key, swapped, err)
			return
		}
		if err := s.Delete(s.Context(), key); err != nil {
			s.Errorf("Delete(%q): %v", key, err)
			return
		}
	}
}

// list counts how often each key is listed.
func (s *subject) list(lister authcode.Lister, prefix string) map[string]int {
	s.Helper()
	listed := make(map[string]int)
	if err := lister.List(s.Context(), prefix, func(key string) bool { listed[key]++; return true }); err != nil {
		s.Fatalf("List(%q): %v", prefix, err)
	}
	return listed
}

func (s *subject) wantListed(lister authcode.Lister, prefix string, want ...string) {
	s.Helper()
	listed := s.list(lister, prefix)
	for _, key := range want {
		if listed[key] != 1 {
			s.Fatalf("List(%q) gave %q %d times, want once", prefix, key, listed[key])
		}
		delete(listed, key)
	}
	for key := range listed {
		s.Fatalf("List(%q) gave %q, which it must not", prefix, key)
	}
}
