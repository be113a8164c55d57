// Package signin signs users into a web app with net/http: login, callback, sign-out and sessions on top of an
// [authcode.App], and for each request a credential of its user.
//
//	app, err := authcode.NewApp(tenantID, clientID, "https://app.example.com/auth/callback", authcode.SecretAuth(secret), nil)
//	h, err := signin.New(app, &signin.Options{Scopes: []string{"User.Read"}})
//	mux.Handle("/auth/", h) // login, callback, logout, frontchannel-logout: beside the redirect URI's path
//	mux.Handle("/files", h.RequireUser(files))
//
//	func files(w http.ResponseWriter, r *http.Request) {
//		user, _ := signin.UserFrom(r.Context())
//		client, err := azblob.NewClient(account, user.Credential(), nil) // or a ClientCache
//		...
//		if h.Challenge(w, r, err) { // consent, a second factor, a new sign-in
//			return
//		}
//
// [Handler.Func] calls Challenge itself, for handlers that return an error. A [Need] says before the work what it takes: scopes,
// an authentication context, a role.
//
// # What the endpoints do
//
// All are under the directory of the redirect URI's path, here /auth/. None of them looks at the Host header or at any
// X-Forwarded header: the app's origin is that of the redirect URI.
//
//   - GET login begins a sign-in; return=/path is where the user goes afterwards, prompt and login_hint are passed on.
//   - GET callback ends it.
//   - POST logout ends the session here and at Entra; everywhere=1 ends all of the user's. GET shows a page with the button.
//   - GET frontchannel-logout is for Entra: it ends the sessions of a sid, without cookies.
//
// # Sessions
//
// A session is 32 random-looking bytes in a cookie __Host-authcode-TAG (Secure, HttpOnly, SameSite=Lax, Path=/; TAG is a hash of
// the app), and a record in App.Store under a hash of them, sealed. It gets a new ID at each sign-in and step-up. It ends after
// [Options].IdleTimeout without a request, after [Options].AbsoluteTimeout in any case, at sign-out, and when Entra says that the
// user's sessions are over.
//
// What a session says is kept in memory for 10 seconds before the store is asked again. A session that ended on another replica
// is refused there within those 10 seconds. While the store is down, one in memory is served on for five minutes; a request
// whose session is not in memory gets 503, never a sign-out.
//
// With an http redirect URI, which can only be on loopback, the cookies lose the prefix and Secure, and nothing else.
//
// # Sign-ins under way
//
// Each is one sealed cookie: parallel tabs do not disturb each other, and a start stores nothing. A browser keeps five, the oldest
// leaves. They last 15 minutes. The callback claims its state in the store before it redeems the code; a duplicate (double click,
// refresh, back button, another replica) waits for the first one's result and gets the same session, or the same page.
//
// # Challenges
//
// [Handler.Challenge] answers what only the user can mend. A page is redirected (302); a fetch gets 401 with WWW-Authenticate and
//
//	{"error":"interaction_required","error_description":"...","url":"/auth/login?challenge=..."}
//
// to whose url the script navigates, with &return= and the page's own path appended. A form that was posted gets a page that says
// what happened: the user signs in in another tab and sends the form again. When three sign-ins within a minute led back to the
// same page, the fourth is a page that says so.
//
// # One client must never serve two users
//
// An Azure SDK client keeps one token for itself. Make one per user and session: [ClientCache] does.
package signin
