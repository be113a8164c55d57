package authcode

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// loaded makes sure that the grant is in memory if the store has it. Callers who come together share one reading.
func (g *grant) loaded(ctx context.Context, q query) error {
	if g.app.store == nil || g.current.Load() != nil {
		return nil
	}
	_, err := g.turns.Do(ctx, turnKey{kind: turnLoad}, func(ctx context.Context) (outcome, error) {
		return inFlight(ctx, g.app, func(ctx context.Context) (outcome, error) { return outcome{}, g.load(ctx, q) })
	})
	return err
}

func (g *grant) load(ctx context.Context, q query) error {
	if g.current.Load() != nil { // a sign-in came first
		return nil
	}
	accountID, before := g.account(), g.sight()
	if g.app.backlog.removals.isMarked(g.app.recordKey(accountID)) {
		return nil
	}
	stored, err := g.app.readRecord(ctx, accountID)
	if err != nil || stored == nil {
		return g.mended(q, err)
	}
	if !sameAccount(stored.account.ID, accountID) { // the Sealer opened what was made for another key
		required := g.unknownAccount(q)
		required.cause, required.why = nil, "the stored record "+g.app.recordKey(accountID)+" is another account's"
		return required
	}
	g.take(before, stored)
	g.app.registry.keep(g.app, accountID)
	return nil
}

// mended makes a record that cannot be read what it means for the user: a sign-in, which replaces it.
func (g *grant) mended(q query, err error) error {
	broken, ok := errors.AsType[*brokenRecordError](err)
	if !ok {
		return err
	}
	required := g.unknownAccount(q)
	required.cause, required.why = nil, broken.Error()
	return required
}

// reread looks at the record before it is refreshed from. What is owed to the store comes first: it may have been written though its
// answer was lost, and another replica may have gone on from there. While the store is down Entra's refresh tokens, which stay good
// when they are used twice, are used on; those of a server of one's own may be good once.
func (g *grant) reread(ctx context.Context, q query) error {
	err := g.trySave(ctx)
	if err == nil {
		before := g.sight()
		var stored *snapshot
		if stored, err = g.app.readRecord(ctx, g.account()); err == nil {
			g.reconcile(before, stored)
			return nil
		}
	}
	if g.app.site.own == nil {
		return nil
	}
	return g.mended(q, err)
}

// lookBehind compares the grant with the store while nobody waits: a sign-out or a step-up on another replica is seen by then.
func (g *grant) lookBehind(ctx context.Context) {
	g.turns.Start(ctx, turnKey{kind: turnLook}, func(ctx context.Context) (outcome, error) {
		return inFlight(ctx, g.app, func(ctx context.Context) (outcome, error) {
			s := g.current.Load()
			if s == nil || time.Since(processStart) < s.look { // the turn before this one looked
				return outcome{}, nil
			}
			before := g.sight()
			stored, err := g.app.readRecord(ctx, g.account())
			if err != nil {
				g.lookLater()
				return outcome{}, err
			}
			g.reconcile(before, stored)
			return outcome{}, nil
		})
	})
}

// lookLater puts the next look off for as long as an attempt to refresh is after a failure.
func (g *grant) lookLater() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.current.Load(); s != nil {
		g.current.Store(&snapshot{first: s.first, look: time.Since(processStart) + retryStale, holding: s.holding})
	}
}

// reloaded looks at the store because s is of no use without the user: they may have signed in at another replica. It reports whether
// there is something else now; an error is the store's, and then nobody is asked to sign in.
func (g *grant) reloaded(ctx context.Context, s *snapshot) (bool, error) {
	if g.app.store == nil {
		return false, nil
	}
	_, err := g.turns.Do(ctx, turnKey{kind: turnReload}, func(ctx context.Context) (outcome, error) {
		return inFlight(ctx, g.app, func(ctx context.Context) (outcome, error) {
			before := g.sight()
			stored, err := g.app.readRecord(ctx, g.account())
			if err == nil {
				g.reconcile(before, stored)
			}
			return outcome{}, err
		})
	})
	if _, broken := errors.AsType[*brokenRecordError](err); err != nil && !broken {
		return false, err
	}
	now := g.current.Load()
	return now != nil && now.version != s.version, nil
}

// account is whose grant it is, as far as that is known.
func (g *grant) account() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.accountID
}

// valid gives a token that the call can go on with, or nil.
func (g *grant) valid(q query) *cachedToken {
	s := g.current.Load()
	if s == nil || q.claims != "" {
		return nil
	}
	if token, f := s.lookup(q.options(), time.Now()); f != expired {
		return token
	}
	return nil
}

// given is what the caller gets; nothing of nil.
func (t *cachedToken) given() azcore.AccessToken {
	if t == nil {
		return azcore.AccessToken{}
	}
	return t.access
}

// anyQuery is a call for the token the grant was last renewed with, for work that no caller asked for.
func (g *grant) anyQuery() query {
	if s := g.current.Load(); s != nil && s.first.key != nil {
		return query{key: s.first.key}
	}
	return query{key: g.app.keyFor(g.app.tenants.home, g.app.reserved(), false)}
}
