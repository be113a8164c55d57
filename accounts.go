package authcode

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
)

// errNoLister means that the store cannot say which grants there are.
var errNoLister = errors.New("authcode: the Store cannot list its keys: use one that is a Lister")

// Accounts gives every account that has a grant, in no order: for jobs that act for users who are not there. Those who must sign in
// again are among them; their GetToken says so. Accounts that come or go meanwhile may be given or not. A second value that is not nil
// is an error: ErrStoreUnavailable, ErrClosed, the context's, or of a Store that is no [Lister], and then nothing follows; a record
// that cannot be read, and then the others do.
func (a *App) Accounts(ctx context.Context) iter.Seq2[Account, error] {
	return func(yield func(Account, error) bool) {
		if err := a.checkOpen(ctx); err != nil {
			yield(Account{}, err)
			return
		}
		ctx, release := a.callContext(ctx)
		defer release()
		keys, err := a.grantKeys(ctx)
		if err != nil {
			yield(Account{}, a.sayClosed(err))
			return
		}
		if a.store == nil {
			a.accountsInMemory(yield)
			return
		}
		for some := range slices.Chunk(keys, readTogether) {
			if !a.accountsUnder(ctx, some, yield) {
				return
			}
		}
	}
}

// accountsUnder gives the accounts whose records are under some keys, and reports whether to go on.
func (a *App) accountsUnder(ctx context.Context, keys []string, yield func(Account, error) bool) bool {
	for i, r := range a.readAll(ctx, keys) {
		if err := a.sayClosed(a.checkOpen(ctx)); err != nil {
			yield(Account{}, err)
			return false
		}
		if a.backlog.removals.isMarked(keys[i]) { // forgotten; the store is yet to be told
			continue
		}
		if !r.give(yield) {
			return false
		}
	}
	return true
}

// readTogether is how many records are read at once, so that a million do not take a million round trips one after another.
const readTogether = 16

// reading is what one of them gave.
type reading struct {
	stored *snapshot
	err    error
}

func (r reading) give(yield func(Account, error) bool) bool {
	if r.err != nil {
		_, broken := errors.AsType[*brokenRecordError](r.err)
		return yield(Account{}, r.err) && broken
	}
	return r.stored == nil || yield(r.stored.account, nil)
}

func (a *App) readAll(ctx context.Context, keys []string) []reading {
	readings := make([]reading, len(keys))
	var wg sync.WaitGroup
	for i, key := range keys {
		wg.Go(func() {
			r := &readings[i]
			r.stored, r.err = a.readKey(ctx, key)
		})
	}
	wg.Wait()
	return readings
}

func (a *App) accountsInMemory(yield func(Account, error) bool) {
	for _, c := range a.registry.all() {
		if s := c.grant.current.Load(); s != nil && !yield(s.account, nil) {
			return
		}
	}
}

// grantKeys lists first and reads later: what the caller does for each account must not hold a connection of the store.
func (a *App) grantKeys(ctx context.Context) (keys []string, err error) {
	if a.store == nil {
		return nil, nil
	}
	lister, ok := a.store.(Lister)
	if !ok {
		return nil, errNoLister
	}
	defer contain("listing the grants", &err)
	err = lister.List(ctx, a.grantPrefix(), func(key string) bool {
		keys = append(keys, key)
		return true
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, unavailable("listing the grants", err)
	}
	return keys, nil
}
