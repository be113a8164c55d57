// Package storetest is the contract of [authcode.Store] as a suite of tests, for whoever writes a store:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) authcode.Store { return mystore.New(address(t)) }, nil)
//	}
//
// What a store is besides, [authcode.Leaser] or [authcode.Lister], is tested too. The suite makes its own keys and leaves other
// records alone, so that all stores it opens may share one database. It takes some seconds, since it sees times end by the
// store's own clock.
package storetest

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
)

// Options say what else a store can show. The zero value tests one handle that is never closed, unless it is an io.Closer.
type Options struct {
	// Another gives a second handle to the data of store, as another replica has it. nil: two callers of one handle stand
	// for two replicas.
	Another func(t testing.TB, store authcode.Store) authcode.Store
	// Close ends store, after which its methods give errors. nil: its Close method; without one nothing is closed.
	Close func(store authcode.Store) error
	// Reopen closes store and opens its data again, as after a restart of whatever keeps it. nil: the store forgets.
	Reopen func(t testing.TB, store authcode.Store) authcode.Store
}

// Run tests the store that open gives, in subtests that run side by side; each opens a store of its own and shares no key with
// the others. What has to be closed afterwards open hands to t.Cleanup.
func Run(t *testing.T, open func(t testing.TB) authcode.Store, options *Options) {
	if options == nil {
		options = &Options{}
	}
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newSubject(t, open, options))
		})
	}
}

// check is one clause of the contract.
type check struct {
	name string
	run  func(*subject)
}

func checks() []check {
	var all []check
	for _, part := range [][]check{recordChecks, contentionChecks, timeChecks, leaseChecks, listChecks, faultChecks} {
		all = append(all, part...)
	}
	return all
}

// subject is the store under test.
type subject struct {
	testing.TB
	authcode.Store
	options *Options
}

func newSubject(t testing.TB, open func(testing.TB) authcode.Store, options *Options) *subject {
	return &subject{TB: t, Store: open(t), options: options}
}

// handles are two replicas' views of the data.
func (s *subject) handles() [2]authcode.Store {
	s.Helper()
	if s.options.Another == nil {
		return [2]authcode.Store{s.Store, s.Store}
	}
	return [2]authcode.Store{s.Store, s.options.Another(s.TB, s.Store)}
}

// leaser gives the store as one, or skips.
func (s *subject) leaser() authcode.Leaser {
	s.Helper()
	leaser, is := s.Store.(authcode.Leaser)
	if !is {
		s.Skipf("%T is no authcode.Leaser", s.Store)
	}
	return leaser
}

// lister gives the store as one, or skips.
func (s *subject) lister() authcode.Lister {
	s.Helper()
	lister, is := s.Store.(authcode.Lister)
	if !is {
		s.Skipf("%T is no authcode.Lister", s.Store)
	}
	return lister
}

// close ends the store, or skips.
func (s *subject) close() {
	s.Helper()
	closer := s.options.Close
	if closer == nil {
		c, is := s.Store.(io.Closer)
		if !is {
			s.Skipf("%T has no Close", s.Store)
		}
		closer = func(authcode.Store) error { return c.Close() }
	}
	if err := closer(s.Store); err != nil {
		s.Fatalf("Close: %v", err)
	}
}

// random is 32 random bytes, as the hash in a key that the core makes.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func newKey() string { return "storetest:" + random() }

const long = time.Hour // of what is not to end during a check

// record is what Get gives.
type record struct {
	data    string
	version string
}

// get fails the test when there is a fault, and says whether there is a record.
func (s *subject) get(key string) (r record, found bool) {
	s.Helper()
	data, version, found, err := s.Get(s.Context(), key)
	if err != nil {
		s.Fatalf("Get(%q): %v", key, err)
	}
	return record{string(data), version}, found
}

func (s *subject) wantRecord(key, data, version string) {
	s.Helper()
	got, found := s.get(key)
	if want := (record{data, version}); !found || got != want {
		s.Fatalf("Get(%q) = %s, found %t; want %s", key, got, found, want)
	}
}

func (s *subject) wantNoRecord(key string) {
	s.Helper()
	if got, found := s.get(key); found {
		s.Fatalf("Get(%q) = %s, want no record", key, got)
	}
}

func (s *subject) wantSwap(want bool, key, oldVersion, newVersion, data string, ttl time.Duration) {
	s.Helper()
	swapped, err := s.Swap(s.Context(), key, oldVersion, newVersion, []byte(data), ttl)
	if err != nil || swapped != want {
		s.Fatalf("Swap(%q, %s -> %s) = %t, %v; want %t", key, shorten(oldVersion), shorten(newVersion), swapped, err, want)
	}
}

// put writes the first record under key.
func (s *subject) put(key, version, data string, ttl time.Duration) {
	s.Helper()
	s.wantSwap(true, key, "", version, data, ttl)
}

func (s *subject) delete(key string) {
	s.Helper()
	if err := s.Delete(s.Context(), key); err != nil {
		s.Fatalf("Delete(%q): %v", key, err)
	}
}
