package e2e

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

const leaseTime = 15 * time.Second // authcode's

// TestFleetAtASlowServer is threats row 99: replicas that need a token at once send one request, though it takes as long as a
// refresh may.
func TestFleetAtASlowServer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetSize)
	redis, postgres := startRedis(t), startPostgres(t, "max_connections=300")
	crews := map[string]struct {
		latency  time.Duration
		rotation entratest.Rotation
		store    storeSpec
	}{
		"3s refuse redis":       {3 * time.Second, entratest.RotationRefuse, redis},
		"3s revoke postgres":    {3 * time.Second, entratest.RotationRevokeFamily, postgres},
		"10s revoke redis":      {10 * time.Second, entratest.RotationRevokeFamily, redis},
		"10s as Entra postgres": {10 * time.Second, entratest.RotationKeep, postgres},
	}
	together(t, slices.Sorted(maps.Keys(crews)), func(t *testing.T, name string) {
		is := crews[name]
		c := f.newCrew(t, crewSpec{"authcode", is.store, name, is.rotation, 3, 1})
		c.provider.set(func() { c.provider.latency, c.provider.lifetime = constantly(is.latency), time.Hour })
		f.expire(t, c)
		c.check(t)
		if slices.Max(c.latencies) < is.latency {
			t.Errorf("the longest wait was %v: nobody asked the server", slices.Max(c.latencies))
		}
	})
}

// TestFleetAtASilentServer is the same row: where no answer comes, each request gives up before its lease ends, and no two are in
// flight.
func TestFleetAtASilentServer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	onStores(t, func(t *testing.T, store storeSpec) {
		c := f.newCrew(t, crewSpec{"authcode", store, "is silent", entratest.RotationRevokeFamily, 1, 1})
		c.provider.set(func() { c.provider.latency = constantly(time.Minute) })
		c.provider.awaitExpiry()
		began := time.Now()
		answers := onAll(t, f.workers, func(*worker) workerCommand {
			return workerCommand{Op: "tokens", App: c.name, Users: c.provider.accounts(), Timeout: 30 * time.Second}
		})
		for _, a := range answers {
			if call := a.Calls[0]; call.Kind == "" || call.Kind == kindLost || call.Elapsed > 2*leaseTime {
				t.Errorf("after %v a caller got %q: %s", call.Elapsed, call.Kind, call.Error)
			}
		}
		c.checkTurns(t, began)
	})
}

// checkTurns looks at the requests of one user since a time.
func (c *crew) checkTurns(t *testing.T, since time.Time) {
	t.Helper()
	refreshes := c.provider.refreshes(since)
	if len(refreshes) < 2 {
		t.Errorf("%d requests: the next replica did not have its turn", len(refreshes))
	}
	for i, x := range refreshes {
		if x.ended.IsZero() {
			x.ended = time.Now()
		}
		if took := x.ended.Sub(x.began); took >= leaseTime {
			t.Errorf("%s's request took %v, the lease %v", x.worker, took, leaseTime)
		}
		if i+1 < len(refreshes) && refreshes[i+1].began.Before(x.ended) {
			t.Errorf("%s's request began %v before %s's ended", refreshes[i+1].worker, x.ended.Sub(refreshes[i+1].began), x.worker)
		}
	}
}
