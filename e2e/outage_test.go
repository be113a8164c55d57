//go:build unix

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

const (
	outageWorkers = 4
	outageUsers   = 12
)

// outage is replicas whose store goes away under load. There are four kinds of users.
type outage struct {
	*fleet
	ways  []*faultyWay
	store *mortalStore
	// valid have tokens for the whole time, and are in every replica's memory; expiring are in memory, too, and their tokens have
	// expired; unknown have signed in, and no replica has seen them. At the server of strict a refresh token is good once, and some
	// are being refreshed as the store goes.
	valid, expiring, unknown, strict *outageCrew
}

// outageCrew is an app with one kind of users.
type outageCrew struct {
	name     string
	provider *provider
	front    *appReplica // past the proxies
	before   map[string]string
}

// TestStoreOutage is threats row 97: the store is away for a while under load. Requests with a valid token are served, nobody is signed
// out, those who cannot be served are told that it is the store, and what was refreshed meanwhile is stored when it is back.
func TestStoreOutage(t *testing.T) {
	lasts := leaseTime + 2*time.Second
	if *long {
		lasts = time.Minute
	}
	ways := map[string]func(*outage) (back func()){
		"redis killed":       (*outage).kill,
		"redis half-open":    (*outage).mute,
		"postgres killed":    (*outage).kill,
		"postgres half-open": (*outage).mute,
	}
	together(t, []string{"redis killed", "redis half-open", "postgres killed", "postgres half-open"}, func(t *testing.T, name string) {
		kind := "redis"
		if name[0] == 'p' {
			kind = "postgres"
		}
		o := newOutage(t, kind)
		o.expiring.provider.awaitExpiry()
		o.expiring.provider.set(func() { o.expiring.provider.lifetime = time.Hour })
		o.refreshStrict(t)
		began := time.Now()
		back := ways[name](o)
		o.each(t, o.valid, "load")
		o.each(t, o.expiring, "load")
		o.each(t, o.unknown, "load")
		<-time.After(lasts)
		for _, c := range []*outageCrew{o.valid, o.expiring, o.unknown} {
			c.check(t, name, o.each(t, c, "unload"), time.Since(began), c == o.unknown)
		}
		back()
		o.checkStrict(t, name)
		o.checkStored(t, began)
	})
}

func newOutage(t *testing.T, kind string) *outage {
	t.Helper()
	o := &outage{store: startMortalStore(t, kind)}
	for i := range outageWorkers {
		o.ways = append(o.ways, newWay(t, fmt.Sprintf("way %d", i), o.store.spec))
	}
	o.fleet = newFleet(t, outageWorkers) // they end first, and have something to write
	o.valid = o.newCrew(t, "valid", entratest.RotationKeep, time.Hour)
	o.expiring = o.newCrew(t, "expiring", entratest.RotationKeep, 10*time.Second) // enough for all replicas to have the same
	o.unknown = o.newCrew(t, "unknown", entratest.RotationKeep, time.Hour)
	o.strict = o.newCrew(t, "strict", entratest.RotationRevokeFamily, 10*time.Second)
	for _, c := range []*outageCrew{o.valid, o.expiring, o.strict} {
		for _, a := range onAll(t, o.workers, func(*worker) workerCommand {
			return workerCommand{Op: "tokens", App: c.name, Users: c.provider.accounts(), Callers: 4, Timeout: time.Minute}
		}) {
			for _, call := range a.Calls {
				if call.Kind != "" {
					t.Fatalf("%s: %s", call.Kind, call.Error)
				}
			}
		}
	}
	o.expiring.before = o.expiring.versions(t)
	return o
}

func (o *outage) newCrew(t *testing.T, name string, rotation entratest.Rotation, lifetime time.Duration) *outageCrew {
	t.Helper()
	c := &outageCrew{name: name, provider: startProvider(t, rotation, outageUsers)}
	c.provider.lifetime = lifetime
	spec := c.provider.spec("authcode", o.store.spec)
	spec.Own = rotation != entratest.RotationKeep
	front, err := openReplica(&spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.close() })
	c.front = front.(*appReplica)
	for _, user := range c.provider.users {
		if err := c.provider.signIn(t.Context(), c.front.App, user); err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range o.workers {
		spec := c.provider.spec("authcode", o.store.spec.at(o.ways[i].address()))
		spec.Own = rotation != entratest.RotationKeep
		spec.Name = w.name
		w.mustCall(t, workerCommand{Op: "open", App: name, Spec: &spec})
	}
	return c
}

func (o *outage) kill() (back func()) {
	o.store.kill()
	return func() {
		if err := o.store.restart(); err != nil {
			o.ways[0].t.Error(err)
		}
	}
}

func (o *outage) mute() (back func()) {
	for _, w := range o.ways {
		w.spoil(mutely)
	}
	return func() {
		for _, w := range o.ways {
			w.heal()
		}
	}
}

// refreshStrict lets callers ask for strict users, and returns with refreshes on their way whose answers come when the store is gone.
func (o *outage) refreshStrict(t *testing.T) {
	t.Helper()
	p := o.strict.provider
	p.awaitExpiry()
	began := time.Now()
	p.set(func() { p.latency = constantly(4 * time.Second) })
	o.each(t, o.strict, "load")
	waitUntil(t, "refreshes to be under way", func() bool { return len(p.refreshes(began)) >= outageWorkers })
	p.set(func() { p.latency, p.lifetime = usualLatency, time.Hour })
}

// checkStrict has all replicas serve all strict users: those whose refresh was under way are not asked to sign in, though their leases
// are over.
func (o *outage) checkStrict(t *testing.T, outage string) {
	t.Helper()
	o.checkAfterwards(t, o.strict)
	for _, a := range o.each(t, o.strict, "unload") {
		for kind, n := range a.Load.Kinds {
			if kind != kindNoStore {
				t.Errorf("%s, strict users: %d times %q, as in %s", outage, n, kind, a.Load.Errors[kind][0])
			}
		}
	}
	for _, x := range o.strict.provider.refreshes(time.Time{}) {
		if x.code != "" {
			t.Errorf("%s: %s\n%s", outage, x.code, o.strict.provider.story(x.user))
		}
	}
}

// checkAfterwards has all replicas serve all users of an app. Who shares a call that began before the store was back asks again.
func (o *outage) checkAfterwards(t *testing.T, c *outageCrew) {
	t.Helper()
	users := make(map[*worker][]string)
	for _, w := range o.workers {
		users[w] = c.provider.accounts()
	}
	waitUntil(t, c.name+" users to be served", func() bool {
		waiting := 0
		for i, a := range onAll(t, o.workers, func(w *worker) workerCommand {
			return workerCommand{Op: "tokens", App: c.name, Users: users[w], Callers: 4, Timeout: time.Minute}
		}) {
			w := o.workers[i]
			users[w] = nil
			for _, call := range a.Calls {
				switch call.Kind {
				case "":
				case kindNoStore:
					users[w] = append(users[w], call.User)
					waiting++
				default:
					t.Errorf("afterwards, %s users: %s: %s", c.name, call.Kind, call.Error)
				}
			}
		}
		return waiting == 0
	})
}

// each starts or ends the load of an app on all replicas.
func (o *outage) each(t *testing.T, c *outageCrew, op string) []workerAnswer {
	t.Helper()
	return onAll(t, o.workers, func(*worker) workerCommand {
		return workerCommand{Op: op, App: c.name, Users: c.provider.accounts(), Callers: 4, Timeout: time.Minute}
	})
}

// check counts what the callers got.
func (c *outageCrew) check(t *testing.T, outage string, answers []workerAnswer, took time.Duration, unknown bool) {
	t.Helper()
	calls, served := 0, 0
	var slowest time.Duration
	for _, a := range answers {
		calls += a.Load.Calls
		served += a.Load.Calls
		slowest = max(slowest, a.Load.Slow)
		for kind, n := range a.Load.Kinds {
			served -= n
			if kind != kindNoStore || !unknown {
				t.Errorf("%s, %s users: %d times %q, as in %s", outage, c.name, n, kind, a.Load.Errors[kind][0])
			}
		}
	}
	if unknown && served > 0 || calls == 0 {
		t.Errorf("%s, %s users: %d of %d calls were served", outage, c.name, served, calls)
	}
	t.Logf("%s, %s users: %d calls in %v (%.0f/s), %d served, the slowest in %v", outage, c.name, calls, took.Round(time.Millisecond),
		float64(calls)/took.Seconds(), served, slowest.Round(time.Millisecond))
}

// versions are those of the app's records.
func (c *outageCrew) versions(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	store := c.front.store
	err := store.(authcode.Lister).List(t.Context(), "grant:", func(key string) bool { versions[key] = ""; return true })
	if err != nil {
		t.Fatal(err)
	}
	for key := range versions {
		if _, versions[key], _, err = store.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	return versions
}

// checkStored waits for the store to have what was refreshed while it was away, and lets a fresh replica use it.
func (o *outage) checkStored(t *testing.T, began time.Time) {
	t.Helper()
	c := o.expiring
	refreshed := map[string]bool{}
	for _, x := range c.provider.refreshes(began) {
		refreshed[x.user] = true
	}
	waitUntil(t, "what was refreshed to be stored", func() bool {
		moved := 0
		for key, version := range c.versions(t) {
			if old, ours := c.before[key]; ours && old != version {
				moved++
			}
		}
		return moved >= len(refreshed)
	})
	t.Logf("%d users' grants were refreshed meanwhile, and are stored", len(refreshed))
	spec := c.provider.spec("authcode", o.store.spec)
	fresh, err := openReplica(&spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fresh.close() }()
	for user := range refreshed {
		token, err := fresh.token(t.Context(), user)
		if err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(c.provider.refreshes(began), func(x tokenPOST) bool { return x.access == token && x.user == user && x.worker != "" }) {
			t.Errorf("%s's record is older than the outage", user)
		}
	}
	o.checkAfterwards(t, o.valid)
	o.checkAfterwards(t, o.unknown)
}
