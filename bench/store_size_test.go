package bench

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/authcode-go/authcode/internal/testserver"
)

const sizedUsers = 10_000

// BenchmarkStoredBytes is what a user takes in a store: of one sign-in each, and after each was refreshed once, which leaves behind
// what the store does not give back at once.
func BenchmarkStoredBytes(b *testing.B) {
	b.Run("record", func(b *testing.B) {
		store := &counting{fullStore: places[0].open(b)}
		signInAll(b, newReplica(b, newStoreServer(b), store), 10)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(store.largest), "B/record")
	})
	b.Run("redis", func(b *testing.B) {
		server := flushedRedis(b, redisServer)
		stored(b, newRedisStore(b, server), func() map[string]float64 {
			return map[string]float64{"used-memory": redisMemory(b, server)}
		})
	})
	b.Run("postgres", func(b *testing.B) {
		pool := newPool(b, "", nil)
		stored(b, newPostgresStoreOf(b, pool), func() map[string]float64 {
			sizes := make(map[string]float64)
			for name, sql := range map[string]string{
				"main":    `SELECT pg_relation_size('authcode_records')`,
				"toast":   `SELECT pg_total_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'authcode_records'::regclass`,
				"indexes": `SELECT pg_indexes_size('authcode_records')`,
				"total":   `SELECT pg_total_relation_size('authcode_records')`,
			} {
				var size int64
				if err := pool.QueryRow(b.Context(), sql).Scan(&size); err != nil {
					b.Fatal(err)
				}
				sizes[name] = float64(size)
			}
			return sizes
		})
	})
	b.Run("bolt", func(b *testing.B) {
		store, path := newBoltStore(b)
		stored(b, store, func() map[string]float64 {
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			return map[string]float64{"file": float64(info.Size())}
		})
	})
}

func stored(b *testing.B, store fullStore, sizes func() map[string]float64) {
	r := newReplica(b, newStoreServer(b), store)
	before := sizes()
	report := func(when string) {
		for name, size := range sizes() {
			b.ReportMetric((size-before[name])/sizedUsers, "B/user-"+name+when)
		}
	}
	b.ReportMetric(0, "ns/op")
	signInAll(b, r, sizedUsers)
	report("")
	spread(b, storeCallers, 0, sizedUsers, func(ctx context.Context, user int) error { return r.token(ctx, user, renewing) })
	report("-refreshed")
}

var usedMemory = regexp.MustCompile(`(?m)^used_memory:(\d+)`)

// redisMemory is used_memory of INFO: what the allocator gave, clients' buffers included.
func redisMemory(tb testing.TB, server *testserver.Redis) float64 {
	tb.Helper()
	info, err := server.Do("INFO", "memory")
	if err != nil {
		tb.Fatal(err)
	}
	match := usedMemory.FindStringSubmatch(info)
	if match == nil {
		tb.Fatal("INFO memory has no used_memory")
	}
	used, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		tb.Fatal(err)
	}
	return used
}

// BenchmarkAccountMemoryInFrontOfAStore is what an account takes in an App, all of it, with and without its refresh token: the
// difference is what it would save to read the refresh token from the store at each refresh.
func BenchmarkAccountMemoryInFrontOfAStore(b *testing.B) {
	for _, length := range []int{refreshBytes, 16} {
		b.Run(fmt.Sprintf("refresh-token=%d", length), func(b *testing.B) {
			var total float64
			for range b.N {
				total += heapPer(manyAccounts, func() any {
					server := newStoreServer(b)
					server.refreshBytes = length
					r := newReplica(b, server, nowhere{})
					signInAll(b, r, manyAccounts)
					return r
				})
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(total/float64(b.N), "B/account")
		})
	}
}
