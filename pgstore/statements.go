package pgstore

import (
	"context"
	_ "embed" // schema.sql
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schema string

const (
	defaultPrefix = "authcode_"
	maxName       = 63 // bytes; PostgreSQL cuts longer ones off, to what may be another table's
)

// names are those of tables and index, quoted.
type names struct{ records, leases, index string }

func newNames(options Options) (names, error) {
	prefix := options.TablePrefix
	if prefix == "" {
		prefix = defaultPrefix
	}
	longest := prefix + "records_expires_at"
	if len(longest) > maxName || strings.ContainsRune(prefix+options.Schema, 0) {
		return names{}, fmt.Errorf("pgstore: TablePrefix has %d bytes: give it %d at most, and no zero", len(prefix), maxName-len(longest)+len(prefix))
	}
	in := func(table string) string {
		if options.Schema == "" {
			return pgx.Identifier{table}.Sanitize()
		}
		return pgx.Identifier{options.Schema, table}.Sanitize()
	}
	return names{records: in(prefix + "records"), leases: in(prefix + "leases"), index: pgx.Identifier{longest}.Sanitize()}, nil
}

// statements are what a Store sends.
type statements struct {
	schema                                         string
	get, insert, update, delete, lease, release    string
	firstPage, nextPage, cleanRecords, cleanLeases string
}

// statements puts the names in. Times are compared with clock_timestamp(), the time after a wait for another statement, and not
// with now(), the time before it.
func (n names) statements() statements {
	put := strings.NewReplacer("authcode_records_expires_at", n.index, "authcode_records", n.records, "authcode_leases", n.leases).Replace
	return statements{
		schema: put(schema),

		// One row always, so that it also says of a record that is not there whether a standby said so.
		get: put(`SELECT r.version, r.data, pg_is_in_recovery() FROM (SELECT 1) AS one
			LEFT JOIN authcode_records AS r ON r.key = $1 AND r.expires_at > clock_timestamp()`),

		// Who finds newVersion there wrote it, and did not hear the answer.
		insert: put(`INSERT INTO authcode_records AS r (key, version, data, expires_at)
			VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 microsecond')
			ON CONFLICT (key) DO UPDATE SET version = excluded.version, data = excluded.data, expires_at = excluded.expires_at
			WHERE r.expires_at <= clock_timestamp() OR r.version = excluded.version`),
		update: put(`UPDATE authcode_records SET version = $2, data = $3, expires_at = clock_timestamp() + $4 * interval '1 microsecond'
			WHERE key = $1 AND version IN ($5, $2) AND expires_at > clock_timestamp()`),
		delete: put(`DELETE FROM authcode_records WHERE key = $1`),

		lease: put(`INSERT INTO authcode_leases AS l (key, owner, expires_at)
			VALUES ($1, $2, clock_timestamp() + $3 * interval '1 microsecond')
			ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
			WHERE l.owner = excluded.owner OR l.expires_at <= clock_timestamp()`),
		// Not worth a wait for the disk: one that a crash undoes costs others the rest of the lease's time.
		release: put(`DELETE FROM authcode_leases WHERE key = $1 AND owner = $2
			AND set_config('synchronous_commit', 'off', true) IS NOT NULL`),

		firstPage: put(`SELECT key FROM authcode_records WHERE key >= $1 AND expires_at > now() ORDER BY key LIMIT $2`),
		nextPage:  put(`SELECT key FROM authcode_records WHERE key > $1 AND expires_at > now() ORDER BY key LIMIT $2`),

		cleanRecords: put(`WITH over AS (SELECT key FROM authcode_records WHERE expires_at <= now() ORDER BY expires_at LIMIT $1
			FOR UPDATE SKIP LOCKED) DELETE FROM authcode_records AS r USING over WHERE r.key = over.key`),
		cleanLeases: put(`WITH over AS (SELECT key FROM authcode_leases WHERE expires_at <= now() LIMIT $1
			FOR UPDATE SKIP LOCKED) DELETE FROM authcode_leases AS l USING over WHERE l.key = over.key`),
	}
}

const pageSize = 1000

// pager goes through the keys in the order of their bytes, from the prefix on to the first without it. Nothing is matched, so
// nothing in a prefix is a pattern, and the primary key's index has the order.
type pager struct {
	prefix string
	last   string // of the page before
	begun  bool
	isOver bool
}

func newPager(prefix string) *pager { return &pager{prefix: prefix} }

func (s *Store) page(ctx context.Context, p *pager) (keys []string, err error) {
	sql, from := s.sql.nextPage, p.last
	if !p.begun {
		sql, from = s.sql.firstPage, p.prefix
	}
	err = s.retry(func() error {
		rows, err := s.db.Query(ctx, sql, unprepared, from, pageSize)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, err
	}
	p.begun, p.isOver = true, len(keys) < pageSize
	for i, key := range keys {
		if !strings.HasPrefix(key, p.prefix) {
			p.isOver = true
			return keys[:i], nil
		}
		p.last = key
	}
	return keys, nil
}
