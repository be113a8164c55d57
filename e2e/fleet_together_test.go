package e2e

import (
	"sync"
	"testing"
	"time"
)

// onStores runs a test on each store, at the same time: they wait more than they work, whatever -parallel says.
func onStores(t *testing.T, test func(*testing.T, storeSpec)) {
	together(t, []string{"redis", "postgres"}, func(t *testing.T, kind string) {
		if kind == "redis" {
			test(t, startRedis(t))
			return
		}
		test(t, startPostgres(t, "max_connections=300"))
	})
}

// together runs a subtest for each name, at the same time.
func together(t *testing.T, names []string, test func(*testing.T, string)) {
	t.Helper()
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() { t.Run(name, func(t *testing.T) { test(t, name) }) })
	}
	all.Wait()
}

// waitUntil polls.
func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(startTime); !is(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
