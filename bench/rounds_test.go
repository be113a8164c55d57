package bench

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// row is one of the things that are compared. It does its operation n times, the loop inside, so that no call through a
// pointer is measured; it is given a random of its own.
type row struct {
	name string
	run  func(r *random, n int)
}

const seed = 0x9e3779b97f4a7c15

func (w row) serial(b *testing.B) {
	b.ReportAllocs()
	r := random(seed)
	b.ResetTimer()
	w.run(&r, b.N)
}

// parallel runs the row on all processors, in bursts, so that what RunParallel itself costs is the same small part of every
// row.
func (w row) parallel(b *testing.B) {
	const burst = 64
	b.ReportAllocs()
	var mu sync.Mutex
	seeds := random(seed)
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		seeds.below(1)
		r := seeds
		mu.Unlock()
		n := 0
		for pb.Next() {
			if n++; n == burst {
				w.run(&r, burst)
				n = 0
			}
		}
		w.run(&r, n)
	})
}

const rounds = 21

// compare runs the rows in turns, so that a change of the machine's pace meets all of them, and reports the median time of
// each and the median of the first one's ratio to each other.
func compare(b *testing.B, parallel bool, rows ...row) {
	times := make([][]float64, len(rows))
	batch := max(1, b.N/rounds)
	r := random(seed)
	b.ResetTimer()
	for round := range rounds {
		for i := range rows {
			k := (i + round) % len(rows) // nobody is always the one behind the same other
			times[k] = append(times[k], timed(rows[k], &r, batch, parallel))
		}
	}
	b.ReportMetric(0, "ns/op") // that of all rows together says nothing
	for k, w := range rows {
		b.ReportMetric(median(times[k]), "ns-"+w.name)
		if k > 0 {
			b.ReportMetric(median(ratios(times[0], times[k])), "x-"+w.name)
		}
	}
}

// timed gives nanoseconds per operation, of the clock on the wall.
func timed(w row, r *random, n int, parallel bool) float64 {
	workers := 1
	if parallel {
		workers = runtime.GOMAXPROCS(0)
	}
	var wg sync.WaitGroup
	began := time.Now()
	for range workers - 1 {
		own := random(seed ^ uint64(r.below(1<<30)))
		wg.Go(func() { w.run(&own, n/workers) })
	}
	w.run(r, n-(workers-1)*(n/workers))
	wg.Wait()
	return float64(time.Since(began).Nanoseconds()) / float64(n)
}

func ratios(a, b []float64) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return r
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
