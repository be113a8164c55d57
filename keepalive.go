package authcode

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	defaultKeepAliveAge   = 30 * 24 * time.Hour
	defaultKeepAliveRound = 24 * time.Hour
	keepAliveKind         = "keepalive:"
)

// KeepAliveOptions are the optional parts of [App.KeepAlive].
type KeepAliveOptions struct {
	// MaxAge is how long a grant may go without a refresh. 0: 30 days. Entra refuses a refresh token after 90 days
	// (https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime).
	MaxAge time.Duration
	// Round is how often all grants are looked at; the work is spread over half of it. MaxAge and two rounds must be less than the 90
	// days. 0: a day.
	Round time.Duration
}

// KeepAlive refreshes the grants of users who are away, before the server forgets them for want of use. It runs until ctx or the App
// ends: call it in a goroutine on every replica; one of them does each round where the [Store] is a [Leaser]. It needs a Store that
// is a [Lister]. What fails is told to OnEvent, and tried again in the next round. Errors: invalid options, no Store or no Lister, and
// at the end the context's or ErrClosed.
func (a *App) KeepAlive(ctx context.Context, options *KeepAliveOptions) error {
	if options == nil {
		options = &KeepAliveOptions{}
	}
	age, round := cmp.Or(options.MaxAge, defaultKeepAliveAge), cmp.Or(options.Round, defaultKeepAliveRound)
	if err := a.checkKeepAlive(ctx, age, round); err != nil {
		return err
	}
	ctx, release := a.callContext(ctx)
	defer release()
	began := time.Now().Add(-round) // this replica's newest round
	for {
		if time.Since(began) >= round && a.isMyRound(ctx, round) {
			began = time.Now()
			a.keepAliveOnce(ctx, age, round/2)
		}
		if err := sleep(ctx, round/16+rand.N(round/16)); err != nil {
			return a.sayClosed(err)
		}
	}
}

func (a *App) checkKeepAlive(ctx context.Context, age, round time.Duration) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	switch _, lists := a.store.(Lister); {
	case a.isClosed():
		return ErrClosed
	case age < 0 || age >= idleLifetime:
		return fmt.Errorf("authcode: KeepAlive: MaxAge is %v: use less than the 90 days after which a refresh token is refused", age)
	case round < time.Second:
		return fmt.Errorf("authcode: KeepAlive: Round is %v: use a second at least", round)
	// A grant that is a moment too young for one round is refreshed at the end of the next.
	case round >= idleLifetime || age+2*round >= idleLifetime:
		return fmt.Errorf("authcode: KeepAlive: MaxAge is %v and Round %v: MaxAge and two rounds must be less than the 90 days after which a refresh token is refused", age, round)
	case a.store == nil:
		return fmt.Errorf("authcode: KeepAlive: the App has no Store, and grants in memory are as old as the process at most")
	case !lists:
		return errNoLister
	}
	return nil
}

// isMyRound reports whether no other replica has this round. Its lease is not renewed: when it is over, the next round is anybody's.
func (a *App) isMyRound(ctx context.Context, round time.Duration) bool {
	leaser, ok := a.store.(Leaser)
	if !ok {
		return true
	}
	granted, err := a.askLease(ctx, leaser, keepAliveKind+a.grantPrefix(), round)
	return err != nil || granted
}

// keepAliveOnce looks at every grant once, with pauses that make it last.
func (a *App) keepAliveOnce(ctx context.Context, age, last time.Duration) {
	keys, err := a.grantKeys(ctx)
	if err != nil {
		a.tellUnread(ctx, err)
		return
	}
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys {
		switch s, err := a.readKey(ctx, key); {
		case err != nil:
			a.tellUnread(ctx, err)
		case s != nil && s.isDue(time.Now(), age):
			a.keepOneAlive(ctx, s.account.ID)
		}
		if sleep(ctx, last/time.Duration(len(keys))) != nil {
			return
		}
	}
}

func (a *App) tellUnread(ctx context.Context, err error) {
	if ctx.Err() == nil {
		a.emit(ctx, Event{Kind: EventStore, Err: err, TenantID: a.tenants.home}, "")
	}
}

func (s *snapshot) isDue(now time.Time, age time.Duration) bool {
	return s.mark == nil && s.refreshToken != "" && now.Sub(s.renewed) >= age
}

// keepOneAlive refreshes what the grant was last used for. The refresh looks at the record again under its lease, so that one that was
// used meanwhile is left alone.
func (a *App) keepOneAlive(ctx context.Context, accountID string) {
	g := &a.registry.find(a, accountID).grant
	if g.loaded(ctx, g.anyQuery()) == nil && g.current.Load() != nil {
		_, _ = g.refreshed(ctx, g.anyQuery()) // OnEvent is told
	}
}
