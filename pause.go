package authcode

import (
	"context"
	"sync"
	"time"
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
	until map[string]pause
}

type pause struct {
	end   time.Time
	cause *AuthenticationFailedError // the answer that began it
}

// begin records a Retry-After. A longer pause that is under way stays.
func (b *pauseBoard) begin(tokenURL string, cause *AuthenticationFailedError) {
	if cause.RetryAfter <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for other, p := range b.until { // few: only endpoints that throttle are here
		if !now.Before(p.end) {
			delete(b.until, other)
		}
	}
	end := now.Add(cause.RetryAfter)
	if b.until[tokenURL].end.After(end) {
		return
	}
	if b.until == nil {
		b.until = make(map[string]pause)
	}
	b.until[tokenURL] = pause{end, cause}
}

// left gives how long the pause goes on, and as error the answer that began it with the time that is left.
func (b *pauseBoard) left(tokenURL string) (time.Duration, error) {
	b.mu.Lock()
	p, ok := b.until[tokenURL]
	b.mu.Unlock()
	if !ok {
		return 0, nil
	}
	left := time.Until(p.end)
	if left <= 0 {
		return 0, nil
	}
	again := *p.cause
	again.RetryAfter = left
	again.next = "the server asked to be left alone for " + left.Round(time.Second).String() + ": try again then"
	return left, &again
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
		return context.Cause(ctx)
	}
}
