package setup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/boltstore"
	"github.com/authcode-go/authcode/pgstore"
	"github.com/authcode-go/authcode/redisstore"
)

// openStore opens the store that address names: nothing or memory for none, bolt:FILE, redis://… or postgres://… end closes it.
func openStore(ctx context.Context, address string) (store authcode.Store, end func(), err error) {
	scheme, rest, _ := strings.Cut(address, ":")
	switch scheme {
	case "", "memory":
		return nil, func() {}, nil
	case "bolt":
		return openBolt(rest)
	case "redis", "rediss":
		return openRedis(ctx, address)
	case "postgres", "postgresql":
		return openPostgres(ctx, address)
	}
	return nil, nil, errors.New("it is memory, bolt:FILE, redis://HOST:PORT or postgres://USER@HOST/DATABASE")
}

func openBolt(path string) (authcode.Store, func(), error) {
	store, err := boltstore.Open(path, nil)
	if err != nil {
		return nil, nil, err
	}
	return store, func() {
		if err := store.Close(); err != nil {
			slog.Error("closing the store", "error", err)
		}
	}, nil
}

func openRedis(ctx context.Context, address string) (authcode.Store, func(), error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, nil, errors.New("that is no address of a Redis: write redis://HOST:PORT") // the error would repeat a password
	}
	client := redis.NewClient(options)
	store := redisstore.New(client, nil)
	warnings, err := store.Check(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	for _, warning := range warnings {
		slog.Warn("the store may lose records: " + warning)
	}
	return store, func() { _ = client.Close() }, nil
}

// openPostgres makes the tables if they are missing, and cleans them while the program runs.
func openPostgres(ctx context.Context, address string) (authcode.Store, func(), error) {
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return nil, nil, errors.New("that is no address of a PostgreSQL: write postgres://USER@HOST/DATABASE") // the error may repeat a password
	}
	store, err := pgstore.New(pool, nil)
	if err == nil {
		err = store.Migrate(ctx)
	}
	if err != nil {
		pool.Close()
		return nil, nil, fmt.Errorf("making the tables: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cleaned := make(chan struct{})
	go func() {
		defer close(cleaned)
		clean(ctx, store)
	}()
	return store, func() {
		cancel()
		<-cleaned
		pool.Close()
	}, nil
}

func clean(ctx context.Context, store *pgstore.Store) {
	ticker := time.NewTicker(5 * time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if _, err := store.Clean(ctx, 0); err != nil && ctx.Err() == nil {
				slog.Warn("cleaning the store", "error", err)
			}
		}
	}
}
