package authcode

import (
	"crypto/sha256"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode/internal/flight"
)

const (
	maxCachedTokens = 32             // per grant
	markLifetime    = 24 * time.Hour // longer than any token Entra issues alongside a dead grant is good for
)

// grant is what a redeemed code left us of one user. Readers take the snapshot and no lock; writers hold mu for a
// moment, never across I/O, and publish a new snapshot.
type grant struct {
	current atomic.Pointer[snapshot] // nil: no grant in memory; first, so that a cached GetToken finds it in one load

	app    *App
	turns  flight.Turns[turnKey, outcome] // one request to the token endpoint at a time
	jitter float64
	wanted atomic.Bool // by somebody who asked the App for it, since it was last asked whether it may leave

	mu         sync.Mutex
	accountID  string    // whose grant it is; "" until a plain credential's answer says so
	code       *heldCode // not redeemed yet; nil in Apps
	drops      uint64    // counts removals
	generation uint64    // counts redemptions, removals and adoptions: a refresh that began before one is outranked
	unsaved    *unsaved  // the snapshot is newer than the store's record; nil: it is not, or there is no store
	kept       *lease    // of a refresh whose outcome could not be written: no other replica is to spend its refresh token
}

// snapshot is one immutable state of a grant. It is 128 bytes, which the allocator lays on two neighbouring cache lines: with a
// million accounts each further line that a cached GetToken touched would be a trip to memory.
type snapshot struct {
	first cachedToken   // the newest; apart, so that the hot path finds it without another load
	look  time.Duration // on the monotonic clock: when the store is looked at again; never without one
	*holding
}

// holding is what a cached GetToken does not need.
type holding struct {
	account      Account // ID "": the server did not say who it is
	identity     identity
	mark         *mark         // sign-in required
	others       []cachedToken // newest first
	refreshToken string
	renewed      time.Time // last redemption or refresh
	tenant       string    // where it was redeemed: identity is of there
	unknown      []byte    // fields of a later schema of the record, kept
	version      string    // of the record that this is; "": of none yet
}

// mark says that a refresh token died: the user must sign in. It is kept, and the token never sent again.
type mark struct {
	cause *AuthenticationFailedError
	at    time.Time
	dead  [sha256.Size]byte // the hash of the token
}

// cachedToken is an access token and what it may be used for.
type cachedToken struct {
	access azcore.AccessToken
	life   life
	key    *tokenKey
	retry  *retryTime
}

// retryTime is when a stale token may be refreshed behind its callers' backs, on the monotonic clock: one of them wins each
// attempt, the others go on with the token they have.
type retryTime struct {
	notBefore atomic.Int64
	received  time.Time // the token's: what tells the newer of two; here because only refreshes ask
}

func newRetryTime(received time.Time) *retryTime {
	r := &retryTime{received: received}
	r.notBefore.Store(math.MinInt64) // at once
	return r
}

func (t *cachedToken) received() time.Time { return t.retry.received }

func (r *retryTime) claim(now time.Time) bool {
	at, due := int64(now.Sub(processStart)), r.notBefore.Load()
	return at >= due && r.notBefore.CompareAndSwap(due, at+int64(retryStale))
}

func (r *retryTime) holdOff(now time.Time, wait time.Duration) {
	r.notBefore.Store(int64(now.Sub(processStart) + wait))
}

// tokenKey is what tells access tokens apart: tenant, scope set and CAE mode. It is shared by all accounts that ask
// for the same, so that it stays in the processor's cache.
type tokenKey struct {
	asked  []string // the scopes as asked for, in the caller's order
	cae    bool
	home   bool // tenant is the one that a call without tenant means
	id     string
	set    []string
	tenant string
}

func newTokenKey(tenantID string, home bool, scopes []string, cae bool) *tokenKey {
	k := &tokenKey{asked: slices.Clone(scopes), cae: cae, home: home, set: scopeSet(scopes), tenant: tenantID}
	k.id = strings.Join([]string{modeName(cae), strings.ToLower(tenantID), strings.Join(k.set, " ")}, " ")
	return k
}

func modeName(cae bool) string {
	if cae {
		return "cae"
	}
	return "plain"
}

// isAsked reports whether the call is word for word the one this key was made for. It is in the hot path.
func (k *tokenKey) isAsked(o *policy.TokenRequestOptions) bool {
	return k.cae == o.EnableCAE && (k.home && o.TenantID == "" || o.TenantID == k.tenant) && slices.Equal(k.asked, o.Scopes)
}

// serves reports whether a token under this key is one the call may have: the same tenant and mode, and the scopes
// asked for among its own, whatever their case and whatever the server called them in its answer.
func (k *tokenKey) serves(o *policy.TokenRequestOptions) bool {
	if k.cae != o.EnableCAE || !(k.home && o.TenantID == "") && !strings.EqualFold(o.TenantID, k.tenant) {
		return false
	}
	resourceScopes := 0
	for _, scope := range o.Scopes {
		if isReserved(scope) {
			continue
		}
		resourceScopes++
		if !containsFold(k.set, scope) {
			return false
		}
	}
	return resourceScopes > 0 || len(o.Scopes) > 0 && len(k.set) == 0
}

// lookup finds the newest token that serves the call and has not expired: what was obtained last, for claims perhaps, stands
// before what was there.
func (s *snapshot) lookup(o *policy.TokenRequestOptions, now time.Time) (*cachedToken, freshness) {
	for i := -1; i < len(s.others); i++ {
		token := &s.first
		if i >= 0 {
			token = &s.others[i]
		}
		if token.key == nil || !token.key.serves(o) {
			continue
		}
		if f := token.life.at(now); f != expired {
			return token, f
		}
	}
	return nil, expired
}

// with gives the next snapshot: the token first, an older one under its key gone, the expired and the oldest gone
// where there are too many. held becomes the snapshot's own.
func (s *snapshot) with(token cachedToken, now time.Time, held *holding) *snapshot {
	next := &snapshot{first: token, holding: held}
	held.others = nil
	if s == nil {
		return next
	}
	keep := func(old cachedToken) {
		if old.key != nil && old.key.id != token.key.id && old.life.at(now) != expired && len(held.others) < maxCachedTokens-1 {
			held.others = append(held.others, old)
		}
	}
	keep(s.first)
	for _, old := range s.others {
		keep(old)
	}
	return next
}

// state is what a writer starts from.
func (g *grant) state() (*snapshot, uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current.Load(), g.generation
}

// newToken makes a cached token of an answer.
func (g *grant) newToken(key *tokenKey, answer *tokenAnswer) cachedToken {
	plan, refreshOn := lifeOf(answer.received, answer.expiresIn, answer.refreshIn, g.jitter)
	return cachedToken{
		access: azcore.AccessToken{
			Token:     answer.accessToken,
			ExpiresOn: answer.received.Add(answer.expiresIn).Round(0).UTC(),
			RefreshOn: refreshOn.Round(0).UTC(),
		},
		key:   key,
		life:  plan,
		retry: newRetryTime(answer.received),
	}
}

// publish makes a snapshot the current one; the caller holds mu. Without a store nobody ever looks again.
func (g *grant) publish(s *snapshot, now time.Time) {
	s.look = math.MaxInt64
	if g.app.store != nil {
		s.look = now.Sub(processStart) + lookAgain
	}
	g.current.Store(s)
}

// begin puts a newly redeemed grant in the place of whatever was there. It outranks a refresh in flight: what a user
// has just signed in for must not be overwritten by what they had before.
func (g *grant) begin(key *tokenKey, answer *tokenAnswer, account Account, who identity) (cachedToken, error) {
	token := g.newToken(key, answer)
	held := &holding{account: account, identity: who, refreshToken: answer.refreshToken, renewed: answer.received, tenant: key.tenant}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.app.refusesTokens() {
		return cachedToken{}, ErrClosed
	}
	old := g.current.Load()
	if old != nil {
		held.version = old.version
	}
	g.accountID = account.ID
	g.code = nil
	g.generation++
	g.publish((*snapshot)(nil).with(token, answer.received, held), answer.received)
	g.owe(unsaved{base: held.version, signIn: true})
	return token, nil
}

// drop removes the grant from memory, and makes sure that no refresh in flight brings it back.
func (g *grant) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropLocked()
}

func (g *grant) dropLocked() {
	g.code = nil
	g.drops++
	g.generation++
	g.unsaved = nil
	g.current.Store(nil)
}

// removals counts how often the grant was dropped: a sign-in that was ended is not brought back by its old callback.
func (g *grant) removals() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.drops
}

// renew keeps what a refresh brought, and whose it is if that was not known. One that was outranked meanwhile keeps nothing; its
// caller still gets the token, unless the account was forgotten.
func (g *grant) renew(generation uint64, key *tokenKey, answer *tokenAnswer, account Account, who identity) (cachedToken, error) {
	token := g.newToken(key, answer)
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.current.Load()
	switch {
	case g.app.refusesTokens():
		return cachedToken{}, ErrClosed
	case now == nil:
		return cachedToken{}, ErrUnknownAccount
	case g.generation != generation:
		return token, nil
	}
	held := *now.holding
	held.renewed = answer.received
	if held.account.ID == "" {
		held.account, held.identity = account, who
		g.accountID = account.ID
	}
	if answer.refreshToken != "" { // RFC 6749 section 6: a new one replaces the old, none means go on with the old
		held.refreshToken = answer.refreshToken
	}
	g.publish(now.with(token, answer.received, &held), answer.received)
	g.owe(unsaved{base: held.version, spent: [][sha256.Size]byte{sha256.Sum256([]byte(now.refreshToken))}})
	return token, nil
}

// markDead records that the refresh token was refused for good. A grant that has moved on since is left alone: then it reports
// false, and the refusal says nothing of it.
func (g *grant) markDead(generation uint64, cause *AuthenticationFailedError) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.current.Load()
	if now == nil || g.generation != generation {
		return false
	}
	held := *now.holding
	held.mark = &mark{cause: cause, at: time.Now(), dead: sha256.Sum256([]byte(held.refreshToken))}
	held.refreshToken = "" // it is of no use to anyone any more
	g.publish(&snapshot{first: now.first, holding: &held}, held.mark.at)
	g.owe(unsaved{base: held.version})
	return true
}

// isUseless reports whether nothing can be had from the grant without the user: it is marked and its tokens have
// expired, or it was idle for so long that the server forgot it.
func (g *grant) isUseless(now time.Time) bool {
	s := g.current.Load()
	if s == nil {
		return true // another replica forgot it
	}
	if now.Sub(s.renewed) > idleLifetime {
		return true
	}
	return s.mark != nil && now.Sub(s.mark.at) > markLifetime
}
