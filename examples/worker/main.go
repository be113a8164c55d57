// Command worker is a job that calls an API on behalf of each user of the web app, none of whom is there. Its README says how to run it.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/authcode-go/authcode/examples/internal/setup"
)

func main() {
	job := job{out: os.Stdout}
	flag.StringVar(&job.url, "url", "https://graph.microsoft.com/v1.0/me", "`URL` to GET as each user")
	flag.StringVar(&job.scope, "scope", "https://graph.microsoft.com/User.Read", "`SCOPE` of the tokens for it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, os.Getenv, job); err != nil {
		slog.Error("worker: " + err.Error())
		os.Exit(1)
	}
}

// start runs the job with the web app's registration and store.
func start(ctx context.Context, env setup.Environment, j job) error {
	client, err := env.HTTPClient()
	if err != nil {
		return err
	}
	app, end, err := env.App(ctx, client)
	if err != nil {
		return err
	}
	defer end()
	j.app, j.client = app, client
	return j.run(ctx)
}
