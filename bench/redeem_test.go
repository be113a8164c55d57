package bench

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
)

const (
	callers      = 64
	codesAtOnce  = 1_500 // of one row, in one round
	redeemRounds = 11
	signedIn     = 1_000 // users
)

// BenchmarkRedeem is the redemption of a code by 64 callers over kept TLS connections, with the server in another process:
// the figure that counts is the processor time of this one. The rows take turns in rounds of 1,500 codes; what is reported is
// the median of the rounds, and of the ratios to the bare row of the same round.
func BenchmarkRedeem(b *testing.B) {
	if _, ok := processCPU(); !ok {
		b.Skip("processor time cannot be measured here")
	}
	for _, protocol := range []struct {
		name  string
		http2 bool
	}{{"h1", false}, {"h2", true}} {
		b.Run(protocol.name, func(b *testing.B) {
			r := startServer(b)
			client := r.client(b, protocol.http2)
			redeemers, app := newRedeemers(b, r, client)
			costs := make([][]cost, len(redeemers))
			for round := range redeemRounds + 1 { // the first one makes the connections
				for i := range redeemers {
					k := (i + round) % len(redeemers)
					c, err := measure(b, r, client, app, redeemers[k])
					if err != nil {
						b.Fatal(err)
					}
					if round > 0 {
						costs[k] = append(costs[k], c)
					}
				}
			}
			for k, w := range redeemers {
				b.Run(w.name, func(b *testing.B) { report(b, costs[k], costs[0]) })
			}
		})
	}
}

// cost is that of one code, on average of a round.
type cost struct{ allocs, bytes, cpu, wall float64 }

// measure redeems a round's codes. The profile's samples are labelled with the row, for pprof's -tagfocus.
func measure(b *testing.B, r *remote, client *http.Client, app *authcode.App, w redeemer) (cost, error) {
	signIns, err := newSignIns(b.Context(), r, client, app, codesAtOnce, w.verifies)
	if err != nil {
		return cost{}, err
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpuBefore, _ := processCPU()
	began := time.Now()
	pprof.Do(b.Context(), pprof.Labels("row", w.name), func(ctx context.Context) {
		err = redeemAll(ctx, w, signIns)
	})
	wall := time.Since(began)
	cpuAfter, _ := processCPU()
	runtime.ReadMemStats(&after)
	n := float64(len(signIns))
	return cost{
		allocs: float64(after.Mallocs-before.Mallocs) / n,
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) / n,
		cpu:    (cpuAfter - cpuBefore).Seconds() * 1e6 / n,
		wall:   float64(wall.Nanoseconds()) / n,
	}, err
}

// newSignIns takes users as far as the callback, which is not measured.
func newSignIns(ctx context.Context, r *remote, client *http.Client, app *authcode.App, n int, signed bool) ([]signIn, error) {
	signIns := make([]signIn, n)
	nonces := make(map[string]int, n)
	for i := range signIns {
		flow, err := app.Begin(&authcode.BeginOptions{Scopes: graphScopes})
		if err != nil {
			return nil, err
		}
		user := i % signedIn
		nonces[flow.Nonce] = user
		code := codeText(user, flow.Nonce)
		signIns[i] = signIn{code: code, callback: url.Values{"code": {code}, "state": {flow.State}}, flow: flow}
	}
	if !signed {
		return signIns, nil
	}
	return signIns, r.authorize(ctx, client, nonces)
}

func redeemAll(ctx context.Context, w redeemer, signIns []signIn) error {
	var next atomic.Int64
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(signIns) {
					return
				}
				if err := w.redeem(ctx, signIns[i]); err != nil {
					errs[caller] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// report gives what was measured before as a benchmark's result, in a line that benchstat reads.
func report(b *testing.B, costs, base []cost) {
	of := func(costs []cost, value func(cost) float64) []float64 {
		var values []float64
		for _, c := range costs {
			values = append(values, value(c))
		}
		return values
	}
	b.ReportAllocs()
	cpu := func(c cost) float64 { return c.cpu }
	toBare := ratios(of(costs, cpu), of(base, cpu))
	b.ReportMetric(median(of(costs, func(c cost) float64 { return c.wall })), "ns/op")
	b.ReportMetric(median(of(costs, func(c cost) float64 { return c.allocs })), "allocs/op")
	b.ReportMetric(median(of(costs, func(c cost) float64 { return c.bytes })), "B/op")
	b.ReportMetric(median(of(costs, cpu)), "cpu-µs/op")
	b.ReportMetric(median(toBare), "x-bare")
	b.ReportMetric(slices.Min(toBare), "x-bare-min")
	b.ReportMetric(slices.Max(toBare), "x-bare-max")
}
