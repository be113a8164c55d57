package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// worker is a process that is a replica; see workerVariable.
type worker struct {
	name    string
	command *exec.Cmd
	exited  chan struct{}                // closed when it is gone
	printed *bytes.Buffer                // what it printed, for after it is gone
	killed  atomic.Bool                  // by us
	lost    func(app string, d callDone) // is told what loads lose; nil: nobody

	mu      sync.Mutex
	input   io.WriteCloser
	waiting map[int]chan workerAnswer
	next    int
}

// startWorker runs a worker until the test ends.
func startWorker(t *testing.T, name string, lost func(app string, d callDone)) *worker {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{name: name, lost: lost, exited: make(chan struct{}), printed: &bytes.Buffer{}, waiting: map[int]chan workerAnswer{}}
	w.command = exec.Command(program)
	w.command.Env = append(os.Environ(), workerVariable+"="+name)
	w.command.Stderr = w.printed
	dieWithUs(w.command)
	if w.input, err = w.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := w.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	go w.run(output, started)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.end(t) })
	return w
}

// run stays on the thread that started the process, with which the kernel would end it.
func (w *worker) run(output io.Reader, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := w.command.Start()
	started <- err
	if err != nil {
		return
	}
	defer close(w.exited)
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		w.answered(line)
	}
	_ = w.command.Wait()
}

func (w *worker) answered(line []byte) {
	var a workerAnswer
	if err := json.Unmarshal(line, &a); err != nil {
		a.Error = fmt.Sprintf("%v in %q", err, line)
	}
	if a.ID == 0 && w.lost != nil && len(a.Calls) == 1 {
		w.lost(a.App, a.Calls[0])
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if waiting := w.waiting[a.ID]; waiting != nil {
		waiting <- a
		delete(w.waiting, a.ID)
	}
}

// call sends a command and waits for its answer. An error: the worker is gone, or says so.
func (w *worker) call(ctx context.Context, c workerCommand) (workerAnswer, error) {
	answer := make(chan workerAnswer, 1)
	if err := w.send(c, answer); err != nil {
		return workerAnswer{}, fmt.Errorf("worker %s: %s: %w", w.name, c.Op, err)
	}
	select {
	case a := <-answer:
		if a.Error != "" {
			return a, fmt.Errorf("worker %s: %s: %s", w.name, c.Op, a.Error)
		}
		return a, nil
	case <-w.exited:
		return workerAnswer{}, fmt.Errorf("worker %s: %s: it is gone", w.name, c.Op)
	case <-ctx.Done():
		return workerAnswer{}, fmt.Errorf("worker %s: %s: %w", w.name, c.Op, ctx.Err())
	}
}

func (w *worker) send(c workerCommand, answer chan workerAnswer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	c.ID = w.next
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	w.waiting[c.ID] = answer
	_, err = w.input.Write(append(line, '\n'))
	return err
}

// mustCall is call, where nothing may go wrong.
func (w *worker) mustCall(t *testing.T, c workerCommand) workerAnswer {
	t.Helper()
	a, err := w.call(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// kill ends the process as kill -9 does.
func (w *worker) kill() {
	w.killed.Store(true)
	_ = w.command.Process.Kill()
	<-w.exited
}

// end lets the worker come to its end, which is an error if it was not a good one: the race detector's, say.
func (w *worker) end(t *testing.T) {
	w.mu.Lock()
	_ = w.input.Close()
	w.mu.Unlock()
	limit := time.NewTimer(30 * time.Second) // App.Close drains for 20
	defer limit.Stop()
	select {
	case <-w.exited:
	case <-limit.C:
		t.Errorf("worker %s, process %d, did not end", w.name, w.command.Process.Pid)
		w.kill()
	}
	if !w.killed.Load() && !w.command.ProcessState.Success() || bytes.Contains(w.printed.Bytes(), []byte("DATA RACE")) {
		t.Errorf("worker %s: %s\n%s", w.name, w.command.ProcessState, w.printed)
	}
}

// onAll runs one command on all workers at once.
func onAll(t *testing.T, workers []*worker, command func(*worker) workerCommand) []workerAnswer {
	t.Helper()
	answers, failures := make([]workerAnswer, len(workers)), make([]error, len(workers))
	var all sync.WaitGroup
	for i, w := range workers {
		all.Go(func() { answers[i], failures[i] = w.call(t.Context(), command(w)) })
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
	return answers
}
