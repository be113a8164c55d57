package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/authcode-go/authcode/entratest"
)

const emulatorHelp = `emulator is a Microsoft Entra ID for tests and for development without an account: it serves
the endpoints of the OAuth 2.0 flows over TLS on this machine, for clients in any language,
until Ctrl-C or SIGTERM ends it.

Users sign in on its pages, or without them: add emulator_user=USERNAME to an authorize URL,
and the answer is the redirect with the code. The console, a page at /emulator, shows what was
asked and answered, why something was refused, and makes things go wrong on demand.

Without --config there are the tenants, users and apps of entratest's DefaultDirectory. A
configuration is JSON; it is read again when the file changes, and what is wrong with it is
said, while the directory stays as it was.

Files in the state directory (default: authcode/emulator in the user's cache directory):

  emulator.json  authority, ca_file, tenants, apps with their secrets and users with their
                 passwords, for programs. It is there while the emulator is.
  ca.pem         the certificate authority for clients to trust. It may speak for this machine
                 and --host alone, and is the same at the next start, for about a year.
  ca-key.pem     its private key. Keep it to yourself.

It listens on the loopback interface: it signs in everybody as anyone. With --allow-remote it
listens elsewhere too, and its console is open to all who reach it. --host is the name that
other machines know it by, for the authority and the certificate; without it, that is the host
of --addr, or localhost if that is all of them.

With --json there is one JSON document a line, each with an event: listening, reloaded,
not-reloaded (with an error) or stopped. The exit code after a signal is 0.`

const emulatorExamples = `  authcode emulator

  # tenants, users and apps of your own, on any free port, for a script
  authcode emulator --config directory.json --addr 127.0.0.1:0 --state-dir state &
  # ... once state/emulator.json is there
  curl --cacert state/ca.pem "$(jq -r .authority state/emulator.json)/common/discovery/v2.0/keys"

  # in a container, whose port 8443 is published on this machine
  authcode emulator --addr 0.0.0.0:8443 --allow-remote --state-dir /state

  # for other machines, which know this one as entra.test
  authcode emulator --addr 0.0.0.0:443 --allow-remote --host entra.test`

// configPolled is how often the configuration's file is looked at.
const configPolled = time.Second

// emulatorFlags are the flags of emulator as they were given.
type emulatorFlags struct {
	addr        string
	allowRemote bool
	config      string
	host        string
	json        bool
	stateDir    string
}

func newEmulatorCommand(s streams) *cobra.Command {
	var f emulatorFlags
	cmd := &cobra.Command{
		Use:     "emulator",
		Short:   "Serve an emulated Microsoft Entra ID on this machine, for clients in any language",
		Long:    emulatorHelp,
		Example: emulatorExamples,
		Args:    noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return emulate(cmd, s, f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.config, "config", "", "JSON `FILE` with tenants, users, apps and resources; it is read again when it changes")
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8443", "`HOST:PORT` to listen on; port 0 is any free one")
	flags.StringVar(&f.stateDir, "state-dir", "", "`DIR` for emulator.json and the certificate authority")
	flags.BoolVar(&f.allowRemote, "allow-remote", false, "let --addr reach beyond this machine")
	flags.StringVar(&f.host, "host", "", "`NAME` or IP address that clients know the emulator by")
	flags.BoolVar(&f.json, "json", false, "print one JSON document a line, for programs")
	return cmd
}

// emulate serves until a signal comes.
func emulate(cmd *cobra.Command, s streams, f emulatorFlags) error {
	listen, host, err := f.listener(cmd)
	if err != nil {
		return err
	}
	var file *configFile
	options := &entratest.Options{Addr: listen, Host: host}
	if f.allowRemote {
		options.Console = entratest.ConsoleAnywhere
	}
	if f.config != "" {
		file = &configFile{path: f.config}
		if options.Directory, err = file.read(); err != nil {
			return err
		}
	}
	state, err := openStateDir(f.stateDir)
	if err != nil {
		return err
	}
	var renewed bool
	if options.CA, renewed, err = state.authority(host, time.Now()); err != nil {
		return err
	}
	server, err := entratest.NewServer(options)
	if err != nil {
		return listenError(err, f.addr)
	}
	run := emulation{server: server, state: state, file: file, every: configPolled}
	run.out = &emulatorText{out: s.out, err: s.err, palette: palette{s.wantsColour()}, renewed: renewed}
	if f.json {
		run.out = &emulatorJSON{out: s.out}
	}
	return errors.Join(run.serve(cmd.Context()), server.Close())
}

// listener is the address to listen on, of this machine unless more is allowed, and the host clients know it by.
func (f emulatorFlags) listener(cmd *cobra.Command) (listen, host string, err error) {
	name, port, err := net.SplitHostPort(f.addr)
	if err != nil {
		return "", "", misused(cmd, "--addr is HOST:PORT, like 127.0.0.1:8443, not %q", f.addr)
	}
	ip := net.ParseIP(name)
	if ip == nil && name != "" {
		resolved, err := net.ResolveIPAddr("ip", name)
		if err != nil {
			return "", "", fmt.Errorf("--addr: there is no host %q: give an IP address of this machine", name)
		}
		ip = resolved.IP
	}
	if !ip.IsLoopback() && !f.allowRemote {
		return "", "", misused(cmd, "--addr %s is open to other machines, which could sign in as anyone: use 127.0.0.1, or add --allow-remote", f.addr)
	}
	everywhere := name == "" || ip.IsUnspecified()
	if name != "" {
		name, host = ip.String(), name
	}
	switch {
	case f.host != "":
		if net.ParseIP(f.host) == nil && strings.ContainsAny(f.host, ":/@ \t") {
			return "", "", misused(cmd, "--host is a name or an IP address, without a port, not %q", f.host)
		}
		host = f.host
	case everywhere, host == "127.0.0.1":
		host = "localhost"
	}
	return net.JoinHostPort(name, port), host, nil
}

// listenError says what to do about an address that cannot be had.
func listenError(err error, addr string) error {
	why, ok := whyNotListening(err)
	if !ok {
		return err
	}
	return fmt.Errorf("cannot listen on %s: %w: choose another with --addr, or one with port 0 for any free port", addr, why)
}

// whyNotListening is the system's word, without the address and the call.
func whyNotListening(err error) (why error, ok bool) {
	failed, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return nil, false
	}
	if system, ok := errors.AsType[*os.SyscallError](failed.Err); ok {
		return system.Err, true
	}
	return failed.Err, true
}

// emulation is an emulator that runs.
type emulation struct {
	server *entratest.Server
	state  stateDir
	file   *configFile // nil: the default directory
	every  time.Duration
	out    emulatorPrinter
}

// emulatorPrinter says what happens.
type emulatorPrinter interface {
	listening(started) error
	reloaded(path string, d stateDocument) error
	notReloaded(path string, err error) error
	stopped() error
}

// started is what there is to say about an emulator that accepts connections.
type started struct {
	document  stateDocument
	address   net.Addr
	console   string
	stateFile string
	config    string // empty: the default directory
}

// serve runs until the context ends, which is no error.
func (e *emulation) serve(ctx context.Context) error {
	document := newStateDocument(e.server, e.state.path(caFile))
	if err := e.state.publish(document); err != nil {
		return err
	}
	defer e.state.withdraw()
	now := started{document: document, address: e.server.Addr(), console: e.server.URL() + "/emulator", stateFile: e.state.path(stateFile)}
	if e.file != nil {
		now.config = e.file.path
	}
	if err := e.out.listening(now); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	if e.file != nil {
		if err := e.follow(ctx); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
	}
	<-ctx.Done()
	return e.out.stopped()
}

// follow reads the configuration again whenever its file has changed, until the context ends.
func (e *emulation) follow(ctx context.Context) error {
	ticker := time.NewTicker(e.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if !e.file.changed() {
			continue
		}
		if err := e.reload(); err != nil {
			return err
		}
	}
}

// reload takes a good configuration and says what is wrong with a bad one. Its error is that of the output.
func (e *emulation) reload() error {
	directory, err := e.file.read()
	if err == nil {
		err = e.server.SetDirectory(directory)
	}
	if err != nil {
		return e.out.notReloaded(e.file.path, err)
	}
	document := newStateDocument(e.server, e.state.path(caFile))
	if err := e.state.publish(document); err != nil {
		return e.out.notReloaded(e.file.path, err)
	}
	return e.out.reloaded(e.file.path, document)
}

// defaultStateDir is stable, so that people trust the authority in it once.
func defaultStateDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no cache directory of yours (%w): name a directory with --state-dir", err)
	}
	return filepath.Join(cache, "authcode", "emulator"), nil
}

// expiresSoon is when a new authority is due: before people find out in the middle of their work.
func expiresSoon(ca tls.Certificate, now time.Time) bool {
	return now.AddDate(0, 1, 0).After(ca.Leaf.NotAfter) || now.Before(ca.Leaf.NotBefore)
}
