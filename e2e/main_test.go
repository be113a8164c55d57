package e2e

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

var (
	// long runs the fleet, chaos and outage tests at full length.
	long = flag.Bool("long", false, "run the fleet, chaos and outage tests at full length")
	// update rewrites what documents show of a run: with -run TestClients the tables of docs/clients.md, with -run Screenshots the
	// pictures in docs/images.
	update = flag.Bool("update", false, "write what was observed into the documents")
)

func TestMain(m *testing.M) {
	if os.Getenv(workerVariable) != "" {
		os.Exit(workerMain())
	}
	// A toxic that waits for ever leaves the stub before it behind when it is removed.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/Shopify/toxiproxy/v2/toxics.(*NoopToxic).Pipe"))
}
