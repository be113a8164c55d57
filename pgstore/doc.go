// Package pgstore keeps authcode's records in PostgreSQL.
//
//	pool, err := pgxpool.New(ctx, "postgres://app@db.example.com/app")
//	store, err := pgstore.New(pool, nil)
//	err = store.Migrate(ctx)
//	app, err := authcode.NewApp(tenantID, clientID, redirectURI, auth, &authcode.AppOptions{Store: store, Sealer: sealer})
//
// Every step is one statement. No connection, transaction or lock is held from one call to the next, and nothing is prepared on
// a connection: it works through PgBouncer in transaction mode. Times are the server's.
//
// Records that are over stay in their table until [Store.Clean] removes them: call it now and then, as from a ticker:
//
//	for range time.Tick(5 * time.Minute) {
//		if _, err := store.Clean(ctx, 1000); err != nil {
//			slog.Warn("authcode: clean-up", "error", err)
//		}
//	}
//
// # What it guarantees
//
// A write that succeeded is read by everybody afterwards, of several that compete one wins, and with the server's
// synchronous_commit as it is by default it is on disk before it succeeds: this is the store for a server that takes each
// refresh token once. A failover to an asynchronous standby may still lose the last moment. A standby that is asked by mistake
// gives an error. A lease that was granted outlives a crash, too: a replica that could not write what a refresh brought keeps
// the others from spending the same refresh token.
//
// An error wraps pgx's, and leaves open whether a write happened.
package pgstore
