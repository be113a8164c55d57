package authcode

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	storeTime   = 5 * time.Second  // one call of the store
	silentTime  = time.Second      // one call soon after one that got no answer
	silenceLast = 10 * time.Second // how soon that is; then one call has its whole time again
)

// patience is how long the store is waited for. One whose network went dead in silence answers nothing, and a refresh asks it three
// times: a caller would wait for each, and so would the next one. The zero value is ready.
type patience struct {
	silentUntil atomic.Int64 // on the monotonic clock; 0: it answered last
}

// inTime bounds one call of the store, and notes whether that got an answer.
func (a *App) inTime(ctx context.Context) (context.Context, func()) {
	most := a.patience.most(time.Now())
	bounded, cancel := context.WithTimeout(ctx, most)
	return bounded, func() {
		switch {
		case bounded.Err() == nil:
			a.patience.silentUntil.Store(0)
		case ctx.Err() == nil && most == storeTime:
			a.patience.silentUntil.Store(int64(time.Since(processStart) + silenceLast))
		}
		cancel()
	}
}

func (p *patience) most(now time.Time) time.Duration {
	if until := p.silentUntil.Load(); until != 0 && int64(now.Sub(processStart)) < until {
		return silentTime
	}
	return storeTime
}
