// Package testserver starts the servers that stores are tested with: redis-server (Sentinel and Cluster, too), PostgreSQL and
// PgBouncer, each on a free port of the loopback interface, with a password, in a directory of its own that goes with it.
//
// It is on the standard library alone, so that every module's tests may import it and no user's go.mod knows of it.
package testserver

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	startTime = 60 * time.Second // on a busy machine
	stopTime  = 10 * time.Second // before a server is killed
)

// ErrMissing means that a program is not installed.
var ErrMissing = errors.New("is missing")

// Need ends the test when err says that a server could not be had: it skips when the program is missing, and fails with
// AUTHCODE_REQUIRE_SERVERS=1.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing) && os.Getenv("AUTHCODE_REQUIRE_SERVERS") != "1":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// find gives the path of a program: on PATH, or where its package has it.
func find(program, debianPackage string, elsewhere ...string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, pattern := range elsewhere {
		found, err := filepath.Glob(filepath.Join(pattern, program))
		if err == nil && len(found) > 0 {
			return found[len(found)-1], nil // the newest version
		}
	}
	return "", fmt.Errorf("%s %w: apt-get install %s", program, ErrMissing, debianPackage)
}

// process is a server that runs until it is stopped, or until the test binary is gone (on Linux).
type process struct {
	command   *exec.Cmd
	directory string // removed when it stopped
	exited    chan struct{}
	output    *output
	stop      os.Signal
}

// start runs command and waits until it printed ready.
func start(command *exec.Cmd, directory string, stop os.Signal, ready *regexp.Regexp) (*process, error) {
	p := &process{
		command: command, directory: directory, stop: stop,
		exited: make(chan struct{}), output: &output{ready: ready, found: make(chan struct{})},
	}
	command.Dir = directory
	command.Stdout, command.Stderr = p.output, p.output
	dieWithParent(command)
	started := make(chan error)
	go func() {
		// The kernel ends a process with the thread that started it: this one stays until the process is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err != nil {
			return
		}
		_ = command.Wait() // how it ended is of interest only where it ended too early
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	limit := time.NewTimer(startTime)
	defer limit.Stop()
	select {
	case <-p.output.found:
		running.Store(p, nil)
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("%s ended before it was ready: %s", command.Path, p.output)
	case <-limit.C:
		p.end()
		return nil, fmt.Errorf("%s was not ready within %s: %s", command.Path, startTime, p.output)
	}
}

// PID is the process's ID.
func (p *process) PID() int { return p.command.Process.Pid }

// end asks the process to end, and kills it if it does not.
func (p *process) end() {
	_ = p.command.Process.Signal(p.stop)
	limit := time.NewTimer(stopTime)
	defer limit.Stop()
	select {
	case <-p.exited:
	case <-limit.C:
		_ = p.command.Process.Kill()
		<-p.exited
	}
}

// Stop ends the process and removes its directory.
func (p *process) Stop() {
	running.Delete(p)
	p.end()
	_ = os.RemoveAll(p.directory)
}

var running sync.Map // of *process

// StopAll stops what is still running: for a TestMain whose tests share servers.
func StopAll() {
	running.Range(func(p, _ any) bool {
		p.(*process).Stop()
		return true
	})
}

// output keeps what a server prints, and says when it is ready.
type output struct {
	found chan struct{}

	mu    sync.Mutex
	ready *regexp.Regexp // nil: found
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if o.ready != nil && o.ready.Match(o.text.Bytes()) {
		o.ready = nil
		close(o.found)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.text.String())
}

// newDirectory is short, for the sake of Unix sockets' names, and belongs to whom the server runs as.
func newDirectory(owner *account) (string, error) {
	directory, err := os.MkdirTemp("", "authcode")
	if err != nil {
		return "", err
	}
	return directory, owner.own(directory)
}

// Ports below those that systems give to outgoing connections (from 32768 on Linux, from 49152 elsewhere): one of those would be
// taken while a server that is to come back at its address is down.
const (
	firstPort = 20000
	lastPort  = 32767
)

// FreePort is a port that nobody listens at. It may be taken by somebody else before the server listens: who starts one tries again.
func FreePort() (port int, err error) {
	for range attempts {
		port = firstPort + mathrand.IntN(lastPort-firstPort+1)
		var listener net.Listener
		if listener, err = net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, listener.Close()
		}
	}
	return 0, err
}

// attempts is how many ports are tried.
const attempts = 5

// onFreePort starts a server on a free port, and on another one if that is lost to somebody else meanwhile.
func onFreePort[S any](start func(port int) (S, error)) (server S, err error) {
	for range attempts {
		var port int
		if port, err = FreePort(); err != nil {
			return server, err
		}
		if server, err = start(port); err == nil || errors.Is(err, ErrMissing) {
			return server, err
		}
	}
	return server, err
}

func newPassword() string { return rand.Text() }
