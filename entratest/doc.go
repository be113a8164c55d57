// Package entratest is a Microsoft Entra ID for tests: an emulator that signs users in and issues tokens, in process
// or behind TLS, for clients of any kind.
//
// It speaks the protocols of the v2.0 endpoints as Entra does: authorize with pages for account, password, second factor
// and consent, PKCE, prompt and all response modes; token for codes, refresh tokens, devices, client credentials and on
// behalf of a user, with secrets, certificates, federated assertions or public clients; version 1 and 2 access tokens, ID
// tokens, client_info; discovery, keys, userinfo; sign-out that tells the other apps; and errors with their AADSTS numbers.
// FIDELITY.md says of each parameter and error how true it is. What Entra does rarely, it does on demand: revoke sessions,
// require claims, withdraw consent, rotate keys, let time pass ([Emulator.Advance]), lose answers, answer nonsense
// ([Emulator.Inject]). It keeps a log of what it was asked ([Emulator.Requests]).
//
//	server, err := entratest.NewServer(nil)
//	if err != nil { ... }
//	defer server.Close()
//	app := server.Directory().App("web")
//
//	// the client under test: authority server.URL(), HTTP client server.Client(), app.ClientID, app.Secrets[0]
//	// ... it makes an authorize URL; alice signs in there:
//	callback, err := server.Authorize(ctx, authorizeURL, "alice@contoso.example")
//	// ... and redeems callback.Query().Get("code").
//
// # Which of the two
//
// [NewServer] listens on the loopback interface, for tests with real connections and for other programs. [NewHandler]
// needs no socket: [Emulator.Transport] is an [net/http.RoundTripper] that also works inside a testing/synctest bubble,
// where time stands still until everybody waits.
//
// # Who is who
//
// [DefaultDirectory] has two tenants and the one of personal accounts; alice, bob and carol, and users made for what goes
// wrong (mfa@, blocked@, disabled@, expired@ and frequent@contoso.example); the apps web, native, spa, consent and api; and
// six resources. A test that needs others changes the copy it gets, or makes its own [Directory], perhaps of a JSON file by
// [ParseDirectory].
//
// # Signing in without a page
//
// The parameter emulator_user of the authorize endpoint signs that user in at once; [Emulator.Authorize] uses it, and
// so can a script. With prompt=none it names the user who has a session: as at Entra, there is then a code or an error,
// never a page.
//
// # The console
//
// A page at /emulator shows people the requests, with their secrets hidden and the reason of each refusal, and the
// directory; and it injects faults. It answers on this machine only, unless [Options].Console says otherwise. Command
// authcode emulator serves all of this to programs in other languages.
//
// # Limits
//
// The emulator is for tests. It keeps passwords, shows everybody's names, and its log holds secrets. Of second factors it
// knows one, any six digits; what policies look at besides the user (places, devices, risk) it does not know.
package entratest
