// Package authcode signs users in at Microsoft Entra ID with the authorization code flow, and keeps what a
// redeemed code leaves behind: it is AuthorizationCodeCredential for Go, with help to get the code before it and
// a home for the grant after it.
//
// # The five stages
//
//	browser ── GET /login ────▶ App.Begin      1  state, nonce and PKCE; a Flow, and its URL at Entra
//	browser ── GET /callback ─▶ App.Redeem     2  state matched, code POSTed once, ID token verified
//	                               │
//	                               ▼
//	                             grant          3  refresh token, access tokens, account: one per user,
//	                               │               in memory, and sealed in a Store for all replicas
//	                               │
//	Azure client ── GetToken ──────┤            4  fresh: from memory, no lock, no allocation
//	                               │               stale: the same token, and a refresh behind your back
//	                               │               expired: one refresh, shared by all who wait
//	                               ▼
//	                            refresh         5  one at a time per user, over all replicas; the swap of the
//	                                               record decides; rotation kept; Retry-After heeded
//
// Someone who already has a code enters at stage 4 with [NewAuthorizationCodeCredential]: its first GetToken
// redeems the code, later ones are served from memory or by the refresh token.
//
// # Which function do I want?
//
//   - I have a code: [NewAuthorizationCodeCredential].
//   - I sign users in: [NewApp] once per process, then [App.Begin] and [App.Redeem].
//   - I work for a user who signed in earlier: [App.Credential], on any replica if the App has a [Store].
//   - I work for all of them: [App.Accounts], and [App.KeepAlive] for those who are away.
//   - I hold a refresh token from another system: [App.ImportRefreshToken].
//   - The user signs out: [App.Forget], then redirect to [App.SignOutURL].
//
// # One user, one credential, one client
//
// An Azure SDK client keeps one token for itself, whichever request it serves (azcore's BearerTokenPolicy). A
// credential that looked up its user in the context would therefore send Alice's token with Bob's request. There
// is no such credential here: a credential is exactly one user, and an Azure client made with it must serve that
// user alone.
//
// # Failures
//
// [AuthenticationRequiredError] means that the user must sign in again; pass its fields to [App.Begin].
// [AuthenticationFailedError] is any other failure to get a token. Errors from this package hold no code, token,
// secret, assertion or code verifier, not even when a server repeats them.
//
// A resource that answers 401 without a claims challenge tells us nothing to act on: the next GetToken returns the
// same token until it expires. With a claims challenge the Azure SDK asks again with the claims, and GetToken
// gets a new token for them.
//
// # Standards
//
// RFC 6749 (OAuth 2.0), RFC 7636 (PKCE), RFC 7523 (client assertions), RFC 9207 (issuer in the answer), RFC 9700
// (security best practice), OpenID Connect Core 1.0, and Microsoft's pages on the identity platform where Entra
// differs. Beside a line that obeys a section stands its number.
package authcode
