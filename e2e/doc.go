// Package e2e tests authcode against programs that nobody here wrote: a certified OpenID provider, the Azure storage
// emulator and the Azure SDK's own clients, over real sockets and TLS, on this machine alone.
//
// Clients that nobody here wrote run against the emulator in turn, so that it answers as they expect of Entra; what each
// reports is in docs/clients.md.
//
// The servers, and the clients in JavaScript, are npm packages, pinned in node/package-lock.json; "npm ci --prefix e2e/node"
// installs them. A test whose package is missing is skipped and says so; with AUTHCODE_REQUIRE_SERVERS=1 it fails instead.
// The emulator's pages are tested in Debian's Chromium.
//
// The stores are tested on redis-server and PostgreSQL, as the system's packages have them: what their clients saw must have an
// order in which one caller at a time would have seen it.
//
// The fleet, chaos and outage tests run this test binary as many processes that share a store, and kill and stop them, the store and
// the connections between them. With -long they do it at full length; -seed repeats what a chaos test did, as far as timing allows.
//
// Nothing imports this module and it is never tagged: what it requires reaches no user of authcode.
package e2e
