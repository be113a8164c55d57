package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// streams are all that a run of the command touches of its process.
type streams struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as shells report a program that Ctrl-C ended
)

// run is the whole command, without the process around it.
func run(args []string, s streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the process at once
	root := newRootCommand(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return report(s.err, err, ctx.Err() != nil)
}

// report prints an error as one line a person can act on, and gives the exit code.
func report(w io.Writer, err error, interrupted bool) int {
	switch {
	case err == nil:
		return exitOK
	case interrupted: // whatever came of it
		fmt.Fprintln(w, "authcode: interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(w, "authcode: "+oneLine(strings.TrimPrefix(err.Error(), "authcode: ")))
	usage, wrong := errors.AsType[*usageError](err)
	if !wrong {
		return exitFailed
	}
	fmt.Fprintf(w, "Run '%s --help' for what it takes.\n", usage.command)
	return exitUsage
}
