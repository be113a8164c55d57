package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/authcode-go/authcode"
)

const (
	prompt  = 5 * time.Second // far more than a method needs to notice that its context is over
	cancels = 100
)

var faultChecks = []check{
	{"a context that is over ends every method", func(s *subject) {
		key := newKey()
		s.put(key, "v1", "one", long)
		cancelled, cancel := context.WithCancel(s.Context())
		cancel()
		late, cancel := context.WithDeadline(s.Context(), time.Now().Add(-time.Second))
		defer cancel()
		for _, ctx := range []context.Context{cancelled, late} {
			for _, m := range methods(s.Store, key) {
				began := time.Now()
				err := m.call(ctx)
				if !errors.Is(err, ctx.Err()) {
					s.Errorf("%s gives %v, want %v", m.name, err, ctx.Err())
				}
				if took := time.Since(began); took > prompt {
					s.Errorf("%s took %s", m.name, took)
				}
			}
			s.wantRecord(key, "one", "v1")
		}
	}},
	{"a context that ends during a Swap leaves one record or the other", func(s *subject) {
		key := newKey()
		s.put(key, "0", "data of 0", long)
		stored := "0"
		for i := range cancels {
			version := fmt.Sprint(i + 1)
			ctx, cancel := context.WithCancel(s.Context())
			stop := time.AfterFunc(time.Duration(i)*20*time.Microsecond, cancel)
			swapped, err := s.Swap(ctx, key, stored, version, []byte("data of "+version), long)
			stop.Stop()
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				s.Fatalf("Swap gives %v, want %v", err, context.Canceled)
			}
			if err == nil && !swapped {
				s.Fatal("Swap from the stored version gave false")
			}
			stored = s.settle(key, stored, version, err == nil)
		}
	}},
	{"a store that was closed gives errors", func(s *subject) {
		key := newKey()
		s.put(key, "v1", "one", long)
		ctx := s.Context()
		s.close()
		for _, m := range methods(s.Store, key) {
			s.wantError(ctx, m)
		}
	}},
	{"a store that was opened again has its records", func(s *subject) {
		if s.options.Reopen == nil {
			s.Skip("no Reopen")
		}
		key, deleted := newKey(), newKey()
		s.put(key, "v1", "one", long)
		s.wantSwap(true, key, "v1", "v2", "two", long)
		s.put(deleted, "v1", "one", long)
		s.delete(deleted)
		s.Store = s.options.Reopen(s.TB, s.Store)
		s.wantRecord(key, "two", "v2")
		s.wantNoRecord(deleted)
		s.wantSwap(false, key, "v1", "v3", "three", long)
		s.wantSwap(true, key, "v2", "v3", "three", long)
	}},
}

// settle finds out what an interrupted Swap left: what it was given whole, or nothing of it. A write that was on its way when
// the context ended may still arrive, so a Swap of nothing new comes behind it and shuts it out.
func (s *subject) settle(key, before, after string, wrote bool) string {
	s.Helper()
	for try := 0; ; try++ {
		got, found := s.get(key)
		if !found || got.data != "data of "+got.version || got.version != before && got.version != after {
			s.Fatalf("Get(%q) = %s, found %t; want version %q or %q", key, got, found, before, after)
		}
		if wrote && got.version != after {
			s.Fatalf("the version is %q after a Swap to %q that succeeded", got.version, after)
		}
		last := fmt.Sprintf("%s settled %d", after, try)
		swapped, err := s.Swap(s.Context(), key, got.version, last, []byte("data of "+last), long)
		if err != nil {
			s.Fatalf("Swap: %v", err)
		}
		if swapped {
			return last
		}
	}
}

// method is a call of a store.
type method struct {
	name string
	call func(context.Context) error
}

// methods gives all that store has.
func methods(store authcode.Store, key string) []method {
	all := []method{
		{"Get", func(ctx context.Context) error { _, _, _, err := store.Get(ctx, key); return err }},
		{"Swap", func(ctx context.Context) error {
			_, err := store.Swap(ctx, key, "v1", "v2", []byte("two"), long)
			return err
		}},
		{"Delete", func(ctx context.Context) error { return store.Delete(ctx, key) }},
	}
	if leaser, is := store.(authcode.Leaser); is {
		all = append(all,
			method{"Lease", func(ctx context.Context) error { _, err := leaser.Lease(ctx, key, "alice", long); return err }},
			method{"Release", func(ctx context.Context) error { return leaser.Release(ctx, key, "alice") }})
	}
	if lister, is := store.(authcode.Lister); is {
		all = append(all, method{"List", func(ctx context.Context) error {
			return lister.List(ctx, key, func(string) bool { return true })
		}})
	}
	return all
}

// wantError calls m, and says of a panic that it was one.
func (s *subject) wantError(ctx context.Context, m method) {
	s.Helper()
	defer func() {
		if p := recover(); p != nil {
			s.Errorf("%s panicked: %v", m.name, p)
		}
	}()
	if err := m.call(ctx); err == nil {
		s.Errorf("%s gives no error", m.name)
	}
}
