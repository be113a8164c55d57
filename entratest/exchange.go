package entratest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The endpoints, as [Request].Endpoint and [Fault].Endpoint name them.
const (
	endpointAuthorize   = "authorize"
	endpointToken       = "token"
	endpointKeys        = "keys"
	endpointDiscovery   = "discovery"
	endpointInstance    = "instance"
	endpointLogout      = "logout"
	endpointDeviceCode  = "devicecode"
	endpointDeviceLogin = "devicelogin"
	endpointUserInfo    = "userinfo"
)

// maxBody bounds what is read of a request, in bytes.
const maxBody = 1 << 20

// exchange is one request on its way through the emulator.
type exchange struct {
	request       *http.Request
	ctx           context.Context
	endpoint      string // empty: none of ours
	directory     *directoryIndex
	authority     authority
	user          *User // whom it is about; nil: nobody, or not known yet
	known         bool  // whether there is such an authority
	version1      bool  // of a document: that of the version 1.0 endpoints
	query, form   url.Values
	unreadable    *oauthError // the query or the body cannot be understood
	fault         *Fault      // nil: none
	newBrowser    string      // the cookie of a browser that came without one
	now           time.Time
	traceID       string
	correlationID string
}

// ServeHTTP answers any request to the authority.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.serveConsole(w, r) {
		return // it is neither logged nor befallen by faults
	}
	x := e.receive(r)
	entry := e.log.add(x)
	x.fault = e.faults.take(x)
	if !x.fault.delay(x.ctx) {
		e.log.answered(entry, x, &reply{})
		panic(http.ErrAbortHandler) // the client left
	}
	x.now = e.Now() // the latency took time
	answer := e.answer(x)
	x.fault.alter(x, answer)
	e.log.answered(entry, x, answer)
	x.fault.send(w, answer)
}

// receive reads a request and finds out what it is for.
func (e *Emulator) receive(r *http.Request) *exchange {
	x := &exchange{request: r, ctx: r.Context(), now: e.Now(), traceID: newGUID(), correlationID: newGUID()}
	if id := r.Header.Get("client-request-id"); isGUID(id) {
		x.correlationID = strings.ToLower(id)
	}
	x.directory = e.index.Load() // one directory from beginning to end, though a reload may come between
	x.route(r.URL.Path)
	var err error
	if x.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		x.unreadable = refuse("invalid_request", 9002313)
	}
	x.form = url.Values{}
	if r.Method == http.MethodPost {
		x.readForm()
	}
	return x
}

// route finds the endpoint of a path, and the tenant before it.
func (x *exchange) route(path string) {
	switch path { // those of no tenant
	case instancePath:
		x.endpoint = endpointInstance
		return
	case deviceLoginPath:
		x.endpoint = endpointDeviceLogin
		return
	case userInfoPath:
		x.endpoint = endpointUserInfo
		return
	}
	alias, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	x.authority, x.known = x.directory.authority(alias)
	switch rest {
	case "oauth2/v2.0/authorize":
		x.endpoint = endpointAuthorize
	case "oauth2/v2.0/token":
		x.endpoint = endpointToken
	case "oauth2/v2.0/devicecode":
		x.endpoint = endpointDeviceCode
	case "oauth2/v2.0/logout":
		x.endpoint = endpointLogout
	case "discovery/v2.0/keys":
		x.endpoint = endpointKeys
	case "discovery/keys":
		x.endpoint, x.version1 = endpointKeys, true
	case "v2.0/.well-known/openid-configuration":
		x.endpoint = endpointDiscovery
	case ".well-known/openid-configuration":
		x.endpoint, x.version1 = endpointDiscovery, true
	}
}

func (x *exchange) readForm() {
	body, err := io.ReadAll(io.LimitReader(x.request.Body, maxBody+1))
	switch {
	case err != nil:
		x.unreadable = refuse("invalid_request", 9002313)
	case len(body) > maxBody:
		x.unreadable = refuse("invalid_request", 9002313)
		x.unreadable.status = http.StatusRequestEntityTooLarge
	default:
		mediaType, _, _ := mime.ParseMediaType(x.request.Header.Get("Content-Type"))
		if mediaType != "application/x-www-form-urlencoded" {
			return // to Entra a body of another type is no form at all
		}
		if x.form, err = url.ParseQuery(string(body)); err != nil {
			x.unreadable = refuse("invalid_request", 9002313)
		}
	}
}

// answer is what the emulator, or a fault, has to say.
func (e *Emulator) answer(x *exchange) *reply {
	if raw := x.fault.replacement(); raw != nil {
		return raw
	}
	if refusal := x.fault.refusal(x); refusal != nil && x.endpoint != endpointAuthorize {
		return e.refusal(x, refusal)
	}
	switch x.endpoint {
	case endpointAuthorize:
		return e.authorize(x)
	case endpointToken:
		return e.token(x)
	case endpointLogout:
		return e.logout(x)
	case endpointKeys:
		return e.jwks(x)
	case endpointDiscovery:
		return e.discovery(x)
	case endpointInstance:
		return e.instance(x)
	case endpointDeviceCode:
		return e.deviceCode(x)
	case endpointDeviceLogin:
		return e.deviceLogin(x)
	case endpointUserInfo:
		return e.userInfo(x)
	}
	return e.errorPage(x, http.StatusNotFound, &oauthError{code: "not_found", text: "There is nothing here. " +
		"The emulator's endpoints are below /{tenant}/oauth2/v2.0/."})
}

// duplicate names a parameter that is there twice, which RFC 6749 section 3.1 and 3.2 forbid.
func duplicate(values url.Values) *oauthError {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(values[name]) > 1 {
			return refuse("invalid_request", 9000411, name)
		}
	}
	return nil
}

// newGUID is a random UUID, RFC 9562 version 4.
func newGUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
