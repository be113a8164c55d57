// Package flight lets callers share one piece of work without sharing its fate: the work goes on when a caller
// leaves, each caller leaves when its own context ends, and whoever asks for the same gets the same answer.
//
// [Shared] runs different keys side by side; [Turns] runs them one after another.
package flight

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Work is what a flight does. Its context carries the values of the caller who started it, and is not cancelled
// with that caller.
type Work[V any] func(context.Context) (V, error)

type call[K comparable, V any] struct {
	key     K
	ctx     context.Context
	work    Work[V]
	done    chan struct{}
	value   V
	err     error
	waiters int  // callers who have not left; guarded by the owner's mutex
	keep    bool // runs though nobody waits
}

func newCall[K comparable, V any](ctx context.Context, key K, work Work[V]) *call[K, V] {
	return &call[K, V]{key: key, ctx: context.WithoutCancel(ctx), work: work, done: make(chan struct{})}
}

// run does the work, then takes the call off its owner's list before those who wait wake: one who comes back for
// more starts a new call and never joins a finished one.
//
// A panic becomes an error: it belongs to whoever wrote the callback, must not take down the process from a
// goroutine of ours, and its value is not printed since it may hold a secret.
func (c *call[K, V]) run(leaveList func()) {
	growStack(0)
	defer close(c.done)
	defer leaveList()
	finished := false
	defer func() {
		if finished {
			return
		}
		if p := recover(); p != nil {
			c.err = fmt.Errorf("a callback panicked (%T)", p)
			return
		}
		c.err = fmt.Errorf("a callback ended its goroutine")
	}()
	c.value, c.err = c.work(c.ctx)
	finished = true
}

// wait returns the outcome, or why ctx ended if that comes first.
func (c *call[K, V]) wait(ctx context.Context) (V, error) {
	select {
	case <-c.done:
		return c.value, c.err
	default:
	}
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none V
		return none, Ended(ctx)
	}
}

// Ended says why a context is over: its error, and the cause with it where somebody gave one, so that both are found
// with errors.Is.
func Ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// Shared runs one call per key at a time; callers with the same key share it, other keys run beside it.
// The zero value is ready.
type Shared[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[K, V]
}

// Do joins the running call for key or starts it.
func (s *Shared[K, V]) Do(ctx context.Context, key K, work Work[V]) (V, error) {
	return s.enter(ctx, key, work).wait(ctx)
}

// Start starts a call for key unless one is running, and does not wait for it.
func (s *Shared[K, V]) Start(ctx context.Context, key K, work Work[V]) { s.enter(ctx, key, work) }

func (s *Shared[K, V]) enter(ctx context.Context, key K, work Work[V]) *call[K, V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, running := s.calls[key]
	if !running {
		c = newCall(ctx, key, work)
		if s.calls == nil {
			s.calls = make(map[K]*call[K, V])
		}
		s.calls[key] = c
		go c.run(func() { s.forget(key) })
	}
	return c
}

func (s *Shared[K, V]) forget(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, key)
}

// Turns runs one call at a time, whatever its key, in the order they were asked for; callers with the same key
// share a call. The zero value is ready.
type Turns[K comparable, V any] struct {
	mu    sync.Mutex
	queue []*call[K, V] // queue[0] is running
}

// Do joins the call for key that runs or waits its turn, or queues one. A queued call that all its callers have
// left does not run.
func (t *Turns[K, V]) Do(ctx context.Context, key K, work Work[V]) (V, error) {
	c := t.enter(ctx, key, work, false)
	defer t.leave(c)
	return c.wait(ctx)
}

// Start queues a call for key unless there is one, and does not wait for it.
func (t *Turns[K, V]) Start(ctx context.Context, key K, work Work[V]) {
	t.enter(ctx, key, work, true)
}

func (t *Turns[K, V]) enter(ctx context.Context, key K, work Work[V], keep bool) *call[K, V] {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.find(key)
	if c == nil {
		c = newCall(ctx, key, work)
		t.queue = append(t.queue, c)
		if len(t.queue) == 1 {
			go c.run(t.next)
		}
	}
	if keep {
		c.keep = true
	} else {
		c.waiters++
	}
	return c
}

func (t *Turns[K, V]) find(key K) *call[K, V] {
	for _, c := range t.queue {
		if c.key == key {
			return c
		}
	}
	return nil
}

// leave drops a queued call that nobody waits for any more; the running one goes on.
func (t *Turns[K, V]) leave(c *call[K, V]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.waiters--
	if c.waiters > 0 || c.keep {
		return
	}
	for i := 1; i < len(t.queue); i++ {
		if t.queue[i] == c {
			t.queue = append(t.queue[:i], t.queue[i+1:]...)
			return
		}
	}
}

// next takes the finished call off the queue and starts the one behind it.
func (t *Turns[K, V]) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = t.queue[1:]
	if len(t.queue) == 0 {
		t.queue = nil
		return
	}
	go t.queue[0].run(t.next)
}

// stackOfRequest is more than half of what a request over net/http needs of a goroutine's stack: stacks double.
const stackOfRequest = 10 << 10

// growStack makes room on a new goroutine's stack while there is next to nothing on it. Else it would grow from 2 KB to 16 in
// three steps beneath the first request, and all that lies on it by then would be copied each time. What it gives is of no
// use, but that the compiler leaves the room out where nobody reads of it.
//
//go:noinline
func growStack(from int) byte {
	var room [stackOfRequest]byte
	return room[from]
}
