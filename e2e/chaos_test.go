//go:build unix

package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	seed        = flag.Uint64("seed", 0, "what the chaos tests draw from; 0: they choose, and say what")
	chaosRounds = flag.Int("chaos-rounds", 0, "what befalls the chaos tests' replicas, so many times; 0: 20, with -long 2000")
)

const (
	chaosWorkers = 5
	chaosUsers   = 12
)

// TestChaos kills and stops processes, the store and the connections between them, while users are served: nobody is signed out at
// Entra, and at servers that rotate strictly nobody but those whose replica was hit between the server's answer and the store's write,
// which no client can close (RFC 6749 has no second phase).
func TestChaos(t *testing.T) {
	together(t, []string{"redis", "postgres"}, func(t *testing.T, kind string) {
		c := newChaos(t, kind)
		rounds := *chaosRounds
		switch {
		case rounds > 0:
		case *long:
			rounds = 2000
		default:
			rounds = 20
		}
		done := c.run(rounds)
		c.settle()
		c.report(done)
	})
}

// chaos is replicas of three apps, one at each kind of server, and what befalls them.
type chaos struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	store  *mortalStore
	crews  map[string]*chaosCrew // by name

	mu        sync.Mutex
	up        sync.RWMutex // held for writing while the store is down
	slots     []*slot
	processes int
	troubles  []*trouble
	did       map[string]int
}

// slot is where one process after another is a replica.
type slot struct {
	worker  *worker
	way     *faultyWay
	resume  time.Time // zero: it is not stopped
	stopped *trouble
}

// trouble is what befell a process, or everybody.
type trouble struct {
	what   string
	worker string // "": everybody
	from   time.Time
	to     time.Time // zero: not over
}

func newChaos(t *testing.T, kind string) *chaos {
	t.Helper()
	c := &chaos{t: t, seed: *seed, store: startMortalStore(t, kind), crews: map[string]*chaosCrew{}, did: map[string]int{}}
	if c.seed == 0 {
		c.seed = rand.Uint64()
	}
	c.random = rand.New(rand.NewPCG(c.seed, 0))
	for _, rotation := range rotations {
		c.crews[rotation.name] = newChaosCrew(c, rotation.name, rotation.is)
	}
	for i := range chaosWorkers {
		s := &slot{way: newWay(t, fmt.Sprintf("way %d", i), c.store.spec)}
		c.slots = append(c.slots, s)
		c.start(s)
	}
	return c
}

// start runs a process in a slot, with callers for all users.
func (c *chaos) start(s *slot) {
	c.t.Helper()
	c.mu.Lock()
	c.processes++
	name := fmt.Sprintf("w%d", c.processes)
	c.mu.Unlock()
	w := startWorker(c.t, name, func(app string, d callDone) { c.crews[app].lost(name, d) })
	for app, crew := range c.crews {
		spec := crew.spec(c.store.spec.at(s.way.address()))
		spec.Name = w.name
		w.mustCall(c.t, workerCommand{Op: "open", App: app, Spec: &spec})
		w.mustCall(c.t, workerCommand{Op: "load", App: app, Users: crew.provider.accounts(), Callers: 3, Timeout: 20 * time.Second})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.worker = w
}

// begin notes trouble.
func (c *chaos) begin(what, worker string) *trouble {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.did[what]++
	trouble := &trouble{what: what, worker: worker, from: time.Now()}
	c.troubles = append(c.troubles, trouble)
	return trouble
}

func (c *chaos) end(trouble *trouble) {
	c.mu.Lock()
	defer c.mu.Unlock()
	trouble.to = time.Now()
}

// deeds are what happens, each as often as the others.
var deeds = []struct {
	name string
	do   func(*chaos)
}{
	{"a process is killed", (*chaos).killAny},
	{"a process is killed when its refresh was processed", (*chaos).killProcessed},
	{"a process is stopped for less than a lease", (*chaos).stopBriefly},
	{"a process is stopped for longer than a lease", (*chaos).stopLong},
	{"a process is stopped when its refresh was processed", (*chaos).stopProcessed},
	{"the store is killed", (*chaos).killStore},
	{"a replica is cut off from the store", (*chaos).cutOff},
	{"a replica's store is slow", (*chaos).slowDown},
	{"a replica's store is half-open", (*chaos).halfOpen},
	{"all are cut off from the store", (*chaos).cutAllOff},
}

// run goes through all deeds in a new order, again and again; a short run ends when one of them fails the test.
func (c *chaos) run(rounds int) (done int) {
	var order []int
	for round := range rounds {
		if len(order) == 0 {
			order = c.random.Perm(len(deeds))
		}
		deeds[order[0]].do(c)
		order = order[1:]
		c.pass(200*time.Millisecond, 900*time.Millisecond)
		c.resume(false)
		if c.t.Failed() && !*long { // a long run is for counting
			c.t.Logf("seed %d, after round %d", c.seed, round+1)
			return round + 1
		}
		if (round+1)%100 == 0 {
			c.report(round + 1)
		}
	}
	return rounds
}

// pass lets a random time go by.
func (c *chaos) pass(least, most time.Duration) {
	<-time.After(least + time.Duration(c.random.Int64N(int64(most-least))))
}

// resume lets stopped processes go on whose time has come, or all of them then.
func (c *chaos) resume(all bool) {
	for _, s := range c.slots {
		if s.resume.IsZero() {
			continue
		}
		if all {
			<-time.After(time.Until(s.resume))
		}
		if !time.Now().Before(s.resume) {
			c.signal(s.worker, syscall.SIGCONT)
			c.end(s.stopped)
			s.resume = time.Time{}
		}
	}
}

func (c *chaos) signal(w *worker, signal syscall.Signal) {
	if err := w.command.Process.Signal(signal); err != nil {
		c.t.Errorf("%v to worker %s: %v", signal, w.name, err)
	}
}

// any is a process that is not stopped.
func (c *chaos) any() *slot {
	for {
		if s := c.slots[c.random.IntN(len(c.slots))]; s.resume.IsZero() {
			return s
		}
	}
}

func (c *chaos) killAny() { c.kill(c.any()) }

func (c *chaos) kill(s *slot) {
	c.begin("killed", s.worker.name)
	s.worker.kill()
	c.start(s)
}

// onProcessed waits until a replica that is not stopped has a refresh processed, and does something to it before it has the answer.
func (c *chaos) onProcessed(do func(*slot)) {
	crew := c.crews[rotations[c.random.IntN(len(rotations))].name]
	hit := make(chan *slot, 1)
	var once sync.Once
	running := make(map[string]*slot) // by worker: the hook runs beside this goroutine
	for _, s := range c.slots {
		if s.resume.IsZero() {
			running[s.worker.name] = s
		}
	}
	crew.provider.set(func() {
		crew.provider.processed = func(x *tokenPOST) {
			if s := running[x.worker]; s != nil && x.out != "" {
				once.Do(func() { do(s); hit <- s })
			}
		}
	})
	select {
	case <-hit:
	case <-time.After(5 * time.Second): // all is still: the store is slow to come back
	}
	crew.provider.set(func() { crew.provider.processed = nil })
	once.Do(func() {}) // or waits for one that is at it
}

func (c *chaos) killProcessed() {
	c.onProcessed(func(s *slot) {
		c.begin("killed", s.worker.name)
		s.worker.kill()
	})
	for _, s := range c.slots {
		if s.worker.killed.Load() {
			c.start(s)
		}
	}
}

func (c *chaos) stop(s *slot, d time.Duration) {
	s.stopped = c.begin("stopped", s.worker.name)
	c.signal(s.worker, syscall.SIGSTOP)
	s.resume = time.Now().Add(d)
}

func (c *chaos) stopBriefly() { c.stop(c.any(), time.Duration(c.random.Int64N(int64(3*time.Second)))) }

// stopLong leaves at least two processes.
func (c *chaos) stopLong() {
	if c.stoppedNow() < chaosWorkers-2 {
		c.stop(c.any(), leaseTime+time.Duration(c.random.Int64N(int64(2*time.Second))))
	}
}

func (c *chaos) stopProcessed() {
	if c.stoppedNow() < chaosWorkers-2 {
		d := leaseTime - 14*time.Second + time.Duration(c.random.Int64N(int64(16*time.Second))) // shorter than the lease, or longer
		c.onProcessed(func(s *slot) { c.stop(s, d) })
	}
}

func (c *chaos) stoppedNow() (n int) {
	for _, s := range c.slots {
		if !s.resume.IsZero() {
			n++
		}
	}
	return n
}

func (c *chaos) killStore() {
	c.up.Lock()
	defer c.up.Unlock()
	defer c.end(c.begin("the store was down", ""))
	c.store.kill()
	c.pass(0, 1500*time.Millisecond)
	if err := c.store.restart(); err != nil {
		c.t.Error(err)
	}
}

func (c *chaos) cutOff() {
	s := c.any()
	defer c.end(c.begin("cut off", s.worker.name))
	s.way.cut()
	c.pass(0, 2*time.Second)
	s.way.mend()
}

func (c *chaos) cutAllOff() {
	defer c.end(c.begin("all were cut off", ""))
	for _, s := range c.slots {
		s.way.cut()
	}
	c.pass(0, 2*time.Second)
	for _, s := range c.slots {
		s.way.mend()
	}
}

func (c *chaos) slowDown() { c.spoil("slowed", slowly) }

func (c *chaos) halfOpen() { c.spoil("half-open", mutely) }

func (c *chaos) spoil(what, toxic string) {
	s := c.any()
	defer c.end(c.begin(what, s.worker.name))
	s.way.spoil(toxic)
	c.pass(0, 2*time.Second)
	s.way.heal()
}
