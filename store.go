package authcode

import (
	"context"
	"errors"
	"time"
)

// Store keeps records where all replicas of an app find them: what a redeemed code left of each user, and what package signin
// keeps of each session. Records are sealed before they reach it. Package storetest has its contract as a suite of tests.
//
// All methods are called by many goroutines at once, end when ctx does, and give an error for faults of the store alone. An
// error leaves open whether a write happened; those who call read again.
type Store interface {
	// Get gives the record under key and the version it was written with. found=false and a nil error: there is none, or its
	// time is over.
	Get(ctx context.Context, key string) (data []byte, version string, found bool, err error)
	// Swap writes data under newVersion if the stored version equals oldVersion; "" means that there must be no record. It is one
	// step: of several callers with one oldVersion one succeeds. swapped=false: somebody else was first, and nothing was
	// written. Versions are unique per write and chosen by the caller: who finds newVersion stored was here before, without
	// hearing the answer, and gets true again. The record's time is over after ttl (at least a second), by the store's own clock.
	Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (swapped bool, err error)
	// Delete removes the record. Deleting what is not there succeeds. A lease on the key is left alone.
	Delete(ctx context.Context, key string) error
}

// Leaser is what a [Store] may also be, found by type assertion: then one replica at a time refreshes a grant. Leases save
// requests to the server; what keeps records whole is Swap. At a server that takes each refresh token once they keep the grant, too:
// there a lease should outlive a crash of the store as its records do. All times are by the store's own clock.
type Leaser interface {
	// Lease gives owner the key for ttl if nobody else holds it; the owner again: its lease begins anew. The key need not
	// have a record.
	Lease(ctx context.Context, key, owner string, ttl time.Duration) (granted bool, err error)
	// Release ends owner's lease. One that owner does not hold (any more) is left alone, and that is no error.
	Release(ctx context.Context, key, owner string) error
}

// Lister is what a [Store] may also be, found by type assertion: App.Accounts and App.KeepAlive need it.
type Lister interface {
	// List calls yield with each key that begins with prefix and has a record, once each and in no order, until yield
	// gives false. Records that come or go meanwhile may be listed or not.
	List(ctx context.Context, prefix string, yield func(key string) bool) error
}

// ErrStoreUnavailable means that the [Store] could not be reached or failed: nothing is known of the grant, and nothing was
// lost. Answer 503; it is no reason to sign anybody out. It wraps the store's own error.
var ErrStoreUnavailable = errors.New("authcode: the store is unavailable")
