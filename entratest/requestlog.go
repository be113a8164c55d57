package entratest

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Request is one entry of the log: what was asked, and what was answered. It holds requests as they were received,
// secrets, codes and tokens included, for tests to assert on: it is not for printing.
type Request struct {
	// Time is when it came, by the virtual clock.
	Time time.Time
	// Method and Path are the request line's, without the query.
	Method, Path string
	// Endpoint is authorize, token, devicecode, devicelogin, keys, discovery, instance, userinfo or logout.
	// Empty: a path the emulator does not serve.
	Endpoint string
	// GrantType is the form's grant_type.
	GrantType string
	// ClientID is the client_id of form or query, or the user name of HTTP Basic.
	ClientID string
	// EmulatorUser is the user whom the emulator_user parameter, or a button of the page that does the same, signed in
	// without a password. Empty: there was none.
	EmulatorUser string
	// Username is the user whom the request was about: who signed in, or tried to, or whose code or refresh token it was.
	// Empty: nobody, or not known.
	Username string
	// TenantID is the ID of the tenant in the path, or common or organizations, or what stood there if it is no tenant.
	// Empty at devicelogin, instance and userinfo, which belong to no tenant.
	TenantID string
	// Form is a POST's form, with all secrets. Empty: no POST, or not a form.
	Form url.Values
	// Query is the query.
	Query url.Values
	// Header is the request's header, with an Authorization it may have.
	Header http.Header
	// Status is the status answered, before any cut of the connection. Zero: not answered, or not yet.
	Status int
	// ErrorCode is the OAuth error answered. Empty: none.
	ErrorCode string
	// AADSTS is the number of the error answered. Zero: none.
	AADSTS int
	// Description is why the request was refused: the text of the error answered, without IDs and time. Empty: it was not.
	Description string
	// Fault says what a [Fault] did to the request, in words. Empty: there was none.
	Fault string

	number uint64 // of all requests to this emulator, from 1
}

// requestLog remembers the newest requests. Entries are in order of arrival.
type requestLog struct {
	mu      sync.Mutex
	limit   int // negative: none are kept
	entries []*Request
	number  uint64 // of the newest
	changes uint64 // counts additions, answers and resets
}

// add enters a request when it arrives, so that one still being answered is seen too.
func (l *requestLog) add(x *exchange) *Request {
	if l.limit < 0 {
		return nil
	}
	r := &Request{
		Time:         x.now,
		Method:       x.request.Method,
		Path:         x.request.URL.Path,
		Endpoint:     x.endpoint,
		GrantType:    x.form.Get("grant_type"),
		ClientID:     x.clientID(),
		TenantID:     x.authority.segment(),
		EmulatorUser: cmp.Or(x.query.Get("emulator_user"), x.form.Get("emulator_user")),
		Form:         x.form,
		Query:        x.query,
		Header:       x.request.Header.Clone(),
	}
	if user := x.directory.user(cmp.Or(r.EmulatorUser, x.form.Get("loginfmt"))); user != nil {
		r.Username = user.Username
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
	l.number++
	r.number = l.number
	if len(l.entries) >= 2*l.limit {
		// Half at a time: forgetting one per request would move the whole log each time.
		l.entries = append(l.entries[:0], l.entries[len(l.entries)-l.limit+1:]...)
		clear(l.entries[len(l.entries):cap(l.entries)])
	}
	l.entries = append(l.entries, r)
	return r
}

func (l *requestLog) answered(r *Request, x *exchange, answer *reply) {
	if r == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
	r.Status = answer.status
	r.Fault = x.fault.name()
	if x.user != nil {
		r.Username = x.user.Username
	}
	if answer.err != nil {
		r.ErrorCode, r.AADSTS, r.Description = answer.err.code, answer.err.number, answer.err.reason()
	}
}

// Requests is the log of requests, oldest first: copies, [Options].LogSize of them at most.
func (e *Emulator) Requests() []Request {
	all, _ := e.log.newest(e.log.limit)
	return all
}

// newest are copies of the last requests, n at most, oldest first, and how many changes led to them.
func (l *requestLog) newest(n int) ([]Request, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	newest := l.entries[max(0, len(l.entries)-max(0, min(n, l.limit))):]
	all := make([]Request, 0, len(newest))
	for _, r := range newest {
		c := *r
		c.Form, c.Query, c.Header = cloneValues(r.Form), cloneValues(r.Query), r.Header.Clone()
		all = append(all, c)
	}
	return all, l.changes
}

// ResetRequests empties the log.
func (e *Emulator) ResetRequests() {
	e.log.mu.Lock()
	defer e.log.mu.Unlock()
	e.log.entries = nil
	e.log.changes++
}

func cloneValues(v url.Values) url.Values {
	c := maps.Clone(v)
	for k := range c {
		c[k] = slices.Clone(c[k])
	}
	return c
}

// clientID is who the request says it is from; nobody has checked it.
func (x *exchange) clientID() string {
	if id := x.form.Get("client_id"); id != "" {
		return id
	}
	if id := x.query.Get("client_id"); id != "" {
		return id
	}
	user, _, _ := x.request.BasicAuth()
	if id, err := url.QueryUnescape(user); err == nil {
		return id
	}
	return user
}
