package site

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/authcode-go/authcode/signin"
)

// pagePolicy lets pages load their style sheet and nothing else. The form that signs out ends at the server's page, which is why
// forms may lead to https: browsers check redirects too.
const pagePolicy = "default-src 'none'; style-src 'self'; form-action 'self' https:; frame-ancestors 'none'; base-uri 'none'"

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed style.css
var style string

// pages are the templates by name, each within the layout.
var pages = func() map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"initials": initials,
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"size":     size,
		"when":     when,
	}).ParseFS(pageFiles, "pages/layout.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"files", "home", "message", "payslips", "profile", "sessions"} {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(pageFiles, "pages/"+name+".html"))
	}
	return all
}()

// view is what the layout shows around a page.
type view struct {
	Title         string
	Path          string
	User          *signin.User // nil: nobody is signed in
	LogIn, LogOut string       // addresses
	Body          any
}

// message is a page that says one thing.
type message struct {
	Text           string
	Link, LinkText string // empty: none
	NewTab         bool
	Reference      string
}

func (s *site) show(w http.ResponseWriter, r *http.Request, user *signin.User, page, title string, body any) {
	write(w, http.StatusOK, page, s.view(r, user, title, body))
}

func (s *site) view(r *http.Request, user *signin.User, title string, body any) view {
	return view{
		Title:  title,
		Path:   r.URL.Path,
		User:   user,
		LogIn:  s.signIn.LoginURL(r.URL.Path),
		LogOut: s.signIn.LogoutURL(),
		Body:   body,
	}
}

// ErrorPage is for signin.Options: its errors in this app's look. The question whether to sign out it leaves to signin, whose form is
// in that page.
func ErrorPage(w http.ResponseWriter, r *http.Request, page *signin.Page) {
	if page.Kind == signin.PageSignOut {
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	link, text := page.Link, page.LinkText
	switch link {
	case "": // there is nowhere in particular to go on
		link, text = "/", "To the start"
	case "?": // this page again; the code in its address is not for the page to repeat
		link = ""
	}
	write(w, page.Status, "message", view{Title: page.Title, Body: message{
		Text: page.Text, Link: link, LinkText: text, NewTab: page.NewTab, Reference: page.Reference,
	}})
}

// write renders before it writes: an answer is whole or an error.
func write(w http.ResponseWriter, status int, page string, v view) {
	var body bytes.Buffer
	if err := pages[page].Execute(&body, v); err != nil {
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

func serveStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(style))
}

// initials are the first letters of a name's first and last word.
func initials(name string) string {
	words := strings.Fields(name)
	if len(words) == 0 {
		return "?"
	}
	first := []rune(words[0])[:1]
	if len(words) > 1 {
		first = append(first, []rune(words[len(words)-1])[0])
	}
	return strings.ToUpper(string(first))
}
