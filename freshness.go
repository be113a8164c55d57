package authcode

import (
	"math/rand/v2"
	"time"
)

// freshness is what a cached token is worth to a caller.
type freshness int

const (
	fresh   freshness = iota // returned as it is
	stale                    // returned as it is, while one refresh runs behind the caller's back
	expired                  // callers wait for a refresh
)

const (
	staleBefore   = 5 * time.Minute  // expiry, of a token whose server gave no refresh_in
	shortLived    = 10 * time.Minute // tokens shorter than this are stale at half their life
	expiredEarly  = 10 * time.Second // or a quarter of the life, so that a token does not expire on its way
	mostJitter    = 0.05             // of the lifetime, or a tenth of refresh_in, so that tokens got together are not refreshed together
	lookAgain     = 5 * time.Minute  // between two looks at what the store has of a grant that is in use
	retryStale    = 30 * time.Second // between two attempts to refresh a stale token, after a failure
	refreshWindow = 12 * time.Second // a refresh in all, tries and waits included
	redeemWindow  = 30 * time.Second // a redemption in all
	documentTime  = 10 * time.Second // reading metadata or keys in all
)

// processStart anchors moments to the monotonic clock.
var processStart = time.Now()

// moment is a point in time on both clocks. It has come when either says so: setting the wall clock back makes no
// token eternal, and a machine that slept does not wake with tokens that look young.
type moment struct {
	wall int64 // nanoseconds since 1970
	mono time.Duration
}

func momentAt(t time.Time) moment {
	return moment{wall: t.UnixNano(), mono: t.Sub(processStart)}
}

// passed is in the hot path: two comparisons.
func (m moment) passed(now time.Time) bool {
	return now.UnixNano() >= m.wall || now.Sub(processStart) >= m.mono
}

// life is when a token turns stale and when it expires.
type life struct{ stale, expired moment }

func (l life) at(now time.Time) freshness {
	switch {
	case !l.stale.passed(now):
		return fresh
	case !l.expired.passed(now):
		return stale
	}
	return expired
}

// lifeOf plans a token's life and gives the moment it turns stale as the time a caller sees (RefreshOn).
// jitter is between 0 and 1 and the same for all tokens of an account.
func lifeOf(received time.Time, expiresIn, refreshIn time.Duration, jitter float64) (life, time.Time) {
	refreshIn = staleAfter(expiresIn, refreshIn)
	refreshIn -= time.Duration(jitter * min(mostJitter*float64(expiresIn), float64(refreshIn)/10))
	usable := usableOf(expiresIn)
	refreshOn := received.Add(min(refreshIn, usable))
	return life{stale: momentAt(refreshOn), expired: momentAt(received.Add(usable))}, refreshOn
}

func usableOf(expiresIn time.Duration) time.Duration {
	return expiresIn - min(expiredEarly, expiresIn/4)
}

func staleAfter(expiresIn, refreshIn time.Duration) time.Duration {
	switch {
	case refreshIn > 0:
		return refreshIn
	case expiresIn < shortLived:
		return expiresIn / 2
	}
	return expiresIn - staleBefore
}

func newJitter() float64 { return rand.Float64() }
