// Package boltstore keeps authcode's records in one file, for one process on one machine: a tool, a desktop program, a service
// without replicas.
//
//	store, err := boltstore.Open(filepath.Join(directory, "authcode.db"), nil)
//	defer store.Close()
//	app, err := authcode.NewApp(tenantID, clientID, redirectURI, auth, &authcode.AppOptions{Store: store, Sealer: sealer})
//
// The file is bbolt's. It belongs to the process that has it open; another one gets an error, or waits as long as
// [Options.Wait] says. It has to be on a local disk: network file systems do not lock reliably.
//
// # What it guarantees
//
// A write that succeeded is on disk. One that failed, since the disk is full or the power went, leaves what was there before.
// Writers that meet share one write to the disk. Leases are in memory, since they end with the process as their owners do. Times
// are this machine's: a clock that is set back gives records more time. A file that something else has written to gives errors
// where bbolt sees it: its pages have no checksums. A single record that is damaged is given as one that does not open: its user signs
// in again. It stays until then.
//
// Records that are over leave as others are written, a few at each write. The file keeps its size and fills up again.
//
// # Whose file it is
//
// Records are sealed, and yet the file is for its owner's eyes: Open makes it with mode 0600 and refuses one that somebody else
// owns, reads or could put in its place. On Windows, Solaris and AIX these checks are not made; there the directory's access list is what counts.
package boltstore
