// Package e2e tests authcode against programs that nobody here wrote: a certified OpenID provider, the Azure storage
// emulator and the Azure SDK's own clients, over real sockets and TLS, on this machine alone.
//
// The servers are npm packages, pinned in node/package-lock.json; "npm ci --prefix e2e/node" installs them. A test whose
// server is missing is skipped and says so; with AUTHCODE_REQUIRE_SERVERS=1 it fails instead. The emulator's pages are
// tested in Debian's Chromium.
//
// Nothing imports this module and it is never tagged: what it requires reaches no user of authcode.
package e2e
