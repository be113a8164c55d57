package authcode

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	leaseTime     = 15 * time.Second // longer than a refresh may take
	leaseRenew    = leaseTime / 3
	shortPoll     = 10 * time.Millisecond // between two looks at a lease that another replica holds
	longPoll      = 100 * time.Millisecond
	leasePatience = leaseTime + lateWrites // by then the lease of a replica that died is over, and one that waited for writes has refreshed
	faultPatience = time.Second            // with a store that fails at leases
)

// lease is this replica's right to refresh one grant. It saves requests, and where a refresh token is good once it keeps two replicas
// from using the same; what keeps records whole is the swap.
type lease struct {
	app    *App
	key    string
	cancel context.CancelFunc // of the renewals
	done   chan struct{}
	over   atomic.Pointer[moment] // when another replica may have it: counted from before it was asked for, so rather too early
	keeper atomic.Pointer[grant]  // that kept it; nil: its refresh is under way
}

// tryLease asks for the lease once. A store without leases gives it: the swap decides. So does one that fails at it where a refresh
// token may be used twice, as at Entra; where it may not, another replica could be using ours, and the fault is an error.
func (a *App) tryLease(ctx context.Context, key string) (held *lease, granted bool, fault error) {
	leaser, ok := a.store.(Leaser)
	if !ok {
		return nil, true, nil
	}
	l := &lease{app: a, key: key, done: make(chan struct{})}
	granted, err := l.ask(ctx, leaser)
	switch {
	case err != nil && a.site.own == nil:
		return nil, true, nil
	case err != nil || !granted:
		return nil, false, err
	}
	l.renew(ctx, leaser)
	return l, true, nil
}

// ask asks for the lease, or for more of its time.
func (l *lease) ask(ctx context.Context, leaser Leaser) (granted bool, err error) {
	over := momentAt(time.Now().Add(leaseTime))
	granted, err = l.app.askLease(ctx, leaser, l.key, leaseTime)
	if granted && err == nil {
		l.over.Store(&over)
	}
	return granted, err
}

func (a *App) askLease(ctx context.Context, leaser Leaser, key string, most time.Duration) (granted bool, err error) {
	defer contain("leasing a grant", &err)
	ctx, done := a.inTime(ctx)
	defer func() { done(err) }()
	granted, err = leaser.Lease(ctx, key, a.replica, most)
	switch {
	case err == nil:
		a.outage.answered()
	case !errors.Is(err, context.Canceled): // it says nothing of the store
		a.outage.failed()
	}
	return granted, err
}

// renew holds on to the lease until it is released. A renewal that is refused changes nothing: the request is under way.
func (l *lease) renew(ctx context.Context, leaser Leaser) {
	ctx, l.cancel = context.WithCancel(ctx)
	go func() {
		defer close(l.done)
		ticker := time.NewTicker(leaseRenew)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_, _ = l.ask(ctx, leaser)
				if g := l.keeper.Load(); g != nil && !g.isUnsaved() {
					g.settled(context.WithoutCancel(ctx)) // the write that should have done it came as the lease was being kept
				}
			case <-ctx.Done():
				return
			}
		}
	}()
}

// isOver reports whether another replica may have the lease: this one was stopped, or could not renew it. nil never is.
func (l *lease) isOver() bool { return l != nil && l.over.Load().passed(time.Now()) }

// lasts makes sure that a request can have its whole time within the lease, and asks for more of it where it takes some. Where refresh
// tokens may be used twice a fault is no reason not to send one.
func (l *lease) lasts(ctx context.Context, window time.Duration) bool {
	switch {
	case l == nil:
		return true
	case l.isOver(): // also by the wall clock: a machine that slept
		return false
	}
	over := l.over.Load()
	if over.mono-time.Since(processStart) >= window {
		return true
	}
	granted, err := l.ask(ctx, l.app.store.(Leaser))
	if err != nil {
		return l.app.site.own == nil
	}
	return granted && !over.passed(time.Now()) // else another replica may have had it in between
}

// bound ends a request when the lease was not renewed in time: another replica may be using the refresh token by then.
func (l *lease) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if l == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for {
			timer := time.NewTimer(l.over.Load().mono - time.Since(processStart))
			select {
			case <-timer.C:
				if l.isOver() { // not renewed meanwhile
					cancel(errLeaseLost)
					return
				}
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// release gives the lease back; nil is none. A release that fails costs others the rest of its time.
func (l *lease) release(ctx context.Context) {
	if l == nil {
		return
	}
	l.stop()
	var err error
	defer contain("releasing a lease", &err)
	ctx, done := l.app.inTime(ctx)
	defer func() { done(err) }()
	err = l.app.store.(Leaser).Release(ctx, l.key, l.app.replica)
}

// stop ends the renewals, and waits for one that is under way: it must not come after the release.
func (l *lease) stop() {
	if l == nil {
		return
	}
	l.cancel()
	<-l.done
}

// giveBack releases the lease, or keeps it while what the refresh brought is unwritten: another replica would refresh with the token
// that was spent for it. At Entra it may, and need not wait.
func (g *grant) giveBack(ctx context.Context, held *lease) {
	g.mu.Lock()
	keep := g.unsaved != nil && held != nil && g.app.site.own != nil
	if keep {
		held.keeper.Store(g)
		g.kept, held = held, g.kept
	}
	g.mu.Unlock()
	if keep {
		held.stop() // another call's, of the same owner
		return
	}
	held.release(ctx)
}

// settled releases a lease that was kept, now that everything is written. It is a turn: a refresh of this replica that has begun
// meanwhile has taken the lease over, and one that begins later asks for its own.
func (g *grant) settled(ctx context.Context) {
	g.turns.Start(ctx, turnKey{kind: turnSettle}, func(ctx context.Context) (outcome, error) {
		if held := g.takeKept(); held != nil {
			g.giveBack(ctx, held)
		}
		return outcome{}, nil
	})
}

// takeKept takes over the lease that was kept; nil: none was.
func (g *grant) takeKept() *lease {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := g.kept
	g.kept = nil
	return held
}

func (g *grant) hasKept() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept != nil
}

var (
	// errLeaseOver means that the lease ended before the request was sent.
	errLeaseOver = errors.New("the lease ended first: this process was stopped, or the store is slow")
	// errLeaseLost means that it ended before the answer came.
	errLeaseLost = errors.New("the lease ended first: the store did not renew it")
	// errLeased means that another replica has been refreshing the grant for longer than a lease lasts.
	errLeased = errors.New("another replica holds the grant's lease")
)

// takeLease waits until the lease is ours, or until there is a token for the call without it.
func (g *grant) takeLease(ctx context.Context, q query, had *snapshot) (held *lease, served *cachedToken, err error) {
	key := g.app.recordKey(g.account())
	kept := g.takeKept() // it may be another's by now, of a store that was down: asking again tells
	told := false        // who has it, by the store
	defer func() {
		if told {
			kept.stop()
		} else {
			g.giveBack(ctx, kept)
		}
	}()
	began, answered := time.Now(), time.Now()
	for poll := shortPoll; ; poll = min(2*poll, longPoll) {
		held, granted, fault := g.app.tryLease(ctx, key)
		if told = fault == nil; told {
			answered = time.Now()
		}
		switch {
		case granted:
			return held, nil, nil
		case !told && time.Since(answered) > faultPatience:
			return nil, nil, unavailable("leasing a grant", fault)
		case time.Since(began) > leasePatience:
			return nil, nil, unavailable("refreshing a grant", errLeased)
		}
		if token := g.valid(q); token != nil { // good enough: no need to wait
			return nil, token, nil
		}
		if err := sleep(ctx, poll/2+rand.N(poll/2+1)); err != nil {
			return nil, nil, err
		}
		before := g.sight()
		if stored, err := g.app.readKey(ctx, key); err == nil {
			g.reconcile(before, stored)
		}
		now := g.current.Load()
		if now == nil {
			return nil, nil, g.unknownAccount(q)
		}
		if token, ok := now.since(had, q, time.Now()); ok {
			return nil, token, nil
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
