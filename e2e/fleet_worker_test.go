package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// workerVariable makes this test binary a worker: a process that is one replica of each of several apps, and does what it reads
// on its standard input, one JSON command a line. It ends with its input.
const workerVariable = "AUTHCODE_E2E_WORKER"

// workerCommand is one line for a worker.
type workerCommand struct {
	ID int
	// Op is open, tokens, load, unload, redeem or close.
	Op string
	// App is which replica it is for; open makes it.
	App     string
	Spec    *replicaSpec  `json:",omitempty"`
	Users   []string      `json:",omitempty"` // account IDs
	Callers int           `json:",omitempty"` // at a time
	Timeout time.Duration `json:",omitempty"` // of one caller
	Sealed  []string      `json:",omitempty"` // redeem: the flows
	Queries []string      `json:",omitempty"` // redeem: their callbacks' queries
}

// workerAnswer is a worker's line for a command, in the order they are ready; with ID 0 it tells of a call of a load's that says that
// the user must sign in.
type workerAnswer struct {
	ID      int
	App     string     `json:",omitempty"`
	Error   string     `json:",omitempty"`
	Calls   []callDone `json:",omitempty"`
	Load    *loadDone  `json:",omitempty"`
	Elapsed time.Duration
}

// callDone is how one caller fared.
type callDone struct {
	User    string
	Kind    string `json:",omitempty"` // as kindOf names it; "": a token
	Error   string `json:",omitempty"`
	Began   time.Time
	Elapsed time.Duration
}

// workerMain is the process. It is told to drain by SIGTERM, as servers are.
func workerMain() int {
	w := &workerProcess{output: json.NewEncoder(os.Stdout), replicas: map[string]replica{}, loads: map[string]*load{}}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.read(os.Stdin)
	}()
	select {
	case <-ended:
	case <-terminate:
	}
	w.closeAll()
	return 0
}

type workerProcess struct {
	printing sync.Mutex
	mu       sync.Mutex
	output   *json.Encoder
	replicas map[string]replica
	loads    map[string]*load
	running  sync.WaitGroup
}

func (w *workerProcess) read(input io.Reader) {
	lines := bufio.NewReader(input)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var c workerCommand
		if err := json.Unmarshal(line, &c); err != nil {
			fmt.Fprintln(os.Stderr, "a worker's command:", err)
			return
		}
		w.running.Go(func() {
			began := time.Now()
			a := workerAnswer{ID: c.ID}
			if err := w.do(c, &a); err != nil {
				a.Error = err.Error()
			}
			a.Elapsed = time.Since(began)
			w.print(a)
		})
	}
}

func (w *workerProcess) print(a workerAnswer) {
	w.printing.Lock()
	defer w.printing.Unlock()
	_ = w.output.Encode(a)
}

func (w *workerProcess) do(c workerCommand, a *workerAnswer) error {
	if c.Op == "open" {
		r, err := openReplica(c.Spec)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.replicas[c.App] = r
		return err
	}
	w.mu.Lock()
	r, l := w.replicas[c.App], w.loads[c.App]
	w.mu.Unlock()
	if r == nil {
		return fmt.Errorf("no app %q", c.App)
	}
	switch c.Op {
	case "tokens":
		a.Calls = getTokens(r, c)
	case "load":
		w.mu.Lock()
		defer w.mu.Unlock()
		w.loads[c.App] = startLoad(r, c, func(d callDone) { w.print(workerAnswer{App: c.App, Calls: []callDone{d}}) })
	case "unload":
		a.Load = l.stop()
	case "redeem":
		a.Calls = redeemAll(r, c)
	case "close":
		return r.close()
	default:
		return fmt.Errorf("no command %q", c.Op)
	}
	return nil
}

// closeAll is the end of a server: callers get ErrClosed, what is under way is stored, and what was answered is written out.
func (w *workerProcess) closeAll() {
	w.mu.Lock()
	replicas, loads := w.replicas, w.loads
	w.mu.Unlock()
	for _, l := range loads {
		l.stop()
	}
	var closing sync.WaitGroup
	for _, r := range replicas {
		closing.Go(func() { _ = r.close() })
	}
	closing.Wait()
	w.running.Wait()
}

// getTokens asks for a token of each user, so many callers at a time, in the order given.
func getTokens(r replica, c workerCommand) []callDone {
	calls := make([]callDone, len(c.Users))
	next := make(chan int)
	var callers sync.WaitGroup
	for range min(max(c.Callers, 1), len(c.Users)) {
		callers.Go(func() {
			for i := range next {
				calls[i] = getToken(r, c.Users[i], c.Timeout)
			}
		})
	}
	for i := range c.Users {
		next <- i
	}
	close(next)
	callers.Wait()
	return calls
}

func getToken(r replica, user string, timeout time.Duration) callDone {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	began := time.Now()
	_, err := r.token(ctx, user)
	return done(user, began, err)
}

func done(user string, began time.Time, err error) callDone {
	d := callDone{User: user, Kind: kindOf(err), Began: began, Elapsed: time.Since(began)}
	if err != nil {
		d.Error = err.Error()
	}
	return d
}
