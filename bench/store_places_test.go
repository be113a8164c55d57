package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/boltstore"
	"github.com/authcode-go/authcode/internal/testserver"
	"github.com/authcode-go/authcode/pgstore"
	"github.com/authcode-go/authcode/redisstore"
)

// place is somewhere to keep grants. open gives a store without records; it skips where the server is not installed.
type place struct {
	name string
	open func(testing.TB) fullStore
}

// fullStore is what all stores here are.
type fullStore interface {
	authcode.Store
	authcode.Leaser
	authcode.Lister
}

var places = []place{
	{"memory", func(testing.TB) fullStore { return authcode.NewMemoryStore().(fullStore) }},
	{"redis", func(tb testing.TB) fullStore { return newRedisStore(tb, flushedRedis(tb, redisServer)) }},
	{"redis-aof", func(tb testing.TB) fullStore { return newRedisStore(tb, flushedRedis(tb, redisOnDisk)) }},
	{"postgres", func(tb testing.TB) fullStore { return newPostgresStore(tb, "") }},
	{"postgres-async", func(tb testing.TB) fullStore { return newPostgresStore(tb, "&synchronous_commit=off") }},
	{"bolt", func(tb testing.TB) fullStore {
		store, _ := newBoltStore(tb)
		return store
	}},
}

// The servers, started by the first who needs one, and stopped by TestMain.
var (
	redisServer    = sync.OnceValues(func() (*testserver.Redis, error) { return testserver.StartRedis() })
	redisOnDisk    = sync.OnceValues(func() (*testserver.Redis, error) { return testserver.StartRedis("--appendonly", "yes") })
	postgresServer = sync.OnceValues(func() (*testserver.Postgres, error) { return testserver.StartPostgres() })
)

func flushedRedis(tb testing.TB, start func() (*testserver.Redis, error)) *testserver.Redis {
	tb.Helper()
	server, err := start()
	testserver.Need(tb, err)
	if _, err := server.Do("FLUSHALL", "SYNC"); err != nil {
		tb.Fatal(err)
	}
	return server
}

const storeCallers = 16

func newRedisStore(tb testing.TB, server *testserver.Redis) fullStore {
	return newRedisStoreOf(tb, server, &redis.Options{})
}

func newRedisStoreOf(tb testing.TB, server *testserver.Redis, options *redis.Options) fullStore {
	options.Addr, options.Password, options.PoolSize = server.Address, server.Password, 2*storeCallers
	client := redis.NewClient(options)
	tb.Cleanup(func() { _ = client.Close() })
	return redisstore.New(client, nil)
}

func newPostgresStore(tb testing.TB, settings string) fullStore {
	return newPostgresStoreOf(tb, newPool(tb, settings, nil))
}

func newPostgresStoreOf(tb testing.TB, pool *pgxpool.Pool) fullStore {
	tb.Helper()
	store, err := pgstore.New(pool, nil)
	if err == nil {
		err = store.Migrate(tb.Context())
	}
	if err == nil {
		_, err = pool.Exec(tb.Context(), "TRUNCATE authcode_records, authcode_leases")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

// newPool has as many connections as there are callers. dial may be nil.
func newPool(tb testing.TB, settings string, dial pgconn.DialFunc) *pgxpool.Pool {
	tb.Helper()
	server, err := postgresServer()
	testserver.Need(tb, err)
	config, err := pgxpool.ParseConfig(fmt.Sprintf("%s&pool_max_conns=%d%s", server.URL, storeCallers, settings))
	if err != nil {
		tb.Fatal(err)
	}
	if dial != nil {
		config.ConnConfig.DialFunc = dial
	}
	pool, err := pgxpool.NewWithConfig(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

func newBoltStore(tb testing.TB) (fullStore, string) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "authcode.db")
	store, err := boltstore.Open(path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	return store, path
}

// nowhere takes every record and has none: what an App keeps in front of it is all there is.
type nowhere struct{ authcode.Store }

func (nowhere) Get(context.Context, string) ([]byte, string, bool, error) { return nil, "", false, nil }

func (nowhere) Swap(context.Context, string, string, string, []byte, time.Duration) (bool, error) {
	return true, nil
}
