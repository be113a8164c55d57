package site

import (
	"net/http"
	"slices"
	"strings"

	"github.com/authcode-go/authcode/signin"
)

// browserSession is one of the user's sessions as the page shows it.
type browserSession struct {
	signin.Session
	Browser string
	Here    bool // the one of this request
}

func (s *site) sessions(w http.ResponseWriter, r *http.Request, user *signin.User) error {
	all, err := s.signIn.Sessions(r.Context(), user.Account.ID)
	if err != nil {
		return err
	}
	var shown []browserSession
	for _, one := range all {
		shown = append(shown, browserSession{Session: one, Browser: browserName(one.UserAgent), Here: one.ID == user.SessionID()})
	}
	s.show(w, r, user, "sessions", "Sessions", shown)
	return nil
}

// endSession ends a session of this user; what the form says of others' or of none changes nothing.
func (s *site) endSession(w http.ResponseWriter, r *http.Request, user *signin.User) error {
	id := r.PostFormValue("id")
	all, err := s.signIn.Sessions(r.Context(), user.Account.ID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(one signin.Session) bool { return one.ID == id }) {
		if err := s.signIn.EndSession(r.Context(), user.Account.ID, id); err != nil {
			return err
		}
	}
	target := "/sessions"
	if id == user.SessionID() {
		target = "/"
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil
}

// browserName makes of a User-Agent what a person calls it. The order counts: browsers also name those they descend from.
func browserName(agent string) string {
	name, system := "A program", ""
	for _, known := range [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	} {
		if strings.Contains(agent, known[0]) {
			name = known[1]
			break
		}
	}
	for _, known := range [][2]string{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS", "macOS"}, {"Linux", "Linux"},
	} {
		if strings.Contains(agent, known[0]) {
			system = " on " + known[1]
			break
		}
	}
	return name + system
}
