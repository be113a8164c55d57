package signin

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/authcode-go/authcode"
)

// PageKind is what a page is about.
type PageKind string

const (
	// PageBadRequest is a request that no page of this app makes.
	PageBadRequest PageKind = "bad_request"
	// PageCrossSite is a sign-out that another site asked for.
	PageCrossSite PageKind = "cross_site"
	// PageDenied is a sign-in that the user, or an administrator, did not allow.
	PageDenied PageKind = "access_denied"
	// PageExpired is a sign-in that took longer than 15 minutes.
	PageExpired PageKind = "expired"
	// PageFailed is a sign-in that the server refused or that could not be believed.
	PageFailed PageKind = "failed"
	// PageForbidden is a user without the role that a page needs.
	PageForbidden PageKind = "forbidden"
	// PageInternal is a fault of the app.
	PageInternal PageKind = "internal"
	// PageInterrupted is a posted form whose user must sign in first. Page.Link is where, in a new tab.
	PageInterrupted PageKind = "interrupted"
	// PageLoop is a page that signing in does not help.
	PageLoop PageKind = "loop"
	// PageMethod is a request of a method, or by a script, that an endpoint is not for.
	PageMethod PageKind = "method_not_allowed"
	// PageMismatch is a callback of a sign-in that this browser did not begin, or has ended.
	PageMismatch PageKind = "state_mismatch"
	// PageNotFound is a path that is no endpoint.
	PageNotFound PageKind = "not_found"
	// PageOtherUser is a step-up that another user answered.
	PageOtherUser PageKind = "other_user"
	// PageRefused is a user whom OnSignIn keeps out.
	PageRefused PageKind = "refused"
	// PageReturnURL is a login link whose return URL is no local path.
	PageReturnURL PageKind = "return_url"
	// PageSignOut asks whether to sign out.
	PageSignOut PageKind = "sign_out"
	// PageUnavailable is a store or a server that does not answer.
	PageUnavailable PageKind = "unavailable"
)

// Page is what a user is told. None of its fields but Err holds what others wrote.
type Page struct {
	// Action is where the page's form posts to: the one of PageSignOut, with a button, and everywhere=1 if the user wants to be signed
	// out of all other browsers too. Empty: the page has no form.
	Action string
	// Err is the error behind it, for logs: it is logged already. nil: none, or it was logged when it happened.
	Err error
	// Kind is what the page is about.
	Kind PageKind
	// Link is where to go on: a local path, or "?" for this very page again, as an empty href has it: its query may hold a code, and
	// belongs into no page. Empty: nowhere.
	Link string
	// LinkText is what the link says.
	LinkText string
	// NewTab asks for the link to open in a new tab, so that the form behind this page is not lost.
	NewTab bool
	// Reference stands in the log beside the error. Empty: nothing went wrong.
	Reference string
	// RetryAfter is when to come again. 0: not said.
	RetryAfter time.Duration
	// Status is the HTTP status.
	Status int
	// Text is one or two sentences.
	Text string
	// Title is a heading.
	Title string
}

type pageText struct {
	status      int
	title, text string
}

var pageTexts = map[PageKind]pageText{
	PageBadRequest:  {http.StatusBadRequest, "This link does not work", "It is incomplete or was changed on the way."},
	PageCrossSite:   {http.StatusForbidden, "You are still signed in", "Another website asked to sign you out. If you want to, sign out here."},
	PageDenied:      {http.StatusForbidden, "You were not signed in", "The sign-in was cancelled, or this app was not allowed to sign you in."},
	PageExpired:     {http.StatusBadRequest, "That took too long", "The sign-in has expired. Start it again: you will come to the page you wanted."},
	PageFailed:      {http.StatusBadGateway, "You were not signed in", "The sign-in was refused. Try again; if it does not help, give the reference to who runs this app."},
	PageForbidden:   {http.StatusForbidden, "This page is not for you", "Your account lacks the role that it takes. An administrator can assign it."},
	PageInternal:    {http.StatusInternalServerError, "Something went wrong", "That is our fault, not yours. Try again; if it does not help, give the reference to who runs this app."},
	PageInterrupted: {http.StatusUnauthorized, "Sign in, then send it again", "What you sent may not have been processed, because you have to sign in first. Sign in in a new tab, then come back to this one and reload it: your browser sends it again."},
	PageLoop:        {http.StatusForbidden, "Signing in does not help", "You have signed in three times within a minute, and this page still asks for it. Give the reference to who runs this app."},
	PageMethod:      {http.StatusMethodNotAllowed, "This link does not work like this", "It is for a page to open, in one way only."},
	PageMismatch:    {http.StatusBadRequest, "This sign-in is not from here", "It was begun in another browser, it has been used, or it is too old. Start it again."},
	PageNotFound:    {http.StatusNotFound, "There is no such page", "The address may be mistyped."},
	PageOtherUser:   {http.StatusForbidden, "That was another account", "The page asked one account to confirm who they are, and another one answered. Nothing has changed."},
	PageRefused:     {http.StatusForbidden, "Your account may not come in", "You have signed in, but this app is not for your account."},
	PageReturnURL:   {http.StatusBadRequest, "This link does not work", "It leads away from this app."},
	PageSignOut:     {http.StatusOK, "Sign out?", "You will be signed out here and at your organization's sign-in page."},
	PageUnavailable: {http.StatusServiceUnavailable, "Please try again in a moment", "Something that this app needs does not answer. You are not signed out."},
}

const unavailableRetry = 5 * time.Second

func newPage(kind PageKind, err error) *Page {
	t := pageTexts[kind]
	p := &Page{Err: err, Kind: kind, Status: t.status, Text: t.text, Title: t.title}
	if kind == PageUnavailable {
		p.RetryAfter = unavailableRetry
	}
	return p
}

func (p *Page) link(target, text string) *Page {
	p.Link, p.LinkText = target, text
	return p
}

// tryAgain links to this very page: an empty reference, so that no code is written into it.
func (p *Page) tryAgain() *Page { return p.link("?", "Try again") }

func (p *Page) refer(reference string) *Page {
	p.Reference = reference
	return p
}

// pageOf gives the page that errors of the core have, and another for any other.
func pageOf(err error, other PageKind) PageKind {
	switch {
	case errors.Is(err, authcode.ErrStoreUnavailable), errors.Is(err, authcode.ErrClosed):
		return PageUnavailable
	case errors.Is(err, authcode.ErrStateMismatch):
		return PageMismatch
	case errors.Is(err, authcode.ErrFlowExpired):
		return PageExpired
	}
	return other
}

// newReference is short enough to be read out.
func newReference() string {
	var b [5]byte
	_, _ = rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// show answers with a page, or for a script with JSON, and logs why.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, page *Page) {
	if page.Err != nil && page.Reference == "" {
		page.Reference = newReference()
		h.logPage(r, page)
	}
	header := w.Header()
	if header.Get("Referrer-Policy") == "" || header.Get("Cache-Control") == "" {
		protect(header)
	}
	if page.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int((page.RetryAfter+time.Second-1)/time.Second)))
	}
	if r.URL.Path != h.callbackPath && kindOf(r) == script {
		writeJSON(w, page.Status, jsonError{Error: string(page.Kind), Description: page.Text, Reference: page.Reference})
		return
	}
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("X-Frame-Options", "DENY")
	if h.options.ErrorPage != nil && h.ownPage(w, r, page) {
		return
	}
	writePage(w, page)
}

// logPage says at which level: what goes wrong at us is an error, what users and strangers do is not.
func (h *Handler) logPage(r *http.Request, page *Page) {
	level := slog.LevelInfo
	if page.Status >= http.StatusInternalServerError || page.Kind == PageLoop {
		level = slog.LevelError
	}
	h.options.Logger.Log(r.Context(), level, "signin: "+string(page.Kind), "method", r.Method, "path", r.URL.Path, "reference", page.Reference, "error", page.Err)
}

// ownPage calls the app's ErrorPage, and reports whether that wrote the answer.
func (h *Handler) ownPage(w http.ResponseWriter, r *http.Request, page *Page) (written bool) {
	tracked := &trackedWriter{ResponseWriter: w}
	defer func() {
		if p := recover(); p != nil {
			h.options.Logger.ErrorContext(r.Context(), fmt.Sprintf("signin: ErrorPage panicked (%T)", p))
			written = tracked.begun
		}
	}()
	h.options.ErrorPage(tracked, r, page)
	return tracked.begun
}

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// pagePolicy allows our own style sheet and form, by hash and by origin. The form of the sign-out page ends at the server's, which
// browsers check too.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self' https:; frame-ancestors 'none'; base-uri 'none'"
}()

func writePage(w http.ResponseWriter, page *Page) {
	var body bytes.Buffer
	err := pageTemplate.Execute(&body, struct {
		*Page
		Style template.CSS
	}{page, template.CSS(pageStyle)})
	if err != nil {
		http.Error(w, page.Title, page.Status) // unreachable: the template is ours
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(page.Status)
	_, _ = w.Write(body.Bytes())
}

// jsonError is what a script gets.
type jsonError struct {
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
	Reference   string `json:"reference,omitempty"`
	URL         string `json:"url,omitempty"`
}

func writeJSON(w http.ResponseWriter, status int, v jsonError) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte("{}") // unreachable: strings always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
