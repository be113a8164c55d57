package authcode

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"
)

const (
	saveTries    = 8 // swaps that somebody else won, in a row
	shortBacklog = 100 * time.Millisecond
	longBacklog  = time.Second
)

// unsaved is what the store must still be told of a grant.
type unsaved struct {
	base    string              // the stored version that the snapshot came from; "": none
	mine    []string            // versions that were tried: an attempt whose answer was lost may have written one
	signIn  bool                // a redemption: it outranks whatever is stored
	spent   [][sha256.Size]byte // the hashes of the refresh tokens that led to the snapshot's
	version string              // of the next attempt: the same until its outcome is known
}

// owe notes that the current snapshot is to be written. What was owed before and may have been written stays known; a sign-in
// that was not written yet stays one. The caller holds mu.
func (g *grant) owe(u unsaved) {
	if g.app.store == nil {
		return
	}
	if before := g.unsaved; before != nil {
		u.base, u.mine, u.spent = before.base, before.mine, append(slices.Clone(before.spent), u.spent...)
		u.signIn = u.signIn || before.signIn && g.current.Load().mark == nil // one that died outranks nobody
	}
	u.version = newRandom()
	u.mine = append(slices.Clone(u.mine), u.version)
	g.unsaved = &u
}

func (g *grant) owed() (*snapshot, *unsaved) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current.Load(), g.unsaved
}

func (g *grant) isUnsaved() bool {
	_, u := g.owed()
	return u != nil
}

// errContended means that other replicas wrote each time between our reading and our writing.
var errContended = errors.New("other replicas wrote the record each time: nothing is lost, it is tried again")

// save writes what is owed. The swap decides: what another replica wrote first is adopted, unless ours outranks it. An error means
// that the store could not be told; the grant is then in the backlog.
func (g *grant) save(ctx context.Context) error {
	began := time.Now()
	err := g.trySave(ctx)
	switch {
	case err != nil:
		g.app.backlog.add(g.app, g)
		g.app.emit(ctx, Event{Kind: EventStore, Duration: time.Since(began), Err: err, TenantID: g.app.tenants.home}, g.account())
	case g.hasKept(): // by a refresh that saw this write under way
		g.settled(ctx)
	}
	return err
}

func (g *grant) trySave(ctx context.Context) error {
	for range saveTries {
		s, u := g.owed()
		if u == nil || s == nil {
			return nil
		}
		key := g.app.recordKey(s.account.ID)
		if u.signIn {
			if err := g.app.backlog.removals.takeBack(ctx, key); err != nil {
				return err
			}
		}
		swapped, err := g.app.writeRecord(ctx, key, u.base, u.version, s)
		if err != nil {
			g.disown(key) // it may be there all the same
			return err
		}
		var stored *snapshot
		if !swapped {
			stored, err = g.app.readKey(ctx, key)
			if _, broken := errors.AsType[*brokenRecordError](err); err != nil && !broken && (stored == nil || !u.signIn) {
				return err
			}
			swapped = stored != nil && stored.version == u.version
		}
		switch {
		case !swapped:
			g.lostSwap(u, stored)
			g.disown(key)
		case !g.saved(u):
			g.disown(key)
			return g.app.backlog.removeNow(ctx, g.app, key)
		}
	}
	if !g.isUnsaved() {
		return nil
	}
	return unavailable("writing a grant", errContended)
}

// disown has the record removed if the account was forgotten while it was written. It holds mu, so that the next sign-in comes after
// it and takes the removal back.
func (g *grant) disown(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current.Load() == nil && !g.app.refusesTokens() {
		g.app.backlog.remove(g.app, key)
	}
}

// saved notes the version that is stored now. It reports false where it must not be: the account was forgotten meanwhile.
func (g *grant) saved(u *unsaved) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.current.Load()
	switch {
	case now == nil:
		return g.app.refusesTokens() // then Close has dropped it from memory alone
	case g.unsaved == nil: // another attempt at the same write has noted it
		return true
	case g.unsaved == u:
		g.unsaved = nil
	case slices.Contains(g.unsaved.mine, u.version): // there is something newer to write already, on top of this
		g.unsaved = g.unsaved.on(u.version)
	default: // this was written long ago, and its answer was late
		return true
	}
	held := *now.holding
	held.version = u.version
	g.publish(&snapshot{first: now.first, holding: &held}, time.Now())
	return true
}

// lostSwap decides between our unwritten snapshot and what is stored instead.
func (g *grant) lostSwap(u *unsaved, stored *snapshot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.unsaved != u: // decided by somebody else
	case stored == nil && !u.signIn && u.base != "": // forgotten on another replica
		g.dropLocked()
	case stored == nil:
		g.unsaved = u.on("")
	case u.outranks(stored, g.current.Load()):
		g.unsaved = u.on(stored.version)
	default:
		g.unsaved = nil
		g.adoptLocked(stored)
	}
}

// outranks reports whether what is stored gives way.
func (u *unsaved) outranks(stored, ours *snapshot) bool {
	return u.signIn && !stored.isOfLaterSignIn(ours) ||
		slices.Contains(u.mine, stored.version) || // ours, of an attempt whose answer was lost
		stored.mark != nil && slices.Contains(u.spent, stored.mark.dead) // the refresh token died when we used it, and we have its successor
}

// on is the same on top of another version.
func (u *unsaved) on(base string) *unsaved {
	next := *u
	next.base = base
	return &next
}

// adoptLocked takes over what another replica stored. The caller holds mu.
func (g *grant) adoptLocked(stored *snapshot) {
	if g.app.refusesTokens() || stored.account.ID == "" {
		return
	}
	g.accountID = stored.account.ID
	g.generation++ // a refresh under way began from what this replaces
	g.publish(stored, time.Now())
}

// sighting is what the grant was when a reading of the store began. What was read says nothing of a grant that was written, dropped
// or signed in to since.
type sighting struct {
	generation uint64
	version    string
}

func (g *grant) sight() sighting {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sightLocked()
}

func (g *grant) sightLocked() sighting {
	seen := sighting{generation: g.generation}
	if now := g.current.Load(); now != nil {
		seen.version = now.version
	}
	return seen
}

// reconcile compares with what is stored: it is adopted if it is not what we have, and if it is gone so is ours. What we have not
// written yet is left for save to decide, and a grant that was dropped is not brought back: that is load's.
func (g *grant) reconcile(before sighting, stored *snapshot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.current.Load()
	switch {
	case now == nil || g.sightLocked() != before:
	case g.unsaved != nil || stored != nil && now.version == stored.version:
		g.publish(&snapshot{first: now.first, holding: now.holding}, time.Now()) // looked at
	case stored == nil:
		g.dropLocked()
	default:
		g.adoptLocked(stored)
	}
}

// take is reconcile for a grant that is not in memory.
func (g *grant) take(before sighting, stored *snapshot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current.Load() == nil && g.sightLocked() == before {
		g.adoptLocked(stored)
	}
}

// isOfLaterSignIn reports whether s comes of the sign-in that ours comes of, so that it is its successor, or of a later one, by the
// server's clock.
func (s *snapshot) isOfLaterSignIn(ours *snapshot) bool {
	if s.account.claims == nil || ours.account.claims == nil {
		return false
	}
	return bytes.Equal(s.account.claims, ours.account.claims) || issuedAt(s.account) > issuedAt(ours.account)
}

func issuedAt(account Account) float64 {
	var claims struct{ IAT float64 }
	_ = account.Claims(&claims)
	return claims.IAT
}
