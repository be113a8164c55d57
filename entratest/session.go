package entratest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// sessionCookie holds the browser's sign-in sessions, under Entra's own name for it.
	sessionCookie = "ESTSAUTH"
	// maxSessionCookie bounds its value, in bytes: browsers drop a cookie of more than 4096, name and attributes included.
	maxSessionCookie = 3800
)

// session is a user's sign-in at one browser: it is what lets the next app sign them in without a page.
type session struct {
	ObjectID string // of the user at home
	ID       string // the sid claim
	Sequence uint64
	AuthTime int64        // Unix seconds
	Claims   string       `json:",omitempty"` // what the sign-in was asked to prove
	AMR      []string     `json:",omitempty"` // how the user proved who they are, RFC 8176: pwd, mfa
	Apps     []sessionApp `json:",omitempty"` // signed in to, the newest last
}

// signedIn is a session that is still good, and whose it is.
type signedIn struct {
	user    *User
	session session
}

func (e *Emulator) newSession(x *exchange, a *authorizeRequest, user *User, amr []string) session {
	return session{
		ObjectID: user.ObjectID,
		ID:       newGUID(),
		Sequence: e.sequence.Add(1),
		AuthTime: x.now.Unix(),
		Claims:   a.claimsText,
		AMR:      amr,
	}
}

// sessions are the browser's that are still good, the newest first.
func (e *Emulator) sessions(x *exchange) []signedIn {
	cookie, err := x.request.Cookie(sessionCookie)
	var all []session
	if err != nil || !e.unseal(sealedSession, cookie.Value, &all) {
		return nil
	}
	var good []signedIn
	for _, s := range all {
		if user := x.directory.oid(s.ObjectID); user != nil && s.Sequence >= e.state(user).sessionsBefore {
			good = append(good, signedIn{user, s})
		}
	}
	return good
}

// withSession is the cookie of a browser where a user has signed in: theirs is the newest, and their only one. A sign-in that the
// browser has already stays in its place.
func (e *Emulator) withSession(x *exchange, s session) *http.Cookie {
	var all []session
	known := false
	for _, other := range e.sessions(x) {
		switch {
		case other.session.Sequence == s.Sequence:
			all, known = append(all, s), true
		case other.session.ObjectID != s.ObjectID:
			all = append(all, other.session)
		}
	}
	if !known {
		all = append([]session{s}, all...)
	}
	return e.sessionsCookie(all)
}

// sessionsCookie holds sessions. What does not fit leaves, the oldest first.
func (e *Emulator) sessionsCookie(all []session) *http.Cookie {
	for {
		sealed := e.seal(sealedSession, all)
		switch {
		case len(all) == 0:
			return e.cookie("")
		case len(sealed) <= maxSessionCookie:
			return e.cookie(sealed)
		case len(all) > 1:
			all = all[:len(all)-1]
		default:
			all[0].Claims = "" // the session remains; what it proved has to be proved again
		}
	}
}

// cookie makes the session cookie; an empty value deletes it.
func (e *Emulator) cookie(value string) *http.Cookie {
	c := &http.Cookie{Name: sessionCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if e.secure() {
		c.Secure, c.SameSite = true, http.SameSiteNoneMode // apps sign users in silently in hidden frames
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

func (e *Emulator) secure() bool { return strings.HasPrefix(e.origin, "https:") }

// usableSessions are those whose users have an account where the app asks.
func (e *Emulator) usableSessions(x *exchange, a *authorizeRequest) []signedIn {
	return slices.DeleteFunc(e.sessions(x), func(s signedIn) bool { return !a.member(s.user) })
}

// hinted finds the session a request names: by sid, or by login_hint.
func hinted(x *exchange, all []signedIn, a *authorizeRequest) (signedIn, bool) {
	user := x.directory.hinted(a.loginHint)
	i := slices.IndexFunc(all, func(s signedIn) bool {
		if a.sid != "" {
			return strings.EqualFold(s.session.ID, a.sid)
		}
		return s.user == user
	})
	if i < 0 {
		return signedIn{}, false
	}
	return all[i], true
}

// hinted is the user a login_hint names: a username, or the login_hint claim of an ID token. Nil: it is nobody's.
func (x *directoryIndex) hinted(loginHint string) *User {
	if user := x.user(loginHint); user != nil {
		return user
	}
	return x.claimed(loginHint)
}

// stale reports whether the sign-in frequency of the user's tenant asks for a newer sign-in.
func (s session) stale(user *User, now time.Time) bool {
	return user.SignInFrequency > 0 && now.Sub(time.Unix(s.AuthTime, 0)) >= user.SignInFrequency
}

// strong reports whether the user has proved all that is asked of them at each sign-in.
func strong(user *User, amr []string) bool { return !user.MFARequired || slices.Contains(amr, amrMFA) }

// The authentication methods of the amr claim, RFC 8176, as Entra writes them.
const (
	amrPassword = "pwd"
	amrMFA      = "mfa"
)

// amr are the methods of the sign-in behind a grant.
func (g *grant) amr() []string {
	if len(g.AMR) == 0 {
		return []string{amrPassword}
	}
	return g.AMR
}
