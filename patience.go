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

// inTime bounds one call of the store; done is told how it ended.
func (a *App) inTime(ctx context.Context) (bounded context.Context, done func(error)) {
	began := time.Now()
	most := a.patience.most(began)
	bounded, cancel := context.WithTimeout(ctx, most)
	return bounded, func(err error) {
		cancel()
		switch took := time.Since(began); {
		case err != nil && ctx.Err() != nil: // the caller left, which says nothing of the store
		case err == nil || took < silentTime: // a refusal is an answer
			a.patience.silentUntil.Store(0)
		case most == storeTime:
			a.patience.silentUntil.Store(int64(time.Since(processStart) + silenceLast))
		}
	}
}

// most is a call's time. When the silence has lasted, one of those who come tries whether it is over.
func (p *patience) most(now time.Time) time.Duration {
	until, since := p.silentUntil.Load(), now.Sub(processStart)
	if until == 0 || int64(since) >= until && p.silentUntil.CompareAndSwap(until, int64(since+silenceLast)) {
		return storeTime
	}
	return silentTime
}
