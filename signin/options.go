package signin

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

const (
	defaultIdle     = 24 * time.Hour
	defaultAbsolute = 7 * 24 * time.Hour
	leastTimeout    = time.Minute
	mostTimeout     = 90 * 24 * time.Hour // by then Entra refuses an unused refresh token
)

// Options are the optional parts of [New]. The zero value is safe.
type Options struct {
	// AbsoluteTimeout is how long a session lasts at most after the sign-in. 0: 7 days. From a minute to 90 days.
	AbsoluteTimeout time.Duration
	// ErrorPage replaces this package's pages: for errors and for what a user must know, in the app's own look. Status and
	// headers (no-store, a strict Content-Security-Policy, which it may replace) are set; it writes the status and the body. It may
	// show all of page but Err, which is for logs. A panic in it is contained. nil: plain pages without external assets.
	ErrorPage func(w http.ResponseWriter, r *http.Request, page *Page)
	// IdleTimeout is how long a session lasts without a request, give or take a 24th of it. 0: 24 hours. From a minute to
	// AbsoluteTimeout.
	IdleTimeout time.Duration
	// KeepGrants keeps a user's grant when their last session ends by sign-out, for jobs that act for users who are not there.
	// False: the grant is forgotten with the last session.
	KeepGrants bool
	// Logger gets what happened, with the errors' texts, which hold no secret. nil: slog.Default().
	Logger *slog.Logger
	// OnSignIn decides whether a user who has signed in at the server may come in, by their account (tid and oid, never an e-mail
	// address), roles or groups: an error keeps them out, with a page that does not show its text. It is called before the
	// session exists, once per sign-in and step-up. A panic in it is an error. nil: everybody whom the App lets in.
	OnSignIn func(ctx context.Context, user *User) error
	// OnSignOut is told of each session that ended here, except by running out of time. A panic in it is contained. nil:
	// nobody is told.
	OnSignOut func(ctx context.Context, accountID string, reason SignOutReason)
	// PersistentCookie lets the session survive the end of the browser, up to AbsoluteTimeout. False: the cookie ends with the
	// browser.
	PersistentCookie bool
	// PostLogoutRedirectURI is where the server sends the browser after sign-out; it must be registered for the app. Empty: the
	// root of the app's origin.
	PostLogoutRedirectURI string
	// Scopes are asked for at each sign-in, so that the user consents once. They may span resources. Empty: who the user is.
	Scopes []string
}

// SignOutReason is why a session ended.
type SignOutReason string

const (
	// SignOutByUser is a POST to logout.
	SignOutByUser SignOutReason = "user"
	// SignOutEverywhere is [Handler.SignOutEverywhere], [Handler.EndSession], or everywhere=1 at logout.
	SignOutEverywhere SignOutReason = "everywhere"
	// SignOutFrontChannel is the server's word that the user signed out there.
	SignOutFrontChannel SignOutReason = "front_channel"
	// SignOutReplaced is another user's sign-in with the same browser, or a session beyond 50 of one user.
	SignOutReplaced SignOutReason = "replaced"
	// SignOutRevoked is the server's refusal of the grant: sessions revoked, account disabled, password changed.
	SignOutRevoked SignOutReason = "revoked"
)

func (o *Options) check() error {
	absolute, idle := cmp.Or(o.AbsoluteTimeout, defaultAbsolute), o.IdleTimeout
	switch {
	case absolute < leastTimeout || absolute > mostTimeout:
		return fmt.Errorf("AbsoluteTimeout is %s: use a minute to 90 days, or 0 for 7 days", absolute)
	case idle != 0 && (idle < leastTimeout || idle > absolute):
		return fmt.Errorf("IdleTimeout is %s: use a minute to AbsoluteTimeout (%s), or 0 for 24 hours", idle, absolute)
	}
	if o.PostLogoutRedirectURI != "" {
		if u, err := url.Parse(o.PostLogoutRedirectURI); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("PostLogoutRedirectURI %q is no absolute http or https URI: give the one registered for the app", o.PostLogoutRedirectURI)
		}
	}
	return nil
}
