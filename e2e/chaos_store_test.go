//go:build unix

package e2e

import (
	"context"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/authcode-go/authcode/internal/testserver"
)

// mortalStore is a store's server that can be killed and run again. What it acknowledged is on disk.
type mortalStore struct {
	spec    storeSpec // past the proxies
	kill    func()
	restart func() error
}

func startMortalStore(t *testing.T, kind string) *mortalStore {
	t.Helper()
	if kind == "redis" {
		server, err := testserver.StartRedis("--appendonly", "yes", "--appendfsync", "always")
		testserver.Need(t, err)
		t.Cleanup(func() { server.Stop() })
		return &mortalStore{storeSpec{Kind: kind, Address: server.Address, Password: server.Password}, func() { server.Kill() }, server.Restart}
	}
	server, err := testserver.StartPostgres("max_connections=300")
	testserver.Need(t, err)
	t.Cleanup(func() { server.Stop() })
	spec := storeSpec{Kind: kind, Address: server.URL}
	migrate(t, spec)
	return &mortalStore{spec, func() { server.Kill() }, server.Restart}
}

// at is the store by way of a proxy.
func (s storeSpec) at(address string) storeSpec {
	if s.Kind == "redis" {
		s.Address = address
		return s
	}
	u, err := url.Parse(s.Address)
	if err != nil {
		panic(err) // it is ours
	}
	u.Host = address
	s.Address = u.String()
	return s
}

func (s storeSpec) hostPort() string {
	if u, err := url.Parse(s.Address); err == nil && u.Host != "" {
		return u.Host
	}
	return s.Address
}

// faultyWay is one replica's way to the store.
type faultyWay struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

// newWay makes a way to the store that goes wrong on demand.
func newWay(t *testing.T, name string, to storeSpec) *faultyWay {
	t.Helper()
	port, err := testserver.FreePort() // one that it gets again when it was cut
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, name, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), to.hostPort())
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return &faultyWay{t, proxy}
}

func (w *faultyWay) address() string { return w.proxy.Listen }

// cut ends the connections and refuses new ones.
func (w *faultyWay) cut() { w.proxy.Stop() }

func (w *faultyWay) mend() {
	if err := w.proxy.Start(); err != nil {
		w.t.Error(err)
	}
}

// Toxics, as toxiproxy's README describes them.
const (
	slowly = `{"name":"fault","type":"latency","stream":"upstream","attributes":{"latency":400,"jitter":300}}`
	mutely = `{"name":"fault","type":"timeout","stream":"downstream","attributes":{"timeout":0}}` // half-open: what was asked is done
)

func (w *faultyWay) spoil(toxic string) {
	if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		w.t.Error(err)
	}
}

// heal ends the connections, too: removing a toxic that waits for ever may leave some as they were.
func (w *faultyWay) heal() {
	if err := w.proxy.Toxics.RemoveToxic(context.Background(), "fault"); err != nil {
		w.t.Error(err)
	}
	w.cut()
	w.mend()
}
