package storetest

import (
	"context"
	"strings"
	"time"

	"github.com/authcode-go/authcode"
)

var brokenStores = []brokenStore{
	// Get, Swap, Delete
	{name: "finds everything", fails: "a key without record is not found", open: breakIt(func(b *broken) {
		b.get = func(context.Context, string) ([]byte, string, bool, error) { return nil, "", true, nil }
	})},
	{name: "says true and writes nothing", fails: "a record is found as it was written", open: breakIt(func(b *broken) {
		b.swap = func(context.Context, string, string, string, []byte, time.Duration) (bool, error) { return true, nil }
	})},
	{name: "each handle has its own data", fails: "another handle finds it too", open: breakIt(func(*broken) {}), options: splitBrain},
	{name: "ignores the version", fails: "a Swap from another version writes nothing", open: breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, _, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			return true, overwrite(ctx, b.full, key, newVersion, data, ttl)
		}
	})},
	{name: "writes, and says false", fails: "a Swap from another version writes nothing", open: breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			swapped, err := b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
			if err == nil && !swapped {
				err = overwrite(ctx, b.full, key, newVersion, data, ttl)
			}
			return swapped, err
		}
	})},
	{name: "compares versions without case", fails: "a Swap from another version writes nothing", open: versionsAs(shout)},
	{name: "compares versions without spaces", fails: "a Swap from another version writes nothing", open: versionsAs(trim)},
	{name: "takes no version for any", fails: "a Swap from no version needs a free key", open: breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			if oldVersion == "" {
				return true, overwrite(ctx, b.full, key, newVersion, data, ttl)
			}
			return b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
		}
	})},
	{name: "makes what is to be replaced", fails: "a Swap from a version needs a record", open: breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			if _, _, found, err := b.full.Get(ctx, key); err == nil && !found {
				oldVersion = ""
			}
			return b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
		}
	})},
	{name: "knows no repetition", fails: "the same Swap again gives true", open: breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			if _, stored, _, err := b.full.Get(ctx, key); err != nil || stored != oldVersion {
				return false, err
			}
			return b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
		}
	})},
	{name: "deletes nothing", fails: "Delete removes the record", open: breakIt(func(b *broken) {
		b.delete = func(context.Context, string) error { return nil }
	})},
	{name: "wants something to delete", fails: "Delete of what is not there succeeds", open: breakIt(func(b *broken) {
		b.delete = func(ctx context.Context, key string) error {
			if _, _, found, _ := b.full.Get(ctx, key); !found {
				return errClosed
			}
			return b.full.Delete(ctx, key)
		}
	})},
	{name: "has keys without case", fails: "keys are told apart by every byte", open: keysAs(shout)},
	{name: "has keys without spaces", fails: "keys are told apart by every byte", open: keysAs(trim)},
	{name: "keeps text", fails: "data is any bytes", open: writesAs(func(data []byte) []byte { return []byte(strings.ToValidUTF8(string(data), "?")) })},
	{name: "ends data at a zero", fails: "data is any bytes", open: writesAs(cutAtZero)},
	{name: "cuts data at 64 KiB", fails: "data is any bytes", open: writesAs(func(data []byte) []byte { return data[:min(len(data), 1<<16)] })},
	{name: "takes nil for no record", fails: "nil is no bytes", open: breakIt(func(b *broken) {
		b.get = func(ctx context.Context, key string) ([]byte, string, bool, error) {
			data, version, found, err := b.full.Get(ctx, key)
			return data, version, found && len(data) > 0, err
		}
	})},
	{name: "compares 255 characters", fails: "versions may be long", open: versionsAs(func(v string) string { return v[:min(len(v), 255)] })},
	{name: "keeps the caller's slice", fails: "data belongs to the caller before and after", open: func() authcode.Store { return &sharing{} }},

	// contention
	{name: "reads, then writes", fails: "of many Swaps from no version one succeeds", open: breakIt(racySwap)},
	{name: "reads, then writes", fails: "of many Swaps from one version one succeeds", open: breakIt(racySwap)},
	{name: "reads, then writes", fails: "no increment is lost", open: breakIt(racySwap)},
	{name: "reads what was", fails: "what a Swap wrote is read next", open: breakIt(staleGet)},

	// times
	{name: "knows no time", fails: "a record's time ends", open: timesAs(func(string, time.Duration) time.Duration { return long })},
	{name: "halves the time", fails: "a record's time ends", open: timesAs(func(_ string, ttl time.Duration) time.Duration { return ttl / 4 })},
	{name: "knows no time of later Swaps", fails: "a Swap begins the time anew", open: timesAs(func(old string, ttl time.Duration) time.Duration {
		if old != "" {
			return long
		}
		return ttl
	})},
	{name: "a Swap in vain prolongs", fails: "a Swap that wrote nothing leaves the time", open: breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			swapped, err := b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
			if old, stored, found, _ := b.full.Get(ctx, key); !swapped && found {
				_ = b.full.Delete(ctx, key)
				_, _ = b.full.Swap(ctx, key, "", stored, old, ttl)
			}
			return swapped, err
		}
	})},
	{name: "lists what ended", fails: "what ended is not listed", open: func() authcode.Store { return listingAll() }},
	{name: "leases for good", fails: "a lease's time ends", open: breakIt(func(b *broken) {
		b.lease = func(ctx context.Context, key, owner string, _ time.Duration) (bool, error) {
			return b.full.Lease(ctx, key, owner, long)
		}
	})},
	{name: "renews nothing", fails: "the owner's lease begins anew", open: breakIt(func(b *broken) {
		seen := make(map[string]bool)
		b.lease = func(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
			if seen[key+owner] {
				return true, nil
			}
			granted, err := b.full.Lease(ctx, key, owner, ttl)
			seen[key+owner] = granted
			return granted, err
		}
	})},
	{name: "a lease gives the record its time", fails: "record and lease end each in its time", open: breakIt(func(b *broken) {
		b.lease = func(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
			if data, version, found, _ := b.full.Get(ctx, key); found {
				_ = b.full.Delete(ctx, key)
				_, _ = b.full.Swap(ctx, key, "", version, data, ttl)
			}
			return b.full.Lease(ctx, key, owner, ttl)
		}
	})},
	{name: "a Swap gives the lease its time", fails: "record and lease end each in its time", open: breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			if granted, _ := b.full.Lease(ctx, key, "alice", ttl); granted && ttl == long {
				_ = b.releaseAll(ctx, key) // nobody's, but for this check a long one is no matter
			}
			return b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
		}
	})},

	// leases
	{name: "leases to all", fails: "a lease has one owner", open: breakIt(func(b *broken) {
		b.lease = func(context.Context, string, string, time.Duration) (bool, error) { return true, nil }
	})},
	{name: "leases to nobody twice", fails: "a lease has one owner", open: breakIt(func(b *broken) {
		b.lease = func(ctx context.Context, key, _ string, ttl time.Duration) (bool, error) {
			return b.full.Lease(ctx, key, random(), ttl)
		}
	})},
	{name: "releases nothing", fails: "a lease ends when its owner releases it", open: breakIt(func(b *broken) {
		b.release = func(context.Context, string, string) error { return nil }
	})},
	{name: "releases for anybody", fails: "a lease is not for others to release", open: breakIt(func(b *broken) {
		b.release = func(ctx context.Context, key, _ string) error { return b.releaseAll(ctx, key) }
	})},
	{name: "a lease is a record", fails: "a lease makes no record", open: breakIt(func(b *broken) {
		b.lease = func(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
			_, _ = b.full.Swap(ctx, key, "", owner, nil, ttl)
			return b.full.Lease(ctx, key, owner, ttl)
		}
	})},
	{name: "Delete ends the lease", fails: "a lease stays through Swap and Delete", open: breakIt(func(b *broken) {
		b.delete = func(ctx context.Context, key string) error {
			_ = b.releaseAll(ctx, key)
			return b.full.Delete(ctx, key)
		}
	})},
	{name: "Swap ends the lease", fails: "a lease stays through Swap and Delete", open: breakIt(func(b *broken) {
		b.swap = func(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
			_ = b.releaseAll(ctx, key)
			return b.full.Swap(ctx, key, oldVersion, newVersion, data, ttl)
		}
	})},
	{name: "Release removes the record", fails: "a record stays through leases", open: breakIt(func(b *broken) {
		b.release = func(ctx context.Context, key, owner string) error {
			_ = b.full.Delete(ctx, key)
			return b.full.Release(ctx, key, owner)
		}
	})},
	{name: "each handle has its own leases", fails: "another handle sees the lease", open: breakIt(func(*broken) {}), options: splitBrain},
	{name: "looks, then leases", fails: "of many who ask one gets the lease", open: breakIt(racyLease)},

	// lists
	{name: "lists all", fails: "a list has the keys with the prefix", open: listAs(func(_, _ string) bool { return true })},
	{name: "lists by a part", fails: "a list has the keys with the prefix", open: listAs(func(prefix, key string) bool { return strings.Contains(key, prefix) })},
	{name: "lists without case", fails: "a list has the keys with the prefix", open: listAs(func(prefix, key string) bool { return strings.HasPrefix(shout(key), shout(prefix)) })},
	{name: "lists by a glob", fails: "nothing in a prefix is a pattern", open: listAs(globMatches)},
	{name: "lists by LIKE", fails: "nothing in a prefix is a pattern", open: listAs(likeMatches)},
	{name: "does not stop", fails: "a list ends when yield says so", open: breakIt(func(b *broken) {
		b.list = func(ctx context.Context, prefix string, yield func(string) bool) error {
			return b.full.List(ctx, prefix, func(key string) bool { yield(key); return true })
		}
	})},
	{name: "gives an error when stopped", fails: "a list ends when yield says so", open: breakIt(func(b *broken) {
		b.list = func(ctx context.Context, prefix string, yield func(string) bool) (err error) {
			_ = b.full.List(ctx, prefix, func(key string) bool {
				if !yield(key) {
					err = errClosed
				}
				return err == nil
			})
			return err
		}
	})},
	{name: "is locked while it lists", fails: "yield may use the store", open: breakIt(func(b *broken) {
		listing := false
		b.list = func(ctx context.Context, prefix string, yield func(string) bool) error {
			listing = true
			defer func() { listing = false }()
			return b.full.List(ctx, prefix, yield)
		}
		b.delete = func(ctx context.Context, key string) error {
			if listing {
				return errClosed
			}
			return b.full.Delete(ctx, key)
		}
	})},
	{name: "lists a page", fails: "a list has many keys, each once, while others come and go", open: breakIt(func(b *broken) {
		b.list = func(ctx context.Context, prefix string, yield func(string) bool) error {
			left := 1000
			return b.full.List(ctx, prefix, func(key string) bool { left--; return yield(key) && left > 0 })
		}
	})},
	{name: "lists a key twice", fails: "a list has many keys, each once, while others come and go", open: breakIt(func(b *broken) {
		b.list = func(ctx context.Context, prefix string, yield func(string) bool) error {
			twice := true
			return b.full.List(ctx, prefix, func(key string) bool {
				again := twice
				twice = false
				return yield(key) && (!again || yield(key))
			})
		}
	})},

	// faults
	{name: "is deaf to contexts", fails: "a context that is over ends every method", open: breakIt(deaf)},
	{name: "writes by halves", fails: "a context that ends during a Swap leaves one record or the other", open: breakIt(torn)},
	{name: "lives after Close", fails: "a store that was closed gives errors", open: breakIt(func(*broken) {})},
	{name: "panics after Close", fails: "a store that was closed gives errors", open: func() authcode.Store {
		return &panicking{full: authcode.NewMemoryStore().(full)}
	}},
	{name: "forgets", fails: "a store that was opened again has its records", open: breakIt(func(*broken) {}), options: forgetful},
}
