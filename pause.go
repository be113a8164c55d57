package authcode

import (
	"context"
	"sync"
	"time"

	"github.com/authcode-go/authcode/internal/flight"
)

const (
	longestPause = 60 * time.Second // of a Retry-After, whatever the server says
	longestWait  = 10 * time.Second // for a pause to end, of a caller who has no valid token
)

// pauses keeps the whole process away from a token endpoint that asked to be left alone: a server that throttles one
// user throttles the app, and a crowd that knocks again makes it worse.
var pauses pauseBoard

// pauseBoard is keyed by the URL of the token endpoint. The zero value is ready.
type pauseBoard struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// begin records a Retry-After. A longer pause that is under way stays.
func (b *pauseBoard) begin(tokenURL string, retryAfter time.Duration) {
	if retryAfter <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for other, end := range b.until { // few: only endpoints that throttle are here
		if !now.Before(end) {
			delete(b.until, other)
		}
	}
	end := now.Add(retryAfter)
	if b.until[tokenURL].After(end) {
		return
	}
	if b.until == nil {
		b.until = make(map[string]time.Time)
	}
	b.until[tokenURL] = end
}

// left gives how long the pause goes on, and an error that says so. It holds nothing of the answer that began the pause, which
// may have been another user's.
func (b *pauseBoard) left(tokenURL string) (time.Duration, error) {
	b.mu.Lock()
	end, ok := b.until[tokenURL]
	b.mu.Unlock()
	left := time.Until(end)
	if !ok || left <= 0 {
		return 0, nil
	}
	return left, &AuthenticationFailedError{
		RetryAfter: left,
		doing:      "a request to " + hostOf(tokenURL),
		what:       "the server asked to be left alone for " + left.Round(time.Second).String() + ", so nothing was sent",
		next:       "try again then",
	}
}

// wait lets a short pause pass. It gives the pause's error at once if the pause or the context's time is too short to
// wait for.
func (b *pauseBoard) wait(ctx context.Context, tokenURL string) error {
	left, err := b.left(tokenURL)
	if left == 0 {
		return nil
	}
	deadline, limited := ctx.Deadline()
	if left > longestWait || limited && time.Until(deadline) < left {
		return err
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return flight.Ended(ctx)
	}
}
