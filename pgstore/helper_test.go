package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/pgstore"
)

const pgxSimple = pgx.QueryExecModeSimpleProtocol // prepares nothing itself

func put(t testing.TB, store authcode.Store, key string, ttl time.Duration) {
	t.Helper()
	if swapped, err := store.Swap(t.Context(), key, "", "v1", []byte("data"), ttl); !swapped || err != nil {
		t.Fatalf("Swap(%q) = %t, %v", key, swapped, err)
	}
}

func wantError(t *testing.T, err error, code, says string) {
	t.Helper()
	var e *pgconn.PgError
	if err == nil || !strings.HasPrefix(err.Error(), "pgstore: ") || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %v, want one line of this package with %q", err, says)
	}
	if code != "" && (!errors.As(err, &e) || e.Code != code) {
		t.Errorf("the error is %v, want code %s", err, code)
	}
}

func ExampleNew() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://app@db.example.com/app")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	store, err := pgstore.New(pool, &pgstore.Options{Schema: "auth"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%T\n", store)
	// Output: *pgstore.Store
}
