package authcode

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	closeWait = time.Second      // for requests that Close cancelled
	drainWait = 20 * time.Second // for those that it does not, with what is to be stored: a refresh and its write
)

// lifespan is what Close ends.
type lifespan struct {
	lifetime context.Context // of the calls
	stop     context.CancelCauseFunc
	flying   context.Context // of the work they started: with a store it outlasts them until it is stored
	ground   context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	flights int
	landed  chan struct{} // closed when the last flight after end is over
}

func (l *lifespan) begin() {
	l.lifetime, l.stop = context.WithCancelCause(context.Background())
	l.flying, l.ground = l.lifetime, l.stop
}

// outlast lets the work go on after end, until it is grounded.
func (l *lifespan) outlast() {
	l.flying, l.ground = context.WithCancelCause(context.Background())
}

func (l *lifespan) isClosed() bool { return l.lifetime.Err() != nil }

// end reports whether it was the first.
func (l *lifespan) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.closed, l.landed = true, make(chan struct{})
	if l.flights == 0 {
		close(l.landed)
	}
	l.stop(ErrClosed)
	return true
}

func (l *lifespan) wait(most time.Duration) {
	waitAtMost(l.landed, most) // a Transporter may not heed its context
}

func waitAtMost(done <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

func (l *lifespan) takeOff() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.flights++
	return true
}

func (l *lifespan) land() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flights--
	if l.closed && l.flights == 0 {
		close(l.landed)
	}
}

// inFlight runs work that Close waits for, and cancels where its outcome could not be kept. Its context is a flight's: it has a
// caller's values and does not end with them.
func inFlight[V any](ctx context.Context, a *App, work func(context.Context) (V, error)) (V, error) {
	var none V
	if !a.takeOff() {
		return none, ErrClosed
	}
	defer a.land()
	value, err := work(flightContext{a.flying, ctx})
	if err != nil && a.isClosed() {
		return none, ErrClosed
	}
	return value, err
}

// flightContext ends with the App's work and has the values of a flight.
type flightContext struct {
	context.Context // how long the App's work goes on
	values          context.Context
}

func (c flightContext) Value(key any) any {
	if value := c.values.Value(key); value != nil {
		return value
	}
	return c.Context.Value(key)
}

// callContext ends with the caller's context or with the App, whichever is first; context.Cause tells which.
func (a *App) callContext(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(a.lifetime, func() { cancel(ErrClosed) })
	return ctx, func() {
		unhook()
		cancel(context.Canceled)
	}
}

// sayClosed gives ErrClosed plainly, where it is the reason among others.
func (a *App) sayClosed(err error) error {
	if errors.Is(err, ErrClosed) {
		return ErrClosed
	}
	return err
}
