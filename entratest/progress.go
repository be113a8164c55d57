package entratest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"time"
)

const (
	// browserCookie tells browsers apart, under Entra's own name for the cookie that binds a sign-in to one.
	browserCookie = "esctx"
	// flowField is the hidden field of every page's form, under Entra's own name for it.
	flowField = "flowToken"
	// flowLifetime is how long a page may stay unanswered, by the virtual clock.
	flowLifetime = time.Hour
	// sealedFlow is the kind of that field's value.
	sealedFlow = "flow"
)

// The pages that ask something. The answer to one is good for that one alone.
const (
	pageAccount  = "account"
	pagePassword = "password"
	pageRenew    = "renew"
	pageMFA      = "mfa"
	pageConsent  = "consent"
	pageApproval = "approval"
	pageRefused  = "refused"
)

// progress is how far one browser has come with one authorize request. It travels sealed, in a hidden field of the
// page: so no step can be skipped, nor a page be posted from another site, in another browser, for another request, or
// a second time.
type progress struct {
	ID       string   // of the page: it is answered once
	Request  string   // digest of the authorize request
	Browser  string   // digest of the browser's cookie
	Issued   int64    // Unix seconds
	Page     string   // what was asked
	ObjectID string   `json:",omitempty"` // who signs in, at home; empty: not known yet
	AMR      []string `json:",omitempty"` // what they have proved so far
	Session  *session `json:",omitempty"` // nil: the user is still signing in
	Refusal  int      `json:",omitempty"` // the AADSTS number the page refused with
}

// browserPattern is the form of our browserCookie.
var browserPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// begin is the start of a sign-in. A browser that comes without a cookie gets one with the answer.
func (e *Emulator) begin(x *exchange) *progress {
	return &progress{Request: requestDigest(x), Browser: digest(e.browser(x))}
}

// browser is the value of the browser's cookie, or of the one it gets with the answer.
func (e *Emulator) browser(x *exchange) string {
	if cookie, err := x.request.Cookie(browserCookie); err == nil && browserPattern.MatchString(cookie.Value) {
		return cookie.Value
	}
	var random [32]byte
	rand.Read(random[:])
	x.newBrowser = base64.RawURLEncoding.EncodeToString(random[:])
	return x.newBrowser
}

// markBrowser sets the cookie of a browser that came without one. Lax: a page posted from another site comes without.
func (e *Emulator) markBrowser(x *exchange, r *reply) {
	if x.newBrowser == "" {
		return
	}
	c := &http.Cookie{Name: browserCookie, Value: x.newBrowser, Path: "/", HttpOnly: true, Secure: e.secure(), SameSite: http.SameSiteLaxMode}
	r.header.Add("Set-Cookie", c.String())
}

// sealFlow is the hidden field of a page.
func (e *Emulator) sealFlow(x *exchange, p *progress, page string) string {
	next := *p
	next.ID, next.Issued, next.Page = newGUID(), x.now.Unix(), page
	return e.seal(sealedFlow, next)
}

// readFlow opens the hidden field that came back, and uses it up.
func (e *Emulator) readFlow(x *exchange) (*progress, *oauthError) {
	var p progress
	cookie, err := x.request.Cookie(browserCookie)
	if err != nil {
		return nil, refuse("invalid_request", 165000, "the browser's cookie is missing")
	}
	site := x.request.Header.Get("Sec-Fetch-Site")
	switch {
	case site != "" && site != "same-origin" && site != "none":
		return nil, refuse("invalid_request", 165000, "the page was posted from another site")
	case !e.unseal(sealedFlow, x.form.Get(flowField), &p):
		return nil, refuse("invalid_request", 165000, "the page's state is missing or was changed")
	case p.Browser != digest(cookie.Value):
		return nil, refuse("invalid_request", 165000, "the page belongs to another browser")
	case p.Request != requestDigest(x):
		return nil, refuse("invalid_request", 165000, "the page belongs to another sign-in")
	}
	expires := time.Unix(p.Issued, 0).Add(flowLifetime)
	switch {
	case !x.now.Before(expires):
		return nil, refuse("invalid_request", 50089)
	case !e.spentPages.add(p.ID, expires, x.now):
		return nil, refuse("invalid_request", 165000, "the page was answered already")
	}
	x.user = x.directory.oid(p.ObjectID)
	return &p, nil
}

// requestDigest identifies an authorize request: pages post to their own URL, so it is the same at every step.
func requestDigest(x *exchange) string {
	return digest(x.request.URL.Path + "?" + x.request.URL.RawQuery)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
