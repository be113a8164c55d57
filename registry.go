package authcode

import (
	"runtime"
	"sync"
	"time"
	"weak"
)

// idleLifetime is how long an unused grant stays: by then Entra refuses its refresh token.
// https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime
const idleLifetime = 90 * 24 * time.Hour

const (
	looksPerSignIn = 4  // at grants that may be of no use any more
	looksForRoom   = 32 // at grants that may be wanted again
)

// registry is the credentials of all accounts of an App, one per account. Those with a grant stay, in front of a Store up to a
// limit; all others stay while somebody holds them, so that a later sign-in reaches them and strangers' IDs cost no memory. The
// zero value is ready.
type registry struct {
	limit int // of known, where there is a Store

	mu      sync.RWMutex
	known   map[string]*AuthorizationCodeCredential
	waiting map[string]weak.Pointer[AuthorizationCodeCredential]
}

// find gives the credential of an account, and makes one without a grant if there is none.
func (r *registry) find(app *App, accountID string) *AuthorizationCodeCredential {
	r.mu.RLock()
	c := r.known[accountID]
	r.mu.RUnlock()
	if c != nil {
		if !c.grant.wanted.Load() { // mostly it is: no write at each request
			c.grant.wanted.Store(true)
		}
		return c
	}
	accountID = accountKey(accountID) // mostly it is found without
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.findLocked(app, accountID)
}

func (r *registry) findLocked(app *App, accountID string) *AuthorizationCodeCredential {
	if c := r.known[accountID]; c != nil {
		return c
	}
	if c := r.waiting[accountID].Value(); c != nil {
		return c
	}
	c := newCredential(app, accountID)
	r.wait(accountID, c)
	return c
}

// wait keeps a credential without a grant findable for as long as somebody holds it.
func (r *registry) wait(accountID string, c *AuthorizationCodeCredential) {
	if r.waiting == nil {
		r.waiting = make(map[string]weak.Pointer[AuthorizationCodeCredential])
	}
	pointer := weak.Make(c)
	r.waiting[accountID] = pointer
	runtime.AddCleanup(c, func(accountID string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.waiting[accountID] == pointer {
			delete(r.waiting, accountID)
		}
	}, accountID)
}

// adopt gives the credential of an account that signed in, to stay. fill puts the grant into it, under the lock, so
// that a Forget comes before or after both.
func (r *registry) adopt(app *App, accountID string, fill func(*AuthorizationCodeCredential) error) (*AuthorizationCodeCredential, error) {
	accountID = accountKey(accountID)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.findLocked(app, accountID)
	if err := fill(c); err != nil {
		return nil, err
	}
	r.keepLocked(app, accountID, c)
	r.sweep()
	return c, nil
}

// keep lets the credential of an account stay whose grant was read from the Store.
func (r *registry) keep(app *App, accountID string) {
	accountID = accountKey(accountID)
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.findLocked(app, accountID); c.grant.current.Load() != nil {
		r.keepLocked(app, accountID, c)
	}
}

func (r *registry) keepLocked(app *App, accountID string, c *AuthorizationCodeCredential) {
	if r.known == nil {
		r.known = make(map[string]*AuthorizationCodeCredential)
	}
	c.grant.wanted.Store(true)
	r.known[accountID] = c
	delete(r.waiting, accountID)
	if app.store != nil && len(r.known) > r.limit {
		r.makeRoom(accountID)
	}
}

// makeRoom lets one go that was not wanted since the hand of the clock last came by; the hand is Go's random order of a map. What the
// Store could not be told is found again all the same: the backlog holds on to it.
func (r *registry) makeRoom(except string) {
	looks := looksForRoom
	for range 2 { // of a few accounts each may have been wanted: the hand comes by again
		for accountID, c := range r.known {
			if accountID == except {
				continue
			}
			if looks--; looks <= 0 || !c.grant.wanted.Swap(false) {
				r.releaseLocked(accountID, c)
				return
			}
		}
	}
}

// forget drops an account's grant. Whoever holds its credential keeps it, without a grant, and a new sign-in revives
// it.
func (r *registry) forget(accountID string) {
	accountID = accountKey(accountID)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.known[accountID]
	if c != nil {
		r.releaseLocked(accountID, c)
	} else {
		c = r.waiting[accountID].Value()
	}
	if c != nil {
		c.grant.drop()
	}
}

func (r *registry) releaseLocked(accountID string, c *AuthorizationCodeCredential) {
	delete(r.known, accountID)
	r.wait(accountID, c)
}

// all gives every credential there is, for Close.
func (r *registry) all() []*AuthorizationCodeCredential {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []*AuthorizationCodeCredential
	for _, c := range r.known {
		all = append(all, c)
	}
	for _, pointer := range r.waiting {
		if c := pointer.Value(); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// sweep looks at a few grants at each sign-in and lets go of those that are of no use: the work is spread, and nothing
// runs in the background. Go's maps are ranged over from a random place, so every grant has its turn.
func (r *registry) sweep() {
	looks := looksPerSignIn
	now := time.Now()
	for accountID, c := range r.known {
		if c.grant.isUseless(now) {
			r.releaseLocked(accountID, c)
		}
		if looks--; looks == 0 {
			return
		}
	}
}
