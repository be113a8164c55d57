package site

import (
	"cmp"
	"context"
	"net/http"
	"path"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode/signin"
)

// Options are the optional parts of [New].
type Options struct {
	// AuthenticationContext is what the page of payslips wants a sign-in to have proved, c1 to c99. Empty: c1.
	AuthenticationContext string
	// Files lists what a user has in storage, as that user. An [Explanation] is shown; other errors are
	// Handler.Func's to answer. nil: the page says how to connect a storage account.
	Files func(ctx context.Context, user *signin.User) ([]File, error)
	// FilesFrom is the storage account's address, for people.
	FilesFrom string
	// Notice is a line on the first page. Empty: none.
	Notice string
}

// File is one that a user may see.
type File struct {
	Container, Name string
	Size            int64 // bytes
	Modified        time.Time
}

// Explanation is an error that a page shows, since its user can do something about it.
type Explanation string

// Error implements error.
func (e Explanation) Error() string { return string(e) }

type site struct {
	Options
	signIn *signin.Handler
}

// New makes the app's handler, the endpoints of h included.
func New(h *signin.Handler, options Options) http.Handler {
	options.AuthenticationContext = cmp.Or(options.AuthenticationContext, "c1")
	s := &site{Options: options, signIn: h}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", h.LoadUser(http.HandlerFunc(s.home)))
	mux.Handle("GET /profile", h.Func(s.profile))
	mux.Handle("GET /files", h.Func(s.files))
	mux.Handle("GET /payslips", h.Func(s.payslips, signin.Need{AuthenticationContexts: []string{options.AuthenticationContext}}))
	mux.Handle("GET /sessions", h.Func(s.sessions))
	// A form of this app's pages, and of no other site's.
	mux.Handle("POST /sessions/end", http.NewCrossOriginProtection().Handler(h.Func(s.endSession)))
	mux.HandleFunc("GET /style.css", serveStyle)
	endpoints := path.Dir(h.LogoutURL())
	if endpoints != "/" {
		endpoints += "/"
		mux.Handle("/", h.LoadUser(http.HandlerFunc(s.notFound)))
	}
	mux.Handle(endpoints, h)
	return withHeaders(mux)
}

func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", pagePolicy)
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	user, _ := signin.UserFrom(r.Context())
	s.show(w, r, user, "home", "Portal", s.Notice)
}

func (s *site) notFound(w http.ResponseWriter, r *http.Request) {
	user, _ := signin.UserFrom(r.Context())
	v := s.view(r, user, "There is no such page", message{Text: "The address may be mistyped.", Link: "/", LinkText: "To the start"})
	write(w, http.StatusNotFound, "message", v)
}

// profile also gets a token, as any page does that calls an API for its user: from memory, unless it is time for another.
func (s *site) profile(w http.ResponseWriter, r *http.Request, user *signin.User) error {
	token, err := user.Credential().GetToken(r.Context(), policy.TokenRequestOptions{
		EnableCAE: true,
		Scopes:    []string{"https://graph.microsoft.com/User.Read"},
	})
	if err != nil {
		return err
	}
	claims, err := claimsOf(user)
	if err != nil {
		return err
	}
	s.show(w, r, user, "profile", "Profile", struct {
		Account       any
		Claims        []claim
		Contexts      []string
		Groups, Roles []string
		Overage       bool
		SignedIn      time.Time
		TokenUntil    time.Time
	}{user.Account, claims, user.AuthenticationContexts(), user.Groups(), user.Roles(), user.GroupsOverage(), user.SignedIn(), token.ExpiresOn})
	return nil
}

func (s *site) files(w http.ResponseWriter, r *http.Request, user *signin.User) error {
	var page struct {
		Connected bool
		From      string
		Files     []File
		Problem   string
	}
	if s.Files != nil {
		page.Connected, page.From = true, s.FilesFrom
		files, err := s.Files(r.Context(), user)
		if explanation, ok := err.(Explanation); ok {
			page.Problem = string(explanation)
		} else if err != nil {
			return err
		}
		page.Files = files
	}
	s.show(w, r, user, "files", "Files", page)
	return nil
}

// payslips are for users who have just proved more about themselves; the Need of its route sees to that.
func (s *site) payslips(w http.ResponseWriter, r *http.Request, user *signin.User) error {
	s.show(w, r, user, "payslips", "Payslips", struct {
		Context string
		Proved  time.Time
	}{s.AuthenticationContext, user.SignedIn()})
	return nil
}
