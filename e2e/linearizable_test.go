package e2e

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/boltstore"
	"github.com/authcode-go/authcode/internal/testserver"
	"github.com/authcode-go/authcode/pgstore"
	"github.com/authcode-go/authcode/redisstore"
)

const (
	historyClients = 8
	historyCalls   = 250 // of each client
	historyKeys    = 4
	checkTime      = 30 * time.Second
)

// leasedStore is what all stores here are.
type leasedStore interface {
	authcode.Store
	authcode.Leaser
}

// TestStoresAreLinearizable records what clients on two handles saw, and looks for an order of their calls in which a map and
// a lease of one caller at a time would have given the same answers. https://github.com/anishathalye/porcupine
func TestStoresAreLinearizable(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) [2]leasedStore{
		"memory": func(*testing.T) [2]leasedStore { return twice(authcode.NewMemoryStore().(leasedStore)) },
		"bolt": func(t *testing.T) [2]leasedStore {
			store, err := boltstore.Open(filepath.Join(t.TempDir(), "authcode.db"), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			return twice(store)
		},
		"redis":         openRedis,
		"redis cluster": openRedisCluster,
		"postgres":      openPostgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			history := record(t, open(t))
			if verdict := porcupine.CheckOperationsTimeout(storeModel, history, checkTime); verdict != porcupine.Ok {
				t.Errorf("%d calls: %s", len(history), verdict)
			}
		})
	}
}

// TestLinearizabilityIsReallyChecked records what clients of broken stores see.
func TestLinearizabilityIsReallyChecked(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]leasedStore{
		"Get is a little behind":     &staleStore{leasedStore: authcode.NewMemoryStore().(leasedStore)},
		"Swap looks, then writes":    racyStore{authcode.NewMemoryStore().(leasedStore)},
		"Delete does nothing":        keepingStore{authcode.NewMemoryStore().(leasedStore)},
		"Release is for anybody":     releasingStore{authcode.NewMemoryStore().(leasedStore)},
		"a lost Swap said it did it": boastingStore{authcode.NewMemoryStore().(leasedStore)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if verdict := porcupine.CheckOperationsTimeout(storeModel, record(t, twice(broken)), checkTime); verdict != porcupine.Illegal {
				t.Errorf("the verdict is %s, want %s", verdict, porcupine.Illegal)
			}
		})
	}
}

func twice(store leasedStore) [2]leasedStore { return [2]leasedStore{store, store} }

func openRedis(t *testing.T) [2]leasedStore {
	server, err := testserver.StartRedis()
	testserver.Need(t, err)
	t.Cleanup(server.Stop)
	return bothOf(func() leasedStore {
		client := redis.NewClient(&redis.Options{Addr: server.Address, Password: server.Password})
		t.Cleanup(func() { _ = client.Close() })
		return redisstore.New(client, nil)
	})
}

// openRedisCluster has clients that read from replicas, of what the store asks.
func openRedisCluster(t *testing.T) [2]leasedStore {
	cluster, err := testserver.StartRedisCluster()
	testserver.Need(t, err)
	t.Cleanup(cluster.Stop)
	return bothOf(func() leasedStore {
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addresses(), Password: cluster.Password, RouteRandomly: true})
		t.Cleanup(func() { _ = client.Close() })
		return redisstore.New(client, nil)
	})
}

func openPostgres(t *testing.T) [2]leasedStore {
	server, err := testserver.StartPostgres()
	testserver.Need(t, err)
	t.Cleanup(server.Stop)
	return bothOf(func() leasedStore {
		pool, err := pgxpool.New(t.Context(), server.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		store, err := pgstore.New(pool, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		return store
	})
}

func bothOf(open func() leasedStore) [2]leasedStore { return [2]leasedStore{open(), open()} }

// storeCall is one of a client's.
type storeCall struct {
	method   string
	key      string
	from, to string // versions of a Swap
	owner    string // of a lease
}

// answer is what the client saw.
type answer struct {
	version string // of Get; "": no record
	yes     bool   // of Swap and Lease
	lost    bool   // the context ended first
}

// record lets clients loose on a store and gives what they saw.
func record(t *testing.T, handles [2]leasedStore) []porcupine.Operation {
	t.Helper()
	began := time.Now()
	var all []porcupine.Operation
	var mu sync.Mutex
	var wg sync.WaitGroup
	for id := range historyClients {
		wg.Go(func() {
			c := &storeClient{id: id, store: handles[id%2], random: rand.New(rand.NewPCG(uint64(id), 1)), seen: make(map[string]string)}
			for n := range historyCalls {
				next := c.next(n)
				op := porcupine.Operation{ClientId: id, Input: next, Call: int64(time.Since(began))}
				got, err := c.make(t.Context(), next)
				if err != nil {
					t.Errorf("%+v: %v", next, err)
					return
				}
				op.Output, op.Return = got, int64(time.Since(began))
				if got.lost {
					op.Return = math.MaxInt64 // it may still happen
				}
				mu.Lock()
				all = append(all, op)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return all
}

// storeClient makes calls that have a chance to succeed, since it swaps from what it saw last.
type storeClient struct {
	id     int
	store  leasedStore
	random *rand.Rand
	seen   map[string]string // versions by key
	last   storeCall         // the last Swap
}

func (c *storeClient) next(n int) storeCall {
	key := fmt.Sprint("history:", c.random.IntN(historyKeys))
	switch dice := c.random.IntN(100); {
	case dice < 35:
		return storeCall{method: "Get", key: key}
	case dice < 70:
		c.last = storeCall{method: "Swap", key: key, from: c.seen[key], to: fmt.Sprintf("%d-%d", c.id, n)}
		return c.last
	case dice < 73 && c.last.key != "":
		return c.last // again
	case dice < 80:
		return storeCall{method: "Delete", key: key}
	case dice < 90:
		return storeCall{method: "Lease", key: key, owner: fmt.Sprint("client ", c.id)}
	}
	return storeCall{method: "Release", key: key, owner: fmt.Sprint("client ", c.id)}
}

const oneInLost = 20 // Swaps has a context that ends while it is on its way

func (c *storeClient) make(ctx context.Context, next storeCall) (a answer, err error) {
	switch next.method {
	case "Get":
		var data []byte
		data, a.version, _, err = c.store.Get(ctx, next.key)
		if string(data) != dataOf(a.version) {
			err = fmt.Errorf("version %q has %q", a.version, data)
		}
		c.seen[next.key] = a.version
	case "Swap":
		limited, cancel := context.WithCancel(ctx)
		defer cancel()
		if c.random.IntN(oneInLost) == 0 {
			defer time.AfterFunc(time.Duration(c.random.IntN(500))*time.Microsecond, cancel).Stop()
		}
		a.yes, err = c.store.Swap(limited, next.key, next.from, next.to, []byte(dataOf(next.to)), time.Hour)
		if err != nil && limited.Err() != nil {
			return answer{lost: true}, nil
		}
		if a.yes {
			c.seen[next.key] = next.to
		}
	case "Delete":
		err = c.store.Delete(ctx, next.key)
		c.seen[next.key] = ""
	case "Lease":
		a.yes, err = c.store.Lease(ctx, next.key, next.owner, time.Hour)
	case "Release":
		err = c.store.Release(ctx, next.key, next.owner)
	}
	return a, err
}

func dataOf(version string) string {
	if version == "" {
		return ""
	}
	return "data of " + version
}

// storeModel is a key as one caller at a time would have it. Its state is the version of the record, or the owner of the lease:
// neither knows of the other.
var storeModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make(map[string][]porcupine.Operation)
		for _, op := range history {
			c := op.Input.(storeCall)
			part := c.key
			if c.owner != "" {
				part += " lease"
			}
			parts[part] = append(parts[part], op)
		}
		var all [][]porcupine.Operation
		for _, part := range parts {
			all = append(all, part)
		}
		return all
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		return step(state.(string), input.(storeCall), output.(answer))
	},
}

func step(state string, c storeCall, a answer) (possible bool, next string) {
	switch c.method {
	case "Get":
		return a.version == state, state
	case "Swap":
		yes := state == c.from || state == c.to
		if yes {
			state = c.to
		}
		return a.lost || a.yes == yes, state
	case "Lease":
		yes := state == "" || state == c.owner
		if yes {
			state = c.owner
		}
		return a.yes == yes, state
	case "Release":
		if state == c.owner {
			state = ""
		}
		return true, state
	}
	return true, "" // Delete
}

// staleStore gives now and then what the Get before it gave.
type staleStore struct {
	leasedStore
	mu   sync.Mutex
	gets int
	seen map[string][2]string // data and version by key
}

func (s *staleStore) Get(ctx context.Context, key string) ([]byte, string, bool, error) {
	data, version, found, err := s.leasedStore.Get(ctx, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[string][2]string)
	}
	before, is := s.seen[key]
	s.seen[key] = [2]string{string(data), version}
	if s.gets++; is && s.gets%10 == 0 {
		return []byte(before[0]), before[1], before[1] != "", nil
	}
	return data, version, found, err
}

// racyStore looks at the version and writes in two steps.
type racyStore struct{ leasedStore }

func (s racyStore) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	_, stored, _, err := s.Get(ctx, key)
	if err != nil || stored != oldVersion {
		return stored == newVersion, err
	}
	runtime.Gosched()
	for {
		_, stored, _, err := s.Get(ctx, key)
		if err != nil {
			return false, err
		}
		if swapped, err := s.leasedStore.Swap(ctx, key, stored, newVersion, data, ttl); swapped || err != nil {
			return swapped, err
		}
	}
}

// keepingStore deletes nothing.
type keepingStore struct{ leasedStore }

func (keepingStore) Delete(context.Context, string) error { return nil }

// releasingStore ends anybody's lease.
type releasingStore struct{ leasedStore }

func (s releasingStore) Release(ctx context.Context, key, _ string) error {
	for id := range historyClients {
		if err := s.leasedStore.Release(ctx, key, fmt.Sprint("client ", id)); err != nil {
			return err
		}
	}
	return nil
}

// boastingStore says that every Swap succeeded.
type boastingStore struct{ leasedStore }

func (s boastingStore) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	_, err := s.leasedStore.Swap(ctx, key, oldVersion, newVersion, data, ttl)
	return true, err
}
