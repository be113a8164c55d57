package authcode

import (
	"context"
	"sync"
)

// removals are the records that are to be removed from the store. Until one is gone nobody reads it. The zero value is ready.
type removals struct {
	mu     sync.Mutex
	marked map[string]*removal
}

// removal is one of them.
type removal struct {
	running int           // how many are asking the store for it
	over    chan struct{} // closed when none is any more; nil: none is
}

func (r *removals) mark(key string) { r.end(key, r.begin(key), false) }

func (r *removals) isMarked(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.marked[key] != nil
}

// begin marks a record and says that the store is being asked.
func (r *removals) begin(key string) *removal {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.marked[key]
	if one == nil {
		one = &removal{}
		if r.marked == nil {
			r.marked = make(map[string]*removal)
		}
		r.marked[key] = one
	}
	return one.started()
}

// beginMarked is begin for a record that is marked still; nil: it was taken back, or is gone.
func (r *removals) beginMarked(key string) *removal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.marked[key]; one != nil {
		return one.started()
	}
	return nil
}

func (one *removal) started() *removal {
	if one.running++; one.over == nil {
		one.over = make(chan struct{})
	}
	return one
}

// end says that the store has answered, and whether the record is gone.
func (r *removals) end(key string, one *removal, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one.running--; one.running == 0 {
		close(one.over)
		one.over = nil
	}
	if gone && r.marked[key] == one {
		delete(r.marked, key)
	}
}

// takeBack keeps a record after all, because its user signs in again. A removal that is under way is waited for, or it could come
// after the new record.
func (r *removals) takeBack(ctx context.Context, key string) error {
	r.mu.Lock()
	one := r.marked[key]
	delete(r.marked, key)
	var over chan struct{}
	if one != nil {
		over = one.over
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
	keys := make([]string, 0, len(r.marked))
	for key := range r.marked {
		keys = append(keys, key)
	}
	return keys
}
