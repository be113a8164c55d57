package authcode

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// backlog is what the store could not be told: grants to write, and records to remove. It is worked off in the background, with
// pauses, until nothing is left; until then the grants stay in memory. The zero value is ready.
type backlog struct {
	mu       sync.Mutex
	grants   map[*grant]struct{}
	removals removals
	working  chan struct{} // closed when the worker ends; nil: there is none
}

// add queues a grant. Called again it changes nothing.
func (b *backlog) add(a *App, g *grant) {
	b.enter(a, func() {
		if b.grants == nil {
			b.grants = make(map[*grant]struct{})
		}
		b.grants[g] = struct{}{}
	})
}

// remove queues the removal of a record.
func (b *backlog) remove(a *App, key string) {
	b.enter(a, func() { b.removals.mark(key) })
}

func (b *backlog) enter(a *App, put func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	put()
	if b.working == nil && !a.isClosed() {
		b.working = make(chan struct{})
		go b.work(a, b.working)
	}
}

// forget removes a record now, or as soon as the store can be told. drop lets go of the grant in between: until the record is gone
// nobody reads it.
func (b *backlog) forget(ctx context.Context, a *App, key string, drop func()) error {
	one := b.removals.begin(key)
	drop()
	err := a.deleteRecord(ctx, key)
	b.removals.end(key, one, err == nil)
	if err != nil {
		b.enter(a, func() {}) // unless a sign-in has taken it back meanwhile
	}
	return err
}

// work goes through the backlog until it is empty or the App is closed.
func (b *backlog) work(a *App, done chan struct{}) {
	defer close(done)
	for pause := shortBacklog; ; pause = min(2*pause, longBacklog) {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-a.lifetime.Done(): // Close goes through it a last time
			timer.Stop()
			return
		}
		if b.flush(a.flying, a) && b.isDone() {
			return
		}
	}
}

// isDone ends the worker if nothing is left: who comes later starts another.
func (b *backlog) isDone() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.grants)+len(b.removals.keys()) > 0 {
		return false
	}
	b.working = nil
	return true
}

// flush goes through the backlog once. A removal that fails holds up no grant.
func (b *backlog) flush(ctx context.Context, a *App) bool {
	grants, removals := b.contents()
	removed := each(removals, func(key string) error { return b.removeNow(ctx, a, key) })
	return each(grants, func(g *grant) error { return b.saveNow(ctx, a, g) }) && removed
}

const flushTogether = 32 // calls of the store at once

// each does something for all items, some at once, and reports whether all of it succeeded. It gives up when as many failed in a row: a
// store that is down is not asked a thousand times, and a shard or a record that is away holds the others up little.
func each[T any](items []T, do func(T) error) bool {
	var next, failures, inARow atomic.Int64
	var working sync.WaitGroup
	for range min(flushTogether, len(items)) {
		working.Go(func() {
			for inARow.Load() < flushTogether {
				i := int(next.Add(1)) - 1
				if i >= len(items) {
					return
				}
				if do(items[i]) == nil {
					inARow.Store(0)
				} else {
					inARow.Add(1)
					failures.Add(1)
				}
			}
		})
	}
	working.Wait()
	return failures.Load() == 0
}

// saveNow writes a grant that is queued.
func (b *backlog) saveNow(ctx context.Context, a *App, g *grant) error {
	began := time.Now()
	if err := g.trySave(ctx); err != nil {
		return err
	}
	written, _ := g.owed()
	b.mu.Lock()
	delete(b.grants, g)
	b.mu.Unlock()
	switch {
	case !g.hasKept():
	case a.isClosed(): // no turn begins any more
		g.giveBack(ctx, g.takeKept())
	default:
		g.settled(ctx)
	}
	if g.isUnsaved() { // a refresh came between
		b.add(a, g)
	}
	if written != nil { // else it was forgotten
		a.emit(ctx, Event{Kind: EventStore, Duration: time.Since(began), TenantID: a.tenants.home}, g.account())
	}
	return nil
}

// removeNow asks the store for a removal that is queued.
func (b *backlog) removeNow(ctx context.Context, a *App, key string) error {
	one := b.removals.beginMarked(key)
	if one.removal == nil { // taken back
		return nil
	}
	err := a.deleteRecord(ctx, key)
	b.removals.end(key, one, err == nil)
	return err
}

func (b *backlog) contents() (grants []*grant, removals []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for g := range b.grants {
		grants = append(grants, g)
	}
	return grants, b.removals.keys()
}

// drain is Close's: it waits for the worker, and goes through the backlog until it is empty or the time is over.
func (b *backlog) drain(ctx context.Context, a *App) {
	b.mu.Lock()
	working := b.working
	b.mu.Unlock()
	if working != nil {
		select {
		case <-working:
		case <-ctx.Done():
		}
	}
	for pause := shortBacklog; ctx.Err() == nil && !b.flush(ctx, a); pause = min(2*pause, longBacklog) {
		if sleep(ctx, pause) != nil {
			return
		}
	}
}
