package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/spf13/cobra"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/cmd/authcode/internal/site"
	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/signin"
)

const (
	defaultPort  = 3000
	mostPort     = 1<<16 - 1
	endingAtMost = 5 * time.Second
)

// served is a web app that runs, and the emulator that its users sign in at.
type served struct {
	app      *authcode.App
	caFile   string
	emulator *entratest.Server
	listener net.Listener
	server   *http.Server
}

// serveDemo serves the web app until a signal comes.
func serveDemo(cmd *cobra.Command, s streams, port int, out servePrinter) error {
	if port < 0 || port > mostPort {
		return misused(cmd, "--port is a number from 0, for any free port, to %d, not %d", mostPort, port)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if why, ok := whyNotListening(err); ok {
		err = fmt.Errorf("cannot listen on port %d: %w: choose another with --port, or 0 for any free one", port, why)
	}
	if err != nil {
		return err
	}
	w := &served{listener: listener}
	err = w.start(s)
	if err == nil {
		err = w.run(cmd.Context(), out)
	}
	return errors.Join(err, w.end())
}

// start starts the emulator, with an app registration for the address, and makes the web app.
func (w *served) start(s streams) error {
	state, err := openStateDir("")
	if err != nil {
		return err
	}
	options := &entratest.Options{Directory: w.directory()}
	// The authority of `authcode emulator`: a browser that trusts it does not warn.
	if options.CA, _, err = state.authority("localhost", time.Now()); err != nil {
		return err
	}
	w.caFile = state.path(caFile)
	if w.emulator, err = entratest.NewServer(options); err != nil {
		return err
	}
	registration := options.Directory.App("web")
	w.app, err = authcode.NewApp(registration.TenantID, registration.ClientID, w.origin()+"/auth/callback", authcode.SecretAuth(registration.Secrets[0]),
		&authcode.AppOptions{ClientOptions: azcore.ClientOptions{
			Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: w.emulator.URL()},
			Transport: w.emulator.Client(),
		}})
	if err != nil {
		return err
	}
	h, err := signin.New(w.app, &signin.Options{
		ErrorPage: site.ErrorPage,
		Logger:    slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Scopes:    []string{graphScope},
	})
	if err != nil {
		return err
	}
	w.server = &http.Server{
		Handler:           site.New(h, site.Options{Notice: "A demonstration: the Microsoft Entra ID behind it is emulated on this machine, and its sign-in page offers its users."}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	return nil
}

// directory is the default one, in which the app web is at home at this address.
func (w *served) directory() *entratest.Directory {
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		if app := &directory.Apps[i]; app.Name == "web" {
			app.RedirectURIs = []string{w.origin() + "/auth/callback", w.origin() + "/"}
			app.FrontChannelLogoutURL = w.origin() + "/auth/frontchannel-logout"
		}
	}
	return directory
}

// origin names this machine as browsers do, and as app registrations allow without TLS.
func (w *served) origin() string {
	return "http://" + net.JoinHostPort("localhost", strconv.Itoa(w.listener.Addr().(*net.TCPAddr).Port))
}

// run serves until the context ends, which is no error.
func (w *served) run(ctx context.Context, out servePrinter) error {
	failed := make(chan error, 1)
	go func() { failed <- w.server.Serve(w.listener) }()
	if err := out.serving(w.document()); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return out.stopped()
	}
}

func (w *served) end() error {
	var all []error
	if w.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), endingAtMost)
		defer cancel()
		if w.server.Shutdown(ctx) != nil { // a browser that reads slowly: it is told no more
			all = append(all, w.server.Close())
		}
	}
	_ = w.listener.Close() // the server has done so, if it ran
	if w.app != nil {
		all = append(all, w.app.Close())
	}
	if w.emulator != nil {
		all = append(all, w.emulator.Close())
	}
	return errors.Join(all...)
}
