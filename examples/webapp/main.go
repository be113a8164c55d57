// Command webapp is a web app whose users sign in at Microsoft Entra ID and read their own files in Azure Storage. Its README says how
// to run it.
package main

import (
	"context"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/authcode-go/authcode/examples/internal/setup"
	"github.com/authcode-go/authcode/examples/webapp/site"
	"github.com/authcode-go/authcode/signin"
)

func main() {
	listen := flag.String("listen", "localhost:3000", "`HOST:PORT` to listen on, for a browser or for a reverse proxy that ends TLS")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Getenv, *listen); err != nil {
		slog.Error("webapp: " + err.Error())
		os.Exit(1)
	}
}

// serve runs the app until the context ends.
func serve(ctx context.Context, env setup.Environment, listen string) error {
	handler, end, err := newWebApp(ctx, env)
	if err != nil {
		return err
	}
	defer end()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute}
	slog.Info("listening", "address", listener.Addr().String(), "redirect URI", env.RedirectURI())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return server.Shutdown(ctx) // then the App writes what it has not written yet
}

// newWebApp makes the app of the environment.
func newWebApp(ctx context.Context, env setup.Environment) (handler http.Handler, end func(), err error) {
	client, err := env.HTTPClient()
	if err != nil {
		return nil, nil, err
	}
	app, end, err := env.App(ctx, client)
	if err != nil {
		return nil, nil, err
	}
	options := &signin.Options{
		ErrorPage:  site.ErrorPage,
		KeepGrants: env("KEEP_GRANTS") == "1", // for ../worker, which acts for users who have gone home
		Scopes:     []string{"https://graph.microsoft.com/User.Read"},
	}
	storage := env("STORAGE_URL")
	if storage != "" {
		options.Scopes = append(options.Scopes, storageScope) // consented to at the sign-in, not in the middle of the work
	}
	h, err := signin.New(app, options)
	if err != nil {
		end()
		return nil, nil, err
	}
	pages := site.Options{AuthenticationContext: env("AUTHENTICATION_CONTEXT")}
	if storage != "" {
		pages.Files, pages.FilesFrom = newFiles(h, storage, client).list, storage
	}
	return site.New(h, pages), end, nil
}
