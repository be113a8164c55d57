package authcode

import (
	"context"
	"errors"
	"iter"
)

// errNoLister means that the store cannot say which grants there are.
var errNoLister = errors.New("authcode: the Store cannot list its keys: use one that is a Lister")

// Accounts gives every account that has a grant, in no order: for jobs that act for users who are not there. Those who must sign in
// again are among them; their GetToken says so. Accounts that come or go meanwhile may be given or not. A second value that is not nil
// is an error: ErrStoreUnavailable, ErrClosed, the context's, or of a Store that is no [Lister], and then nothing follows; a record
// that cannot be read, and then the others do.
func (a *App) Accounts(ctx context.Context) iter.Seq2[Account, error] {
	return func(yield func(Account, error) bool) {
		keys, err := a.grantKeys(ctx)
		if err != nil {
			yield(Account{}, err)
			return
		}
		if a.store == nil {
			a.accountsInMemory(yield)
			return
		}
		for _, key := range keys {
			if err := a.checkOpen(ctx); err != nil {
				yield(Account{}, err)
				return
			}
			if a.backlog.removals.isMarked(key) { // forgotten; the store is yet to be told
				continue
			}
			stored, err := a.readKey(ctx, key)
			switch _, broken := errors.AsType[*brokenRecordError](err); {
			case err != nil:
				if !yield(Account{}, err) || !broken {
					return
				}
			case stored != nil && !yield(stored.account, nil):
				return
			}
		}
	}
}

func (a *App) accountsInMemory(yield func(Account, error) bool) {
	for _, c := range a.registry.all() {
		if s := c.grant.current.Load(); s != nil && !yield(s.account, nil) {
			return
		}
	}
}

// grantKeys lists first and reads later: what the caller does for each account must not hold a connection of the store.
func (a *App) grantKeys(ctx context.Context) ([]string, error) {
	if err := a.checkOpen(ctx); err != nil {
		return nil, err
	}
	if a.store == nil {
		return nil, nil
	}
	lister, ok := a.store.(Lister)
	if !ok {
		return nil, errNoLister
	}
	var keys []string
	err := lister.List(ctx, a.grantPrefix(), func(key string) bool {
		keys = append(keys, key)
		return true
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unavailable("listing the grants", err)
	}
	return keys, nil
}
