package e2e

import (
	"bytes"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	startTime = 60 * time.Second // of a server on a busy machine
	stopTime  = 10 * time.Second // before it is killed
)

// server is a program that a test started.
type server struct {
	command *exec.Cmd
	exited  chan struct{} // closed when it is gone
	input   io.Closer     // the server ends when it is closed: node/exit-with-parent.mjs
	output  *output
}

// startServer runs a node script until the test ends, and waits for the line that says where it listens: the first
// group of ready. What it printed is shown when the test fails.
func startServer(t *testing.T, ready *regexp.Regexp, environment []string, node, script string, arguments ...string) string {
	t.Helper()
	s := &server{output: newOutput(ready), exited: make(chan struct{})}
	s.command = exec.Command(node, append([]string{"--import", preload(t, "exit-with-parent.mjs"), absolute(t, script)}, arguments...)...)
	s.command.Dir = t.TempDir() // whatever it writes
	s.command.Env = append(os.Environ(), environment...)
	s.command.Stdout, s.command.Stderr = s.output, s.output
	input, err := s.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.input = input
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.exited)
		_ = s.command.Wait() // how it ended is of interest only where it ended too early
	}()
	t.Cleanup(func() { s.stop(t) })
	return s.address(t)
}

// preload is a URL, as node wants it.
func preload(t *testing.T, script string) string {
	path := absolute(t, filepath.Join("node", script))
	return (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(path, "/")}).String()
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(path)
}

func (s *server) address(t *testing.T) string {
	t.Helper()
	limit := time.NewTimer(startTime)
	defer limit.Stop()
	select {
	case address := <-s.output.address:
		return address
	case <-s.exited:
		t.Fatalf("the server ended before it listened: %s", s.command.ProcessState)
	case <-limit.C:
		t.Fatalf("the server did not listen within %s", startTime)
	}
	return ""
}

// stop asks the server to end, and kills this one process if it does not.
func (s *server) stop(t *testing.T) {
	_ = s.input.Close()
	limit := time.NewTimer(stopTime)
	defer limit.Stop()
	select {
	case <-s.exited:
	case <-limit.C:
		t.Errorf("process %d did not end within %s and is killed", s.command.Process.Pid, stopTime)
		_ = s.command.Process.Kill()
		<-s.exited
	}
	if t.Failed() {
		t.Logf("output of %s:\n%s", s.command, s.output)
	}
}

// output keeps what a server prints and finds its address in it.
type output struct {
	address chan string // gets the first one

	mu    sync.Mutex
	ready *regexp.Regexp // nil: found
	text  bytes.Buffer
}

func newOutput(ready *regexp.Regexp) *output {
	return &output{address: make(chan string, 1), ready: ready}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if o.ready != nil {
		if found := o.ready.FindSubmatch(o.text.Bytes()); found != nil {
			o.ready = nil
			o.address <- string(found[1])
		}
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
