package e2e

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// update rewrites what documents show of a run: with -run TestClients the tables of docs/clients.md, with -run Screenshots the
// pictures in docs/images.
var update = flag.Bool("update", false, "write what was observed into the documents")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
