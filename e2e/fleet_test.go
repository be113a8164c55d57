package e2e

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/internal/testserver"
	"github.com/authcode-go/authcode/pgstore"
)

const fleetSize = 8 // processes

// fleetScale is how much of it: the whole with -long.
type fleetScale struct {
	users, rounds int
	naive         []string // protocols
}

func scale() fleetScale {
	if *long {
		return fleetScale{users: 200, rounds: 10, naive: []string{"A", "B", "C", "D"}}
	}
	return fleetScale{users: 24, rounds: 2, naive: []string{"A"}}
}

var rotations = []struct {
	name string
	is   entratest.Rotation
}{
	{"keeps the old one, as Entra", entratest.RotationKeep},
	{"refuses the old one", entratest.RotationRefuse},
	{"revokes the family", entratest.RotationRevokeFamily},
}

// TestFleet is the promise about replicas, with 8 processes whose users' tokens expire together: nobody is signed out, whatever
// the server does with used refresh tokens, and each expiry costs one request per user. Naive protocols go through the same, to
// show that it would be seen.
func TestFleet(t *testing.T) {
	f := newFleet(t, fleetSize)
	redis, postgres := startRedis(t), startPostgres(t, "max_connections=300")
	var crews []*crew
	for _, rotation := range rotations {
		for _, store := range []storeSpec{redis, postgres} {
			crews = append(crews, f.newCrew(t, crewSpec{"authcode", store, rotation.name, rotation.is, scale().users, scale().rounds}))
		}
	}
	for _, protocol := range scale().naive {
		for _, rotation := range rotations {
			crews = append(crews, f.newCrew(t, crewSpec{protocol, redis, rotation.name, rotation.is, scale().users, 1}))
		}
	}
	for round := range scale().rounds {
		for _, c := range crews {
			if round < c.rounds {
				f.expire(t, c)
			}
		}
	}
	for _, c := range crews {
		f.reveal(t, c)
	}
	t.Log(table(crews))
	for _, c := range crews {
		switch strict := c.rotation != entratest.RotationKeep; {
		case c.protocol == "authcode":
			c.check(t)
		case c.protocol == "A" && strict && len(c.lost) == 0:
			t.Errorf("%s: nobody was lost: this test sees nothing", c)
		}
	}
}

// fleet is worker processes, which are all in each crew.
type fleet struct {
	workers []*worker
}

func newFleet(t *testing.T, size int) *fleet {
	f := &fleet{}
	for i := range size {
		f.workers = append(f.workers, startWorker(t, fmt.Sprintf("w%d", i), nil))
	}
	return f
}

// crewSpec is one line of the table.
type crewSpec struct {
	protocol     string
	store        storeSpec
	rotationName string
	rotation     entratest.Rotation
	users        int
	rounds       int
}

// crew is the fleet's replicas of one app at one provider.
type crew struct {
	crewSpec
	name     string
	provider *provider

	lost      map[string]string // users, and what they were told
	failures  []string
	posts     []int // per user and expiry
	latencies []time.Duration
	slow      int // expiries that took longer than a token lasts
}

func (c *crew) String() string { return c.name }

func (f *fleet) newCrew(t *testing.T, spec crewSpec) *crew {
	t.Helper()
	c := &crew{crewSpec: spec, lost: map[string]string{}, provider: startProvider(t, spec.rotation, spec.users)}
	c.name = fmt.Sprintf("%s on %s, a server that %s", spec.protocol, spec.store.Kind, spec.rotationName)
	c.provider.lifetime = 8 * time.Second
	replica := c.provider.spec(spec.protocol, spec.store)
	replica.Own = spec.rotation != entratest.RotationKeep // which Entra does not do
	c.provider.signAllIn(t, replica)
	f.open(t, c.name, replica)
	return c
}

// open makes every worker a replica.
func (f *fleet) open(t *testing.T, app string, spec replicaSpec) {
	t.Helper()
	onAll(t, f.workers, func(w *worker) workerCommand {
		spec := spec
		spec.Name = w.name
		return workerCommand{Op: "open", App: app, Spec: &spec}
	})
}

// expire lets all replicas of a crew find all tokens expired, and counts what comes of it.
func (f *fleet) expire(t *testing.T, c *crew) {
	t.Helper()
	p := c.provider
	accounts := p.accounts()
	p.awaitExpiry()
	began := time.Now()
	answers := onAll(t, f.workers, func(*worker) workerCommand {
		return workerCommand{Op: "tokens", App: c.name, Users: accounts, Callers: 16, Timeout: time.Minute}
	})
	for _, a := range answers {
		for _, call := range a.Calls {
			c.count(call)
		}
	}
	if time.Since(began) > usable(p.lifetime) { // a slow machine: some tokens have expired a second time
		c.slow++
		p.set(func() { p.lifetime *= 2 })
		return
	}
	perUser := map[string]int{}
	for _, x := range p.refreshes(began) {
		perUser[x.user]++
	}
	for _, user := range accounts {
		c.posts = append(c.posts, perUser[user])
	}
}

// reveal asks once more, by one replica: a grant that died in an expiry is missed at the next.
func (f *fleet) reveal(t *testing.T, c *crew) {
	t.Helper()
	c.provider.awaitExpiry()
	a := f.workers[0].mustCall(t, workerCommand{Op: "tokens", App: c.name, Users: c.provider.accounts(), Callers: 16, Timeout: time.Minute})
	for _, call := range a.Calls {
		c.count(call)
	}
}

// awaitExpiry waits until the time of all tokens is over.
func (p *provider) awaitExpiry() {
	p.mu.Lock()
	last := p.lastExpiry
	p.mu.Unlock()
	<-time.After(time.Until(last))
}

func (c *crew) count(call callDone) {
	c.latencies = append(c.latencies, call.Elapsed)
	switch call.Kind {
	case "":
	case kindLost:
		c.lost[call.User] = call.Error
	default:
		c.failures = append(c.failures, call.Kind+": "+call.Error)
	}
}

// check is what authcode promises.
func (c *crew) check(t *testing.T) {
	t.Helper()
	for user, told := range c.lost {
		t.Errorf("%s: %s was signed out: %s", c, user, told)
	}
	if len(c.failures) > 0 {
		t.Errorf("%s: %d calls failed, as in %s", c, len(c.failures), c.failures[0])
	}
	if len(c.posts) == 0 {
		t.Logf("%s: the machine is too slow to count requests per expiry", c)
		return
	}
	if mean := c.mean(); mean < 1 || mean > 1.01 {
		t.Errorf("%s: %.3f requests per user and expiry, want 1", c, mean)
	}
}

func (c *crew) mean() float64 {
	sum := 0
	for _, n := range c.posts {
		sum += n
	}
	return float64(sum) / float64(max(len(c.posts), 1))
}

// quantile of what must not be empty.
func quantile[T cmp.Ordered](all []T, q float64) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(q*float64(len(sorted)-1))]
}

// table is the crews' figures, as docs/stores.md has them.
func table(crews []*crew) string {
	var b strings.Builder
	b.WriteString("\n| protocol | store | a server that | users × expiries | sessions lost | requests per user and expiry (min, median, max) | callers' wait p50, p99 |\n|---|---|---|---|---|---|---|\n")
	for _, c := range crews {
		posts := c.posts
		if len(posts) == 0 {
			posts = []int{0}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d × %d | %d | %.3f (%d, %d, %d) | %d ms, %d ms |\n",
			c.protocol, c.store.Kind, c.rotationName, c.users, c.rounds, len(c.lost), c.mean(),
			quantile(posts, 0), quantile(posts, 0.5), quantile(posts, 1),
			quantile(c.latencies, 0.5).Milliseconds(), quantile(c.latencies, 0.99).Milliseconds())
	}
	return b.String()
}

func startRedis(t *testing.T, arguments ...string) storeSpec {
	t.Helper()
	server, err := testserver.StartRedis(arguments...)
	testserver.Need(t, err)
	t.Cleanup(server.Stop)
	return storeSpec{Kind: "redis", Address: server.Address, Password: server.Password}
}

// startPostgres makes the tables, too.
func startPostgres(t *testing.T, settings ...string) storeSpec {
	t.Helper()
	server, err := testserver.StartPostgres(settings...)
	testserver.Need(t, err)
	t.Cleanup(server.Stop)
	spec := storeSpec{Kind: "postgres", Address: server.URL}
	migrate(t, spec)
	return spec
}

func migrate(t *testing.T, spec storeSpec) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), spec.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store, err := pgstore.New(pool, nil)
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}
