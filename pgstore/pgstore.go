package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DB is what a [Store] needs of a database: a *pgxpool.Pool. (A single connection is not safe for concurrent use, and in a
// transaction of yours a Swap would be seen by nobody until it ends.)
type DB interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// Options of a [Store]. The zero value is ready.
type Options struct {
	// Schema has the tables; "" is the first of the connection's search_path. Migrate does not create it.
	Schema string
	// TablePrefix begins the tables' names; "" is "authcode_", for authcode_records and authcode_leases. Any characters may
	// be in it, up to 45 bytes: it is quoted.
	TablePrefix string
}

// Store is an authcode.Store, Leaser and Lister in PostgreSQL 12 or later. It is safe for concurrent use. The database stays its
// owner's, who closes it.
type Store struct {
	db  DB
	sql statements
}

// New makes a Store of a database, and asks it nothing. nil options mean the zero value. Error: a prefix that is too long for
// PostgreSQL's names.
func New(db DB, options *Options) (*Store, error) {
	if options == nil {
		options = &Options{}
	}
	names, err := newNames(*options)
	if err != nil {
		return nil, err
	}
	return &Store{db: db, sql: names.statements()}, nil
}

// Migrate creates what is missing of the tables; schema.sql is what it runs. It may be called by all replicas whenever they
// start, and needs the right to create tables.
func (s *Store) Migrate(ctx context.Context) error {
	// Several statements in one string are one transaction, in the simple protocol alone.
	_, err := s.db.Exec(ctx, s.sql.schema, pgx.QueryExecModeSimpleProtocol)
	return failed("Migrate", err)
}

// Get gives the record under key, as authcode.Store says.
func (s *Store) Get(ctx context.Context, key string) (data []byte, version string, found bool, err error) {
	var stored *string
	var standby bool
	err = s.retry(func() error {
		return s.db.QueryRow(ctx, s.sql.get, unprepared, key).Scan(&stored, &data, &standby)
	})
	if err == nil && standby {
		err = errStandby
	}
	if err != nil || stored == nil {
		return nil, "", false, failed("Get", err)
	}
	return data, *stored, true, nil
}

// Swap writes the record if the stored version is oldVersion, as authcode.Store says.
func (s *Store) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (swapped bool, err error) {
	if data == nil {
		data = []byte{} // and not NULL
	}
	if oldVersion == "" {
		return s.affects(ctx, "Swap", s.sql.insert, key, newVersion, data, ttl.Microseconds())
	}
	return s.affects(ctx, "Swap", s.sql.update, key, newVersion, data, ttl.Microseconds(), oldVersion)
}

// Delete removes the record and leaves a lease on its key alone.
func (s *Store) Delete(ctx context.Context, key string) error {
	_, err := s.affects(ctx, "Delete", s.sql.delete, key)
	return err
}

// Lease gives owner the key for ttl if nobody else has it, as authcode.Leaser says.
func (s *Store) Lease(ctx context.Context, key, owner string, ttl time.Duration) (granted bool, err error) {
	return s.affects(ctx, "Lease", s.sql.lease, key, owner, ttl.Microseconds())
}

// Release ends owner's lease and nobody else's.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	_, err := s.affects(ctx, "Release", s.sql.release, key, owner)
	return err
}

// List calls yield for each key with prefix that has a record, as authcode.Lister says. It reads a thousand keys per statement,
// and holds no connection while yield runs.
func (s *Store) List(ctx context.Context, prefix string, yield func(key string) bool) error {
	for keys := newPager(prefix); ; {
		page, err := s.page(ctx, keys)
		if err != nil {
			return failed("List", err)
		}
		for _, key := range page {
			if !yield(key) {
				return nil
			}
		}
		if keys.isOver {
			return nil
		}
	}
}

// Clean removes records and leases that are over, at most limit of each; 0 is 1000. It gives their number: while that is
// limit or more, there may be others. Replicas may clean at the same time, and nobody waits for them.
func (s *Store) Clean(ctx context.Context, limit int) (removed int64, err error) {
	if limit <= 0 {
		limit = 1000
	}
	for _, sql := range []string{s.sql.cleanRecords, s.sql.cleanLeases} {
		n, err := s.exec(ctx, sql, limit)
		removed += n
		if err != nil {
			return removed, failed("Clean", err)
		}
	}
	return removed, nil
}

// unprepared sends a statement and its arguments together, and keeps nothing on the connection, which behind a pooler is
// another one each time.
const unprepared = pgx.QueryExecModeExec

// affects says whether a statement changed a row.
func (s *Store) affects(ctx context.Context, method, sql string, arguments ...any) (bool, error) {
	n, err := s.exec(ctx, sql, arguments...)
	return n > 0, failed(method, err)
}

func (s *Store) exec(ctx context.Context, sql string, arguments ...any) (affected int64, err error) {
	err = s.retry(func() error {
		tag, err := s.db.Exec(ctx, sql, append([]any{unprepared}, arguments...)...)
		affected = tag.RowsAffected()
		return err
	})
	return affected, err
}

// tries of a statement that lost against another one. Each time one gets through, so this is the number of replicas that may
// meet at one record.
const tries = 100

// retry repeats what a server whose transactions are serializable by default has undone: nothing of it happened.
func (s *Store) retry(do func() error) (err error) {
	for range tries {
		var e *pgconn.PgError
		if err = do(); !errors.As(err, &e) || e.Code != serializationFailure && e.Code != deadlockDetected {
			return err
		}
	}
	return err
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	readOnlyTransaction   = "25006"
	undefinedTable        = "42P01"
	insufficientPrivilege = "42501"
)

var errStandby = errors.New("the server is a standby, whose records may be old: connect to the primary (target_session_attrs=read-write)")

// failed says which method failed, and what to do about it.
func failed(method string, err error) error {
	if err == nil {
		return nil
	}
	advice := ""
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		switch e.Code {
		case readOnlyTransaction:
			advice = " (connect to the primary: target_session_attrs=read-write)"
		case undefinedTable:
			advice = " (call Migrate, or run schema.sql)"
		case insufficientPrivilege:
			advice = " (the role needs SELECT, INSERT, UPDATE and DELETE on both tables, and CREATE on the schema for Migrate)"
		}
	}
	return fmt.Errorf("pgstore: %s: %w%s", method, err, advice)
}
