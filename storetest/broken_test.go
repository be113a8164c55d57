package storetest

import (
	"bytes"
	"context"
	"errors"
	"path"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
)

// brokenStore breaks the contract in one way, and fails the check of that clause.
type brokenStore struct {
	name    string
	fails   string
	open    func() authcode.Store
	options *Options
}

// full is all that a store may be.
type full interface {
	authcode.Store
	authcode.Leaser
	authcode.Lister
}

// broken is a good store with some of its methods replaced.
type broken struct {
	full
	get     func(ctx context.Context, key string) ([]byte, string, bool, error)
	swap    func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error)
	delete  func(ctx context.Context, key string) error
	lease   func(ctx context.Context, key, owner string, ttl time.Duration) (bool, error)
	release func(ctx context.Context, key, owner string) error
	list    func(ctx context.Context, prefix string, yield func(string) bool) error
}

func (b *broken) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	if b.get != nil {
		return b.get(ctx, key)
	}
	return b.full.Get(ctx, key)
}

func (b *broken) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	if b.swap != nil {
		return b.swap(ctx, key, oldVersion, newVersion, data, ttl)
	}
	return b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
}

func (b *broken) Delete(ctx context.Context, key string) error {
	if b.delete != nil {
		return b.delete(ctx, key)
	}
	return b.full.Delete(ctx, key)
}

func (b *broken) Lease(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	if b.lease != nil {
		return b.lease(ctx, key, owner, ttl)
	}
	return b.full.Lease(ctx, key, owner, ttl)
}

func (b *broken) Release(ctx context.Context, key, owner string) error {
	if b.release != nil {
		return b.release(ctx, key, owner)
	}
	return b.full.Release(ctx, key, owner)
}

func (b *broken) List(ctx context.Context, prefix string, yield func(string) bool) error {
	if b.list != nil {
		return b.list(ctx, prefix, yield)
	}
	return b.full.List(ctx, prefix, yield)
}

func (b *broken) Close() error { return nil }

// breakIt gives a constructor of stores that are broken by change.
func breakIt(change func(b *broken)) func() authcode.Store {
	return func() authcode.Store {
		b := &broken{full: authcode.NewMemoryStore().(full)}
		change(b)
		return b
	}
}

// keysAs looks keys up as another spelling of them.
func keysAs(spell func(string) string) func() authcode.Store {
	return breakIt(func(b *broken) {
		b.get = func(ctx context.Context, key string) ([]byte, string, bool, error) {
			return b.full.Get(ctx, spell(key))
		}
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			return b.full.Swap(ctx, spell(key), oldVersion, newVersion, data, ttl)
		}
	})
}

// versionsAs compares versions by another spelling of them, and gives them as they are.
func versionsAs(spell func(string) string) func() authcode.Store {
	return breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			_, stored, found, err := b.full.Get(ctx, key)
			if err == nil && found && spell(stored) == spell(oldVersion) {
				oldVersion = stored
			}
			return b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
		}
	})
}

// writesAs keeps something else than it was given.
func writesAs(change func([]byte) []byte) func() authcode.Store {
	return breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			return b.full.Swap(ctx, key, oldVersion, newVersion, change(data), ttl)
		}
	})
}

// timesAs gives records other times.
func timesAs(change func(oldVersion string, ttl time.Duration) time.Duration) func() authcode.Store {
	return breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			return b.full.Swap(ctx, key, oldVersion, newVersion, data, change(oldVersion, ttl))
		}
	})
}

// overwrite writes whatever the version is.
func overwrite(ctx context.Context, s authcode.Store, key, newVersion string, data []byte, ttl time.Duration) error {
	for {
		_, stored, _, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		if swapped, err := s.Swap(ctx, key, stored, newVersion, data, ttl); swapped || err != nil {
			return err
		}
	}
}

// racySwap reads, thinks, and writes.
func racySwap(b *broken) {
	b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
		_, stored, found, err := b.full.Get(ctx, key)
		if err != nil || !found && oldVersion != "" || found && stored != oldVersion {
			return false, err
		}
		runtime.Gosched()
		return true, overwrite(ctx, b.full, key, newVersion, data, ttl)
	}
}

// racyLease looks whether the key is free, thinks, and takes it.
func racyLease(b *broken) {
	var mu sync.Mutex
	owners := make(map[string]string)
	b.lease = func(_ context.Context, key, owner string, _ time.Duration) (bool, error) {
		mu.Lock()
		holder := owners[key]
		mu.Unlock()
		if holder != "" && holder != owner {
			return false, nil
		}
		runtime.Gosched()
		mu.Lock()
		defer mu.Unlock()
		owners[key] = owner
		return true, nil
	}
}

// staleGet reads each key's record but once.
func staleGet(b *broken) {
	type kept struct {
		data    []byte
		version string
	}
	var mu sync.Mutex
	cache := make(map[string]kept)
	b.get = func(ctx context.Context, key string) ([]byte, string, bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if k, found := cache[key]; found {
			return k.data, k.version, true, nil
		}
		data, version, found, err := b.full.Get(ctx, key)
		if found {
			cache[key] = kept{data, version}
		}
		return data, version, found, err
	}
}

// listAs lists the keys that match says yes to.
func listAs(match func(prefix, key string) bool) func() authcode.Store {
	return breakIt(func(b *broken) {
		b.list = func(ctx context.Context, prefix string, yield func(string) bool) error {
			return b.full.List(ctx, "", func(key string) bool { return !match(prefix, key) || yield(key) })
		}
	})
}

func globMatches(prefix, key string) bool {
	matched, err := path.Match(prefix+"*", key)
	return matched && err == nil
}

// likeMatches knows one of LIKE's two metacharacters.
func likeMatches(prefix, key string) bool {
	if len(key) < len(prefix) {
		return false
	}
	for i := range prefix {
		if prefix[i] != key[i] && prefix[i] != '_' {
			return false
		}
	}
	return true
}

var errClosed = errors.New("closed")

// alice is a store that goes by her name in what it does to leases.
func (b *broken) releaseAll(ctx context.Context, key string) error {
	return b.full.Release(ctx, key, "alice")
}

// deaf does not know of contexts.
func deaf(b *broken) {
	b.swap = func(_ context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
		return b.full.Swap(context.Background(), key, oldVersion, newVersion, data, ttl)
	}
}

// torn writes the version first and the data when there is still time.
func torn(b *broken) {
	b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
		swapped, err := b.full.Swap(ctx, key, oldVersion, newVersion, nil, ttl)
		if err != nil || !swapped {
			return false, err
		}
		select { // for the data to arrive
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
		if err := b.full.Delete(ctx, key); err != nil {
			return false, err
		}
		return b.full.Swap(ctx, key, "", newVersion, data, ttl)
	}
}

var forgetful = &Options{Reopen: func(t testing.TB, _ authcode.Store) authcode.Store { return openMemory(t) }}

var splitBrain = &Options{Another: func(t testing.TB, _ authcode.Store) authcode.Store { return openMemory(t) }}

func shout(text string) string { return strings.ToUpper(text) }
func trim(text string) string  { return strings.TrimSpace(text) }

func cutAtZero(data []byte) []byte {
	before, _, _ := bytes.Cut(data, []byte{0})
	return before
}

// sharing keeps slices that others write to.
type sharing struct{ data []byte }

func (s *sharing) Get(context.Context, string) ([]byte, string, bool, error) {
	return s.data, "v1", true, nil
}

func (s *sharing) Swap(_ context.Context, _, _, _ string, data []byte, _ time.Duration) (bool, error) {
	s.data = data
	return true, nil
}

func (s *sharing) Delete(context.Context, string) error { return nil }

// listingAll lists every key that was ever written.
func listingAll() *broken {
	b := &broken{full: authcode.NewMemoryStore().(full)}
	var keys []string
	b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
		keys = append(keys, key)
		return b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
	}
	b.list = func(_ context.Context, prefix string, yield func(string) bool) error {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && !yield(key) {
				return nil
			}
		}
		return nil
	}
	return b
}

// panicking panics once it was closed.
type panicking struct {
	full
	closed bool
}

func (p *panicking) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	if p.closed {
		panic("send on a closed connection")
	}
	return p.full.Get(ctx, key)
}

func (p *panicking) Close() error {
	p.closed = true
	return nil
}
