package entratest

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is something that goes wrong on demand; see [Emulator.Inject]. Endpoint, GrantType, Times and When say which
// requests it befalls; the other fields say what happens, and may be combined. Edit and When are called by many
// goroutines where there are many requests, and may call the emulator.
type Fault struct {
	// AADSTS is the number in the answer of Error; known numbers bring their usual text. Zero: none.
	AADSTS int
	// Body is answered, raw, instead of a real answer. Empty, with Status set: an empty body. See [MalformedBodies].
	Body string
	// Claims is the claims member of the answer of Error.
	Claims string
	// ClockSkew is added to the clock that the tokens of the answer are made by: their iat, nbf and exp are that much
	// in the future, or with a negative one in the past. Zero: right.
	ClockSkew time.Duration
	// EchoSecrets repeats every form and query value of the request in the error description, or behind Body: a
	// server whose errors cannot be logged as they are. Without Error, Status and Body the error is invalid_request.
	EchoSecrets bool
	// Edit changes a JSON answer, real or not, before it is sent. Numbers are float64, as encoding/json has them.
	Edit func(answer map[string]any)
	// Endpoint is the endpoint it befalls: token, authorize, devicecode, devicelogin, keys, discovery, instance, userinfo
	// or logout. Empty: token. "*": all.
	Endpoint string
	// Error is an OAuth error code to answer instead of a real answer, as Entra words it: JSON with status 400, or
	// 401 for invalid_client; at authorize, a redirect to the app.
	Error string
	// GrantType is the grant_type it befalls. Empty: any.
	GrantType string
	// Header is added to the answer, real or not, in place of headers of the same name.
	Header http.Header
	// Latency passes before anything else happens; it follows the request's context, and the fake clock of a
	// testing/synctest bubble. A request whose client leaves meanwhile is not processed.
	Latency time.Duration
	// LoseAnswer processes the request fully, then cuts the connection without an answer: a code is spent and the
	// client does not know.
	LoseAnswer bool
	// RetryAfter sets the Retry-After header, RFC 9110 section 10.2.3. Without Status, Body and Error the status
	// is 429.
	RetryAfter string
	// Status is answered, with Body, instead of a real answer. Zero: 200 when Body is set. With Error it is the
	// status of that error.
	Status int
	// Suberror is the suberror member of the answer of Error.
	Suberror string
	// Times is how many requests it befalls before it removes itself. Zero: until removed.
	Times int
	// TruncateAt processes the request, promises the whole answer in Content-Length, and cuts the connection after
	// this many bytes. Zero, or more bytes than there are: the whole answer.
	TruncateAt int
	// When narrows down the requests it befalls; a form is in the request's PostForm. Nil: all.
	When func(*http.Request) bool
}

// faultList holds the injected faults, oldest first.
type faultList struct {
	mu     sync.Mutex
	faults []*injected
}

type injected struct {
	Fault
	id   uint64 // for the console
	left int    // requests; negative: no limit
}

// Inject lets a fault befall the requests that match it, until removed or its Times are over. Of several faults that
// match a request, the oldest befalls it, alone. It panics if Status cannot be sent.
func (e *Emulator) Inject(f Fault) (remove func()) {
	if f.Status != 0 && (f.Status < 200 || f.Status > 999) {
		panic("entratest: Inject: no final status: " + strconv.Itoa(f.Status))
	}
	i := &injected{Fault: f, id: e.sequence.Add(1), left: f.Times}
	i.Header = f.Header.Clone()
	if f.Times <= 0 {
		i.left = -1
	}
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.faults = append(e.faults.faults, i)
	return func() { e.faults.remove(i) }
}

func (l *faultList) remove(i *injected) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = slices.DeleteFunc(l.faults, func(other *injected) bool { return other == i })
}

// take finds the fault for a request and counts it.
func (l *faultList) take(x *exchange) *Fault {
	l.mu.Lock()
	candidates := slices.Clone(l.faults)
	l.mu.Unlock()
	for _, i := range candidates {
		// When runs without the lock: it may call the emulator.
		if i.befalls(x) && l.count(i) {
			return &i.Fault
		}
	}
	return nil
}

// count uses up one of the fault's times, if one is left.
func (l *faultList) count(i *injected) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.faults, i) {
		return false
	}
	if i.left > 0 {
		i.left--
		if i.left == 0 {
			l.faults = slices.DeleteFunc(l.faults, func(other *injected) bool { return other == i })
		}
	}
	return true
}

func (f *Fault) befalls(x *exchange) bool {
	endpoint := cmp.Or(f.Endpoint, endpointToken)
	if (endpoint != "*" && endpoint != x.endpoint) || (f.GrantType != "" && f.GrantType != x.form.Get("grant_type")) {
		return false
	}
	if f.When == nil {
		return true
	}
	if x.request.PostForm == nil { // the body is read already: ParseForm would find nothing
		x.request.PostForm = cloneValues(x.form)
	}
	return f.When(x.request)
}

// delay waits out the latency; it reports whether the client is still there.
func (f *Fault) delay(ctx context.Context) bool {
	if f == nil || f.Latency <= 0 {
		return true
	}
	timer := time.NewTimer(f.Latency)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// replacement is the raw answer, if the fault has one.
func (f *Fault) replacement() *reply {
	if f == nil || f.Error != "" || (f.Status == 0 && f.Body == "" && f.RetryAfter == "") {
		return nil
	}
	status := f.Status
	switch {
	case status == 0 && f.Body != "":
		status = http.StatusOK
	case status == 0:
		status = http.StatusTooManyRequests
	}
	return &reply{status: status, body: []byte(f.Body), header: make(http.Header)}
}

// refusal is the OAuth error, if the fault has one.
func (f *Fault) refusal(x *exchange) *oauthError {
	if f == nil || (f.Error == "" && !f.EchoSecrets) {
		return nil
	}
	refusal := &oauthError{
		status:   f.Status,
		code:     cmp.Or(f.Error, "invalid_request"),
		number:   f.AADSTS,
		suberror: f.Suberror,
		claims:   f.Claims,
	}
	if f.EchoSecrets {
		refusal.echo = " You sent: " + formValues(x)
	}
	return refusal
}

func formValues(x *exchange) string {
	var all []string
	for _, values := range []url.Values{x.form, x.query} {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			all = append(all, values[name]...)
		}
	}
	return strings.Join(all, " ")
}

// alter changes a finished answer.
func (f *Fault) alter(x *exchange, r *reply) {
	if f == nil {
		return
	}
	if f.EchoSecrets && r.err == nil {
		r.body = append(r.body, (" You sent: " + formValues(x))...)
	}
	if f.Edit != nil {
		var answer map[string]any
		if json.Unmarshal(r.body, &answer) == nil && answer != nil {
			f.Edit(answer)
			if body, err := json.Marshal(answer); err == nil {
				r.body = body
			}
		}
	}
	for name, values := range f.Header {
		if r.header == nil {
			r.header = make(http.Header)
		}
		r.header[http.CanonicalHeaderKey(name)] = values
	}
	if f.RetryAfter != "" {
		r.set("Retry-After", f.RetryAfter)
	}
}

// send writes the answer, as much of it as the fault allows.
func (f *Fault) send(w http.ResponseWriter, r *reply) {
	if f != nil && f.LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), r.header)
	if w.Header().Get("Content-Length") == "" && r.status >= 200 && r.status != http.StatusNoContent && r.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(r.body)))
	}
	w.WriteHeader(r.status)
	if f == nil || f.TruncateAt <= 0 || f.TruncateAt >= len(r.body) {
		w.Write(r.body)
		return
	}
	w.Write(r.body[:f.TruncateAt])
	// What was written must reach the client before the connection is cut.
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// skew is how far off the clock is.
func (f *Fault) skew() time.Duration {
	if f == nil {
		return 0
	}
	return f.ClockSkew
}

// name says in the log what the fault did.
func (f *Fault) name() string {
	if f == nil {
		return ""
	}
	var did []string
	add := func(happened bool, what string) {
		if happened {
			did = append(did, what)
		}
	}
	add(f.Latency > 0, "latency "+f.Latency.String())
	add(f.Status != 0, "status "+strconv.Itoa(f.Status))
	add(f.Body != "", "body")
	add(f.Error != "", "error "+f.Error)
	add(f.RetryAfter != "", "retry after "+f.RetryAfter)
	add(f.EchoSecrets, "echo")
	add(f.ClockSkew != 0, "clock skew "+f.ClockSkew.String())
	add(f.Edit != nil, "edit")
	add(len(f.Header) > 0, "header")
	add(f.TruncateAt > 0, "truncate at "+strconv.Itoa(f.TruncateAt))
	add(f.LoseAnswer, "lose answer")
	return cmp.Or(strings.Join(did, ", "), "none")
}
