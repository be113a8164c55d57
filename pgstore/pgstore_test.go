package pgstore_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/internal/testserver"
	"github.com/authcode-go/authcode/pgstore"
	"github.com/authcode-go/authcode/storetest"
)

var (
	_ authcode.Store  = (*pgstore.Store)(nil)
	_ authcode.Leaser = (*pgstore.Store)(nil)
	_ authcode.Lister = (*pgstore.Store)(nil)
)

// The servers that tests share, started by the first that needs one.
var (
	server = sync.OnceValues(func() (*testserver.Postgres, error) { return testserver.StartPostgres("max_connections=300") })
	pooler = sync.OnceValues(func() (*testserver.PgBouncer, error) {
		s, err := server()
		if err != nil {
			return nil, err
		}
		return s.StartPgBouncer()
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	testserver.StopAll()
	os.Exit(code)
}

func serverURL(t testing.TB) string {
	t.Helper()
	s, err := server()
	testserver.Need(t, err)
	return s.URL
}

func connect(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// owned is a store with the pool that it is on.
type owned struct {
	*pgstore.Store
	pool *pgxpool.Pool
}

func (o owned) Close() error {
	o.pool.Close()
	return nil
}

func open(t testing.TB, url string, options *pgstore.Options) owned {
	t.Helper()
	pool := connect(t, url)
	store, err := pgstore.New(pool, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return owned{store, pool}
}

func TestStore(t *testing.T) {
	runSuite(t, serverURL(t), nil)
}

func TestStoreThroughAPoolerThatSharesConnections(t *testing.T) {
	serverURL(t)
	p, err := pooler()
	testserver.Need(t, err)
	runSuite(t, p.URL, nil)
}

// TestStoreWhereTransactionsAreSerializable has a server that undoes what meets another transaction.
func TestStoreWhereTransactionsAreSerializable(t *testing.T) {
	runSuite(t, serverURL(t)+"&default_transaction_isolation=serializable", nil)
}

func TestStoreUnderOtherNames(t *testing.T) {
	options := &pgstore.Options{Schema: `it's "odd"; --`, TablePrefix: `Prefix "quoted" $1 `}
	pool := connect(t, serverURL(t))
	if _, err := pool.Exec(t.Context(), `CREATE SCHEMA "it's ""odd""; --"`); err != nil {
		t.Fatal(err)
	}
	runSuite(t, serverURL(t), options)
	var tables []string
	err := pool.QueryRow(t.Context(), `SELECT array_agg(table_name::text ORDER BY table_name) FROM information_schema.tables
		WHERE table_schema = $1`, options.Schema).Scan(&tables)
	if err != nil || !slices.Equal(tables, []string{options.TablePrefix + "leases", options.TablePrefix + "records"}) {
		t.Errorf("the schema has %q, %v", tables, err)
	}
}

func runSuite(t *testing.T, url string, options *pgstore.Options) {
	openStore := func(t testing.TB) authcode.Store { return open(t, url, options) }
	again := func(t testing.TB, _ authcode.Store) authcode.Store { return openStore(t) }
	t.Run("suite", func(t *testing.T) {
		storetest.Run(t, openStore, &storetest.Options{
			Another: again,
			Reopen: func(t testing.TB, store authcode.Store) authcode.Store {
				_ = store.(owned).Close()
				return openStore(t)
			},
		})
	})
}

func TestMigrateByManyAtOnce(t *testing.T) {
	pool := connect(t, serverURL(t))
	if _, err := pool.Exec(t.Context(), "CREATE SCHEMA many"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			store, err := pgstore.New(pool, &pgstore.Options{Schema: "many"})
			if err != nil {
				t.Error(err)
				return
			}
			for range 3 {
				if err := store.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestMigrateKeepsWhatIsThere also has writers, whom it must not stop.
func TestMigrateKeepsWhatIsThere(t *testing.T) {
	store := open(t, serverURL(t), nil)
	put(t, store, t.Name(), time.Hour)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, version, found, err := store.Get(t.Context(), t.Name()); version != "v1" || !found || err != nil {
		t.Errorf("Get = %q, %t, %v", version, found, err)
	}
}

func TestCleanRemovesWhatIsOverAndNothingElse(t *testing.T) {
	ctx := t.Context()
	store := open(t, serverURL(t), &pgstore.Options{TablePrefix: "clean_"})
	const over, alive = 95, 10
	for i := range over + alive {
		key := fmt.Sprint("key", i)
		put(t, store, key, time.Hour)
		if granted, err := store.Lease(ctx, key, "alice", time.Hour); !granted || err != nil {
			t.Fatal(granted, err)
		}
	}
	for _, table := range []string{"clean_records", "clean_leases"} {
		sql := fmt.Sprintf("UPDATE %s SET expires_at = now() - interval '1 second' WHERE substr(key, 4)::int < %d", table, over)
		if _, err := store.pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := store.Clean(ctx, 10); n != 20 || err != nil {
		t.Errorf("Clean = %d, %v; want 10 records and 10 leases", n, err)
	}
	var mu sync.Mutex
	var total int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				n, err := store.Clean(ctx, 7)
				if err != nil {
					t.Error(err)
				}
				if n == 0 {
					return
				}
				mu.Lock()
				total += n
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if want := int64(2*over - 20); total != want {
		t.Errorf("4 replicas removed %d, want %d: each once", total, want)
	}
	for _, table := range []string{"clean_records", "clean_leases"} {
		var left int
		if err := store.pool.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&left); err != nil || left != alive {
			t.Errorf("%s has %d rows, %v; want %d", table, left, err, alive)
		}
	}
}

// TestCleanWaitsForNobody has a row that another transaction holds.
func TestCleanWaitsForNobody(t *testing.T) {
	ctx := t.Context()
	store := open(t, serverURL(t), &pgstore.Options{TablePrefix: "skip_"})
	put(t, store, "held", time.Hour)
	put(t, store, "free", time.Hour)
	if _, err := store.pool.Exec(ctx, "UPDATE skip_records SET expires_at = now()"); err != nil {
		t.Fatal(err)
	}
	holder, err := store.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := holder.Exec(ctx, "SELECT FROM skip_records WHERE key = 'held' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if n, err := store.Clean(limited, 0); n != 1 || err != nil {
		t.Errorf("Clean = %d, %v; want the free one", n, err)
	}
}

// TestNothingIsHeldBetweenCalls is what poolers and other users of the pool rely on.
func TestNothingIsHeldBetweenCalls(t *testing.T) {
	ctx := t.Context()
	store := open(t, serverURL(t)+"&pool_max_conns=1&pool_min_conns=1", &pgstore.Options{TablePrefix: "held_"})
	put(t, store, "key", time.Hour)
	if granted, err := store.Lease(ctx, "key", "alice", time.Hour); !granted || err != nil {
		t.Fatal(granted, err)
	}
	err := store.List(ctx, "", func(key string) bool {
		_, _, found, err := store.Get(ctx, key)
		if !found || err != nil {
			t.Errorf("Get(%q) = %t, %v", key, found, err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, sql := range map[string]string{
		"prepared statements": "SELECT count(*) FROM pg_prepared_statements",
		"advisory locks":      "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
		"cursors":             "SELECT count(*) FROM pg_cursors WHERE name <> ''",
	} {
		var n int
		if err := store.pool.QueryRow(ctx, sql, pgxSimple).Scan(&n); err != nil || n != 0 {
			t.Errorf("the connection has %d %s, %v", n, what, err)
		}
	}
}

// TestLeasesOutliveACrash: what a lease keeps other replicas from must not happen after a crash, either.
func TestLeasesOutliveACrash(t *testing.T) {
	server, err := testserver.StartPostgres()
	testserver.Need(t, err)
	t.Cleanup(func() { server.Stop() })
	store := open(t, server.URL, nil)
	lease := func(owner string) bool {
		t.Helper()
		granted, err := store.Lease(t.Context(), "key", owner, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return granted
	}
	if !lease("first") {
		t.Fatal("a lease that nobody holds is refused")
	}
	server.Kill()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	store.pool.Reset()
	if lease("second") || !lease("first") {
		t.Error("after a crash the lease is not its owner's")
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	ctx := t.Context()
	pool := connect(t, serverURL(t))
	missing, err := pgstore.New(pool, &pgstore.Options{TablePrefix: "missing_"})
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = missing.Get(ctx, "key")
	wantError(t, err, "42P01", "call Migrate")
	nowhere, err := pgstore.New(pool, &pgstore.Options{Schema: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, nowhere.Migrate(ctx), "3F000", `"nowhere" does not exist`)

	store := open(t, serverURL(t), &pgstore.Options{TablePrefix: "rights_"})
	if _, err := store.pool.Exec(ctx, "CREATE ROLE stranger LOGIN PASSWORD 'password'"); err != nil {
		t.Fatal(err)
	}
	config := store.pool.Config()
	config.ConnConfig.User, config.ConnConfig.Password = "stranger", "password"
	strangers, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(strangers.Close)
	foreign, err := pgstore.New(strangers, &pgstore.Options{TablePrefix: "rights_"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = foreign.Swap(ctx, "key", "", "v1", nil, time.Hour)
	wantError(t, err, "42501", "the role needs")
}

func TestStandbyRefusesEveryMethod(t *testing.T) {
	ctx := t.Context()
	primary, err := testserver.StartPostgres()
	testserver.Need(t, err)
	before := open(t, primary.URL, nil)
	put(t, before, "key", time.Hour)
	before.pool.Close()
	standby, err := primary.Standby()
	if err != nil {
		primary.Stop()
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)

	store, err := pgstore.New(connect(t, standby.URL), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"key", "not there"} {
		_, _, found, err := store.Get(ctx, key)
		if found {
			t.Errorf("Get(%q) found a record on a standby", key)
		}
		wantError(t, err, "", "connect to the primary")
	}
	_, err = store.Swap(ctx, "key", "v1", "v2", nil, time.Hour)
	wantError(t, err, "25006", "connect to the primary")
	wantError(t, store.Delete(ctx, "key"), "25006", "connect to the primary")
	_, err = store.Lease(ctx, "key", "alice", time.Hour)
	wantError(t, err, "", "")
}

func TestPrefixesThatMakeNoNames(t *testing.T) {
	for _, prefix := range []string{strings.Repeat("p", 46), "a\x00b"} {
		if store, err := pgstore.New(nil, &pgstore.Options{TablePrefix: prefix}); err == nil || store != nil {
			t.Errorf("New with TablePrefix %q gives no error", prefix)
		}
	}
	if _, err := pgstore.New(nil, &pgstore.Options{TablePrefix: strings.Repeat("p", 45)}); err != nil {
		t.Errorf("New with a prefix of 45 bytes: %v", err)
	}
}

func BenchmarkStore(b *testing.B) {
	url := serverURL(b)
	storetest.Benchmark(b, func(t testing.TB) authcode.Store { return open(t, url+"&pool_max_conns=16", nil) })
}
