package e2e

import (
	"context"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/authcode-go/authcode"
)

// load is callers that ask for tokens without end, until it is stopped.
type load struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	lost   func(callDone) // is called whenever somebody must sign in

	mu   sync.Mutex
	done loadDone
}

// loadDone is how they fared.
type loadDone struct {
	Calls  int
	Kinds  map[string]int      // errors by kind
	Errors map[string][]string // by kind: the first few
	Slow   time.Duration       // the slowest call that got a token
}

const loadPause = 5 * time.Millisecond // about, between two calls of one caller

func startLoad(r replica, c workerCommand, lost func(callDone)) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel, lost: lost, done: loadDone{Kinds: map[string]int{}, Errors: map[string][]string{}}}
	for range c.Callers {
		l.ended.Go(func() {
			for ctx.Err() == nil {
				l.count(getToken(r, c.Users[rand.IntN(len(c.Users))], c.Timeout))
				select {
				case <-ctx.Done():
				case <-time.After(loadPause/2 + rand.N(loadPause)):
				}
			}
		})
	}
	return l
}

func (l *load) count(d callDone) {
	if d.Kind == kindLost {
		l.lost(d)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done.Calls++
	if d.Kind == "" {
		l.done.Slow = max(l.done.Slow, d.Elapsed)
		return
	}
	l.done.Kinds[d.Kind]++
	if errors := l.done.Errors[d.Kind]; len(errors) < 3 {
		l.done.Errors[d.Kind] = append(errors, d.Error)
	}
}

// stop ends the callers; nil is none.
func (l *load) stop() *loadDone {
	if l == nil {
		return nil
	}
	l.cancel()
	l.ended.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return &l.done
}

// redeemAll redeems callbacks, all at once.
func redeemAll(r replica, c workerCommand) []callDone {
	app := r.(*appReplica)
	calls := make([]callDone, len(c.Sealed))
	var callers sync.WaitGroup
	for i := range c.Sealed {
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
			defer cancel()
			began := time.Now()
			calls[i] = done("", began, redeemOne(ctx, app.App, c.Sealed[i], c.Queries[i]))
		})
	}
	callers.Wait()
	return calls
}

func redeemOne(ctx context.Context, app *authcode.App, sealed, query string) error {
	flow, err := app.OpenFlow(sealed)
	if err != nil {
		return err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	_, err = app.Redeem(ctx, flow, values)
	return err
}
