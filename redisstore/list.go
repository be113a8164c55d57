package redisstore

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

const pageSize = 1000 // keys that a server looks at per request

// List calls yield for each key with prefix that has a record, as authcode.Lister says. It looks at every key of every primary
// (SCAN), a thousand per request, whatever the prefix is, and keeps the keys it has listed in memory, since a server may name
// one twice. It misses records when a failover or a resharding happens meanwhile.
func (s *Store) List(ctx context.Context, prefix string, yield func(key string) bool) error {
	primaries, err := await(ctx, func() ([]*redis.Client, error) { return s.primaries(ctx) })
	if err != nil {
		return failed("List", err)
	}
	l := &listing{pattern: escape(s.prefix+prefix) + "*", prefix: s.prefix, listed: make(map[string]struct{}), yield: yield}
	for _, primary := range primaries {
		if more, err := l.scan(ctx, primary); !more || err != nil {
			return failed("List", err)
		}
	}
	return nil
}

// primaries gives a client of every server that has keys.
func (s *Store) primaries(ctx context.Context) ([]*redis.Client, error) {
	var mu sync.Mutex
	var all []*redis.Client
	collect := func(_ context.Context, client *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, client)
		return nil
	}
	switch client := s.client.(type) {
	case *redis.Client:
		return []*redis.Client{client}, nil
	case interface {
		ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
	}:
		err := client.ForEachMaster(ctx, collect)
		return all, err
	case interface {
		ForEachShard(context.Context, func(context.Context, *redis.Client) error) error
	}:
		err := client.ForEachShard(ctx, collect)
		return all, err
	}
	return nil, errUnknownClient
}

// listing is one List.
type listing struct {
	pattern string
	prefix  string
	listed  map[string]struct{}
	yield   func(string) bool
}

// scan lists the keys of one server, and says whether yield wants more.
func (l *listing) scan(ctx context.Context, primary *redis.Client) (more bool, err error) {
	for cursor := uint64(0); ; {
		page, err := await(ctx, func() (page, error) {
			keys, next, err := primary.ScanType(ctx, cursor, l.pattern, pageSize, "hash").Result()
			if err != nil {
				return page{}, err
			}
			records, err := l.records(ctx, primary, keys)
			return page{records, next}, err
		})
		if err != nil {
			return false, err
		}
		for _, key := range page.keys {
			if _, before := l.listed[key]; before {
				continue
			}
			l.listed[key] = struct{}{}
			if !l.yield(strings.TrimPrefix(key, l.prefix)) {
				return false, nil
			}
		}
		if cursor = page.next; cursor == 0 {
			return true, nil
		}
	}
}

type page struct {
	keys []string
	next uint64
}

// records are those of keys that have more than a lease and are not over.
func (l *listing) records(ctx context.Context, primary *redis.Client, keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	pipeline := primary.Pipeline()
	answers := make([]*redis.Cmd, len(keys))
	for i, key := range keys {
		answers[i] = pipeline.Eval(ctx, isRecord, []string{key})
	}
	if _, err := pipeline.Exec(ctx); err != nil && !redis.HasErrorPrefix(err, "MOVED") {
		return nil, err
	}
	var records []string
	for i, answer := range answers {
		if answer.Val() == int64(1) {
			records = append(records, keys[i])
		}
	}
	return records, nil
}

// escape takes the metacharacters of SCAN's patterns for themselves.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}
