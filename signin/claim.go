package signin

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/authcode-go/authcode"
)

const (
	claimLifetime = 20 * time.Minute // longer than a flow
	claimPatience = 35 * time.Second // longer than a redemption: by then the replica that claimed has died
	shortPoll     = 10 * time.Millisecond
	longPoll      = 200 * time.Millisecond
	maxTries      = 4 // of one callback, by whichever replica; the App sends its code at most twice
)

// outcome is what a callback led to.
type outcome struct {
	failed    PageKind // "": there is a session
	reference string   // of the failure, for the page and the log
	again     bool     // the same callback may be tried again
	claims    string   // what the server wants the sign-in to prove first
}

// claim is a callback in the store: who works at it, or what came of it. It is what makes a code be redeemed once, whatever the
// number of duplicates and replicas.
type claim struct {
	Claims    string   `json:"claims,omitempty"`
	Done      bool     `json:"done,omitempty"`
	Failed    PageKind `json:"failed,omitempty"`
	Open      bool     `json:"open,omitempty"` // an attempt ended without a result: nothing was sent, or the answer was lost
	Owner     string   `json:"owner"`
	Reference string   `json:"reference,omitempty"`
	Tries     int      `json:"tries"`
}

// claimed does the work of a callback if nobody else does or has, and gives what came of it. Callers in this process share one.
func (h *Handler) claimed(ctx context.Context, state stateHash, exists func(context.Context) (bool, error), work func(context.Context) outcome) (outcome, error) {
	return h.landings.Do(ctx, state, func(ctx context.Context) (outcome, error) {
		key := h.storeKey(kindCallback, string(state[:]))
		var watched string
		var since time.Time
		for poll := shortPoll; ; poll = min(2*poll, longPoll) {
			var found claim
			version, there, err := h.read(ctx, kindCallback, key, &found)
			switch {
			case errors.Is(err, authcode.ErrBrokenSeal):
				return outcome{failed: PageMismatch}, err
			case err != nil:
				return outcome{}, err
			case found.Done:
				return outcome{claims: found.Claims, failed: found.Failed, reference: found.Reference}, nil
			}
			if version != watched {
				watched, since = version, time.Now()
			}
			if there && found.Owner != h.replica && !found.Open && time.Since(since) < claimPatience {
				if err := pause(ctx, poll/2+rand.N(poll/2+1)); err != nil {
					return outcome{}, err
				}
				continue
			}
			mine := claim{Owner: h.replica, Tries: found.Tries + 1}
			version, swapped, err := h.swap(ctx, kindCallback, key, version, mine, claimLifetime)
			if err != nil {
				return outcome{}, err
			}
			if swapped {
				return h.landClaimed(ctx, key, version, mine, exists, work)
			}
		}
	})
}

// landClaimed does the work and says what came of it.
func (h *Handler) landClaimed(ctx context.Context, key, version string, c claim, exists func(context.Context) (bool, error), work func(context.Context) outcome) (outcome, error) {
	if c.Tries > 1 { // the one before may have died between the session and its word
		there, err := exists(ctx)
		if err != nil {
			return outcome{}, err
		}
		if there {
			work = func(context.Context) outcome { return outcome{} }
		}
	}
	result := work(ctx)
	if result.again && c.Tries >= maxTries {
		result.again = false
	}
	c.Done, c.Open, c.Claims, c.Failed, c.Reference = !result.again, result.again, result.claims, result.failed, result.reference
	if _, _, err := h.swap(ctx, kindCallback, key, version, c, claimLifetime); err != nil {
		// Duplicates elsewhere wait for as long as a replica may take, and then find the session.
		h.options.Logger.WarnContext(ctx, "signin: a callback's result could not be stored", "error", err)
	}
	return result, nil
}
