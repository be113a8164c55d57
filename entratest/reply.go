package entratest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// reply is an answer before it is sent: faults change it, the log reads it.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    *oauthError // what the answer refuses; nil: nothing
}

func (r *reply) set(name, value string) {
	if r.header == nil {
		r.header = make(http.Header)
	}
	r.header.Set(name, value)
}

// json makes a JSON answer that no cache keeps, RFC 6749 section 5.1.
func (e *Emulator) json(x *exchange, status int, v any) *reply {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("entratest: cannot marshal an answer: %v", err))
	}
	r := &reply{status: status, body: body}
	r.set("Content-Type", "application/json; charset=utf-8")
	r.common(x)
	return r
}

func (r *reply) common(x *exchange) {
	r.set("Cache-Control", "no-store, no-cache")
	r.set("Pragma", "no-cache")
	r.set("Referrer-Policy", "no-referrer")
	r.set("X-Content-Type-Options", "nosniff")
	r.set("x-ms-request-id", x.traceID)
	r.set("client-request-id", x.correlationID)
}

// refusal makes an error answer for a client that reads JSON.
func (e *Emulator) refusal(x *exchange, f *oauthError) *reply {
	r := e.json(x, f.httpStatus(), e.describe(x, f))
	r.err = f
	if r.status == http.StatusUnauthorized && x.request.Header.Get("Authorization") != "" {
		r.set("WWW-Authenticate", `Basic realm="entratest"`) // RFC 6749 section 5.2
	}
	return r
}

// redirect makes an answer that sends the browser on, with parameters added to the target's query.
func (e *Emulator) redirect(x *exchange, target string, parameters url.Values) *reply {
	r := &reply{status: http.StatusFound}
	r.set("Location", withQuery(target, parameters))
	r.common(x)
	return r
}

// withQuery adds parameters to the query a redirect URI may already have, RFC 6749 section 3.1.2.
func withQuery(target string, parameters url.Values) string {
	if len(parameters) == 0 {
		return target
	}
	u, err := url.Parse(target)
	if err != nil {
		return target // unreachable: only registered and parsed URIs come here
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += parameters.Encode()
	return u.String()
}
