package storetest

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/authcode-go/authcode"
)

func openMemory(testing.TB) authcode.Store { return authcode.NewMemoryStore() }

func TestSuitePassesAGoodStore(t *testing.T) {
	Run(t, openMemory, &Options{
		Another: func(_ testing.TB, store authcode.Store) authcode.Store { return store },
		Reopen:  func(_ testing.TB, store authcode.Store) authcode.Store { return store },
	})
}

// TestSuiteRefusesBrokenStores is the test of the suite: a check that no broken store fails proves nothing.
func TestSuiteRefusesBrokenStores(t *testing.T) {
	broken := make(map[string]bool)
	for _, b := range brokenStores {
		broken[b.fails] = true
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			said := runOn(t, b, findCheck(t, b.fails))
			if len(said) == 0 {
				t.Fatalf("the store passes the check %q", b.fails)
			}
			t.Logf("%s", said[0])
		})
	}
	for _, c := range checks() {
		if !broken[c.name] {
			t.Errorf("no broken store fails the check %q", c.name)
		}
	}
}

// TestSuiteSkipsWhatAStoreIsNot is of a store that is neither Leaser nor Lister nor io.Closer.
func TestSuiteSkipsWhatAStoreIsNot(t *testing.T) {
	var skipped atomic.Int32
	var wg sync.WaitGroup
	for _, c := range checks() {
		wg.Go(func() {
			r := &recorder{TB: t}
			r.run(func() {
				c.run(newSubject(r, func(t testing.TB) authcode.Store { return struct{ authcode.Store }{openMemory(t)} }, &Options{}))
			})
			if len(r.said) > 0 {
				t.Errorf("%s: %s", c.name, r.said)
			}
			if r.skipped {
				skipped.Add(1)
			}
		})
	}
	wg.Wait()
	if skipped.Load() == 0 {
		t.Error("no check was skipped")
	}
}

func findCheck(t *testing.T, name string) check {
	t.Helper()
	for _, c := range checks() {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("there is no check %q", name)
	return check{}
}

// runOn gives what a check says against a store.
func runOn(t *testing.T, b brokenStore, c check) []string {
	r := &recorder{TB: t}
	options := b.options
	if options == nil {
		options = &Options{}
	}
	r.run(func() { c.run(newSubject(r, func(testing.TB) authcode.Store { return b.open() }, options)) })
	if r.skipped {
		t.Fatalf("the check %q was skipped", c.name)
	}
	return r.said
}

// recorder is a testing.TB whose failures are those of the store under test and not of the test.
type recorder struct {
	testing.TB
	mu      sync.Mutex
	said    []string
	failed  bool
	skipped bool
}

// run calls f as package testing does: FailNow ends it.
func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (r *recorder) fail(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
	r.said = append(r.said, strings.TrimSpace(text))
}

func (r *recorder) Errorf(format string, args ...any) { r.fail(fmt.Sprintf(format, args...)) }
func (r *recorder) Error(args ...any)                 { r.fail(fmt.Sprintln(args...)) }
func (r *recorder) Fail()                             { r.fail("failed") }

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) FailNow() {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	r.FailNow()
}

func (r *recorder) Skipf(string, ...any) { r.SkipNow() }
func (r *recorder) Skip(...any)          { r.SkipNow() }

func (r *recorder) SkipNow() {
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}
