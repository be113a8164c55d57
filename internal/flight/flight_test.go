package flight_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/authcode-go/authcode/internal/flight"
)

func TestTurnsShareOneCallPerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns flight.Turns[string, int]
		var ran atomic.Int32
		release := make(chan struct{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				got, err := turns.Do(t.Context(), "a", func(context.Context) (int, error) {
					<-release
					return int(ran.Add(1)), nil
				})
				if got != 1 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if ran.Load() != 1 {
			t.Errorf("ran %d times, want 1", ran.Load())
		}
	})
}

func TestTurnsRunDifferentKeysInOrderOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns flight.Turns[string, string]
		var order []string // written by one call at a time: the race detector is the check
		release := make(chan struct{})
		var wg sync.WaitGroup
		for _, key := range []string{"a", "b", "c"} {
			wg.Go(func() {
				_, _ = turns.Do(t.Context(), key, func(context.Context) (string, error) {
					if key == "a" {
						<-release
					}
					order = append(order, key)
					return key, nil
				})
			})
			synctest.Wait()
		}
		close(release)
		wg.Wait()
		if want := []string{"a", "b", "c"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestACallerWhoLeavesDoesNotStopTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns flight.Turns[string, int]
		release := make(chan struct{})
		work := func(ctx context.Context) (int, error) {
			<-release
			return 7, ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := turns.Do(ctx, "a", work)
			left <- err
		}()
		synctest.Wait()
		stayed := make(chan int, 1)
		go func() {
			v, _ := turns.Do(t.Context(), "a", work)
			stayed <- v
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled caller got %v", err)
		}
		close(release)
		if v := <-stayed; v != 7 {
			t.Errorf("the other caller got %d, want 7", v)
		}
	})
}

func TestAQueuedCallNobodyWaitsForIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns flight.Turns[string, int]
		release := make(chan struct{})
		turns.Start(t.Context(), "running", func(context.Context) (int, error) { <-release; return 0, nil })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := turns.Do(ctx, "queued", func(context.Context) (int, error) {
			t.Error("ran though its only caller had left")
			return 0, nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(release)
		synctest.Wait()
	})
}

func TestStartKeepsAQueuedCallThatItsCallersLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns flight.Turns[string, int]
		release := make(chan struct{})
		var ran atomic.Bool
		turns.Start(t.Context(), "running", func(context.Context) (int, error) { <-release; return 0, nil })
		work := func(context.Context) (int, error) { ran.Store(true); return 0, nil }
		turns.Start(t.Context(), "queued", work)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = turns.Do(ctx, "queued", work)
		close(release)
		synctest.Wait()
		if !ran.Load() {
			t.Error("the started call was dropped with a caller of it")
		}
	})
}

func TestPanicAndGoexitReachCallersAsErrors(t *testing.T) {
	works := map[string]flight.Work[int]{
		"panic":  func(context.Context) (int, error) { panic("secret") },
		"goexit": func(context.Context) (int, error) { runtime.Goexit(); return 0, nil },
	}
	for name, work := range works {
		t.Run(name, func(t *testing.T) {
			var turns flight.Turns[string, int]
			var shared flight.Shared[string, int]
			_, err1 := turns.Do(t.Context(), "a", work)
			_, err2 := shared.Do(t.Context(), "a", work)
			for _, err := range []error{err1, err2} {
				if err == nil || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v, want an error without the panic's value", err)
				}
			}
			if v, err := turns.Do(t.Context(), "a", func(context.Context) (int, error) { return 1, nil }); v != 1 || err != nil {
				t.Errorf("the next turn got %d, %v", v, err)
			}
		})
	}
}

func TestSharedRunsDifferentKeysSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shared flight.Shared[string, int]
		var running, most atomic.Int32
		release := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, _ = shared.Do(t.Context(), string(rune('a'+i%2)), func(context.Context) (int, error) {
					most.Store(max(most.Load(), running.Add(1)))
					<-release
					return 0, nil
				})
			})
			synctest.Wait()
		}
		close(release)
		wg.Wait()
		if most.Load() != 2 {
			t.Errorf("%d ran at once, want 2", most.Load())
		}
	})
}

type valueKey struct{}

func TestTheCallKeepsTheValuesOfItsFirstCaller(t *testing.T) {
	var turns flight.Turns[string, any]
	ctx := context.WithValue(t.Context(), valueKey{}, "trace")
	if v, _ := turns.Do(ctx, "a", func(ctx context.Context) (any, error) { return ctx.Value(valueKey{}), nil }); v != "trace" {
		t.Errorf("got %v", v)
	}
}
