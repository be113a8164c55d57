package entratest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	deviceCodeLifetime = 15 * time.Minute
	deviceCodeInterval = 5 * time.Second
	// maxDeviceFlows bounds how many users can be waited for at once.
	maxDeviceFlows = 10_000
)

// deviceAnswer is the answer of the device authorization endpoint, RFC 8628 section 3.2, with Entra's message and, as
// at Entra, without a verification_uri_complete.
type deviceAnswer struct {
	UserCode        string `json:"user_code"`
	DeviceCode      string `json:"device_code"`
	VerificationURI string `json:"verification_uri"`
	ExpiresIn       int64  `json:"expires_in"`
	Interval        int64  `json:"interval"`
	Message         string `json:"message"`
}

// deviceCode is the device authorization endpoint. See "Microsoft identity platform and the OAuth 2.0 device
// authorization grant flow". Entra does not authenticate the client here, but at the token endpoint.
func (e *Emulator) deviceCode(x *exchange) *reply {
	if m := x.request.Method; m != http.MethodPost {
		refusal := refuse("invalid_request", 900561, "POST", m)
		refusal.status = http.StatusMethodNotAllowed
		r := e.refusal(x, refusal)
		r.set("Allow", "POST")
		return r
	}
	flow, refusal := e.readDeviceRequest(x)
	if refusal == nil {
		refusal = e.devices.add(flow, x.now)
	}
	if refusal != nil {
		return e.refusal(x, refusal)
	}
	page := e.origin + deviceLoginPath
	return e.json(x, http.StatusOK, deviceAnswer{
		UserCode: flow.userCode,
		DeviceCode: e.seal(sealedDeviceCode, deviceCode{
			ID: flow.id, UserCode: flow.userCode, ClientID: flow.clientID, Expires: flow.expires.Unix(),
		}),
		VerificationURI: page,
		ExpiresIn:       int64(deviceCodeLifetime / time.Second),
		Interval:        int64(deviceCodeInterval / time.Second),
		Message: fmt.Sprintf("To sign in, use a web browser to open the page %s and enter the code %s to authenticate.",
			page, flow.userCode),
	})
}

// readDeviceRequest checks a request and starts a flow for it.
func (e *Emulator) readDeviceRequest(x *exchange) (*deviceFlow, *oauthError) {
	switch {
	case x.unreadable != nil:
		return nil, x.unreadable
	case !x.known:
		return nil, refuse("invalid_request", 90002, x.authority.alias)
	}
	if refusal := duplicate(x.form); refusal != nil {
		return nil, refusal
	}
	if refusal := missing(x.form, "client_id", "scope"); refusal != nil {
		return nil, refusal
	}
	clientID := x.form.Get("client_id")
	app := x.directory.app(clientID)
	if refusal := x.authority.admits(app, clientID); refusal != nil {
		return nil, refusal
	}
	asked, refusal := x.directory.parseScopes(x.form.Get("scope"))
	switch {
	case refusal != nil:
		return nil, refusal
	case asked.resources() > 1:
		return nil, refuse("invalid_scope", 28000, asked.text)
	}
	if _, refusal := parseClaims(x.form.Get("claims")); refusal != nil {
		return nil, refusal
	}
	return &deviceFlow{
		id:       newGUID(),
		userCode: newUserCode(),
		clientID: app.ClientID,
		alias:    x.authority.alias,
		scopes:   asked.text,
		claims:   x.form.Get("claims"),
		expires:  x.now.Add(deviceCodeLifetime).Truncate(time.Second),
	}, nil
}

// redeemDeviceCode is the device code grant, RFC 8628 section 3.4, as Entra answers it: the user's no is
// authorization_declined, and a client that polls too often is not told to slow_down.
func (e *Emulator) redeemDeviceCode(x *exchange, c client) (*issue, *oauthError) {
	if refusal := missing(x.form, "device_code"); refusal != nil {
		return nil, refusal
	}
	var code deviceCode
	switch {
	case c.app.Type == SPA:
		return nil, refuse("invalid_client", 7000218)
	case !e.unseal(sealedDeviceCode, x.form.Get("device_code"), &code):
		return nil, refuse("bad_verification_code", 70018)
	case code.ClientID != c.app.ClientID:
		return nil, refuse("invalid_grant", 70000, "The device code was issued to another client.")
	case x.now.Unix() >= code.Expires:
		return nil, refuse("expired_token", 70020)
	}
	g, refusal := e.devices.answer(code)
	if refusal != nil {
		return nil, refusal
	}
	x.user = x.directory.oid(g.ObjectID)
	user, refusal := e.holder(x, c, g, "")
	switch {
	case refusal != nil:
		return nil, refusal
	case x.authority.tenant != nil && x.authority.tenant.ID != g.TenantID:
		return nil, refuse("invalid_grant", 700005)
	}
	asked, refusal := e.askedFor(x, g)
	if refusal != nil {
		return nil, refusal
	}
	i := &issue{client: c, user: user, tenantID: g.TenantID, grant: g, scopes: asked, refresh: refreshToken{Family: code.ID}}
	if refusal := e.complete(x, i); refusal != nil {
		return nil, refusal
	}
	if !e.devices.remove(code) {
		return nil, refuse("invalid_grant", 54005)
	}
	return i, nil
}

// deviceCode is what a device code stands for.
type deviceCode struct {
	ID       string
	UserCode string
	ClientID string
	Expires  int64 // Unix seconds
}

// deviceFlow is a device that waits for its user.
type deviceFlow struct {
	id       string
	userCode string
	clientID string
	alias    string // the authority the device asked at
	scopes   string
	claims   string // what the user is to prove
	expires  time.Time
	declined bool
	grant    *grant // what the user gave; nil: nothing yet
}

// deviceTable holds the devices that wait, by user code. One leaves when its tokens are issued, or after it expired.
type deviceTable struct {
	mu       sync.Mutex
	flows    map[string]*deviceFlow
	sweepAt  int
	earliest time.Time // before which none expires that was there at the last sweep
}

// add enters a flow, unless too many wait already.
func (t *deviceTable) add(f *deviceFlow, now time.Time) *oauthError {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flows == nil {
		t.flows = make(map[string]*deviceFlow)
	}
	t.sweep(now)
	if _, taken := t.flows[f.userCode]; taken || len(t.flows) >= maxDeviceFlows {
		refusal := refuse("temporarily_unavailable", 90055)
		refusal.status = http.StatusTooManyRequests
		return refusal
	}
	t.flows[f.userCode] = f
	return nil
}

func (t *deviceTable) sweep(now time.Time) {
	if len(t.flows) < max(t.sweepAt, 256) || now.Before(t.earliest) {
		return
	}
	t.earliest = now.Add(deviceCodeLifetime)
	for code, f := range t.flows {
		switch {
		case !now.Before(f.expires):
			delete(t.flows, code)
		case f.expires.Before(t.earliest):
			t.earliest = f.expires
		}
	}
	t.sweepAt = min(2*len(t.flows), maxDeviceFlows)
}

// waiting is a copy of the flow a user has not answered yet.
func (t *deviceTable) waiting(userCode string, now time.Time) (deviceFlow, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flows[userCode]
	if f == nil || f.declined || f.grant != nil || !now.Before(f.expires) {
		return deviceFlow{}, false
	}
	return *f, true
}

// settle enters the user's answer: a grant, or nil for no. One answer counts; ok is false for another.
func (t *deviceTable) settle(userCode string, g *grant, now time.Time) (ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flows[userCode]
	if f == nil || f.declined || f.grant != nil || !now.Before(f.expires) {
		return false
	}
	f.grant, f.declined = g, g == nil
	return true
}

// answer is the grant of a device code, or why there is none.
func (t *deviceTable) answer(code deviceCode) (*grant, *oauthError) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flows[code.UserCode]
	switch {
	case f == nil || f.id != code.ID:
		return nil, refuse("invalid_grant", 54005)
	case f.declined:
		return nil, refuse("authorization_declined", 65004)
	case f.grant == nil:
		return nil, refuse("authorization_pending", 70016)
	}
	g := *f.grant
	return &g, nil
}

// remove takes a flow out whose tokens are issued; of many who try at once, one gets true.
func (t *deviceTable) remove(code deviceCode) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flows[code.UserCode]
	if f == nil || f.id != code.ID {
		return false
	}
	delete(t.flows, code.UserCode)
	return true
}

// userCodeAlphabet has no letters and digits that people mistake for others, RFC 8628 section 6.1.
const userCodeAlphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

func newUserCode() string {
	var b [9]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = userCodeAlphabet[int(b[i])%len(userCodeAlphabet)]
	}
	return string(b[:])
}

// readUserCode is a user code as a person may have typed it.
func readUserCode(text string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(text))
}
