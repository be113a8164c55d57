package authcode

import (
	"context"
	"sync"
)

// removals are the records that are to be removed from the store. Until one is gone nobody reads it. The zero value is ready.
type removals struct {
	mu  sync.Mutex
	all map[string]*removal
}

// removal is one of them, or one that was taken back while the store was being asked for it.
type removal struct {
	marked    bool          // it is to be made
	takenBack int           // how often
	running   int           // how many are asking the store for it
	over      chan struct{} // closed when none is any more; nil: none is
}

// removing is one attempt at a removal.
type removing struct {
	*removal      // nil: none
	takenBack int // when it began
}

func (r *removals) mark(key string) { r.end(key, r.begin(key), false) }

func (r *removals) isMarked(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.all[key]
	return one != nil && one.marked
}

// begin marks a record and says that the store is being asked.
func (r *removals) begin(key string) removing {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.all[key]
	if one == nil {
		one = &removal{}
		if r.all == nil {
			r.all = make(map[string]*removal)
		}
		r.all[key] = one
	}
	one.marked = true
	return one.started()
}

// beginMarked is begin for a record that is marked still; nil: it was taken back, or is gone.
func (r *removals) beginMarked(key string) removing {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.all[key]; one != nil && one.marked {
		return one.started()
	}
	return removing{}
}

func (one *removal) started() removing {
	if one.running++; one.over == nil {
		one.over = make(chan struct{})
	}
	return removing{one, one.takenBack}
}

// end says that the store has answered, and whether the record is gone.
func (r *removals) end(key string, one removing, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one.running--; one.running == 0 {
		close(one.over)
		one.over = nil
	}
	if gone && one.takenBack == one.removal.takenBack {
		one.marked = false
	}
	r.tidyLocked(key, one.removal)
}

func (r *removals) tidyLocked(key string, one *removal) {
	if !one.marked && one.running == 0 {
		delete(r.all, key)
	}
}

// takeBack keeps a record after all, because its user signs in again. A removal that is under way is waited for, or it could come
// after the new record: by each of those who write it.
func (r *removals) takeBack(ctx context.Context, key string) error {
	r.mu.Lock()
	var over chan struct{}
	if one := r.all[key]; one != nil {
		if one.marked {
			one.marked = false
			one.takenBack++
		}
		over = one.over
		r.tidyLocked(key, one)
	}
	r.mu.Unlock()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *removals) keys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]string, 0, len(r.all))
	for key, one := range r.all {
		if one.marked {
			keys = append(keys, key)
		}
	}
	return keys
}
