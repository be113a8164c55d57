package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/authcode-go/authcode"
)

const (
	maxFlowCookies = 5
	maxFlowBytes   = 6 << 10   // of all flow cookies: proxies take 8 KiB of headers, some less
	flowCookieAge  = time.Hour // longer than the flow, so that who comes late is told so and brought to their page
	stateLength    = 43
)

// stateHash names a flow where its state would be too much to tell.
type stateHash [sha256.Size]byte

func hashState(state string) stateHash {
	return sha256.Sum256([]byte("authcode signin state\x00" + state))
}

// isState reports whether it could be a state of ours, before anything else is done with it.
func isState(s string) bool {
	if len(s) != stateLength {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil
}

// pending is a sign-in under way, as its cookie holds it.
type pending struct {
	flow     *authcode.Flow
	seed     [32]byte // the flow's own secret: the session's ID comes from it
	returnTo string
	silent   bool // prompt=none: if the server cannot, the user is asked
	auto     bool // nobody clicked: it counts towards a loop
	stepped  bool // it follows one whose code the server refused without more proof; a second refusal is final
}

const (
	flagSilent byte = 1 << iota
	flagAuto
	flagStepped
)

// begin starts a flow, keeps it in a cookie of the browser and gives the URL to send it to. Nothing is stored here: starts are
// free for whoever floods us with them.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, options authcode.BeginOptions, p pending) (string, error) {
	if p.silent {
		options.Prompt = "none"
	}
	if len(options.Scopes) == 0 {
		options.Scopes = h.options.Scopes
	}
	flow, err := h.app.Begin(&options)
	if err != nil {
		return "", err
	}
	p.flow = flow
	_, _ = rand.Read(p.seed[:])
	value, err := h.sealPending(r.Context(), &p)
	if err != nil {
		return "", err
	}
	h.makeRoomForFlow(w, r, len(value))
	http.SetCookie(w, h.cookie(h.flowCookieName(flow.State), value, flowCookieAge))
	return flow.URL, nil
}

// flowCookieName is a hash of the state, so that the callback finds its cookie among others'.
func (h *Handler) flowCookieName(state string) string {
	hash := hashState(state)
	return h.flowCookiePrefix() + base64.RawURLEncoding.EncodeToString(hash[:9])
}

func (h *Handler) flowCookiePrefix() string { return h.cookieName("-flow-") }

// sealPending gives the cookie's value: when it began, for makeRoomForFlow, and the sealed rest.
func (h *Handler) sealPending(ctx context.Context, p *pending) (string, error) {
	sealedFlow, err := h.app.SealFlow(p.flow)
	if err != nil {
		return "", err
	}
	flow, err := base64.RawURLEncoding.DecodeString(sealedFlow)
	if err != nil {
		return "", err
	}
	var flags byte
	if p.silent {
		flags |= flagSilent
	}
	if p.auto {
		flags |= flagAuto
	}
	if p.stepped {
		flags |= flagStepped
	}
	plain := append([]byte{flags}, p.seed[:]...)
	plain = binary.BigEndian.AppendUint16(plain, uint16(len(flow)))
	plain = append(append(plain, flow...), p.returnTo...)
	text, err := h.sealText(ctx, kindFlow, h.flowCookieName(p.flow.State), plain)
	return strconv.FormatInt(time.Now().Unix(), 36) + "." + text, err
}

func (h *Handler) openPending(ctx context.Context, name, value string) (*pending, error) {
	_, text, _ := strings.Cut(value, ".")
	plain, err := h.openText(ctx, kindFlow, name, text)
	if err != nil {
		return nil, err
	}
	const header = 1 + 32 + 2
	if len(plain) < header || len(plain) < header+int(binary.BigEndian.Uint16(plain[header-2:])) {
		return nil, errors.New("signin: the flow is cut off")
	}
	p := &pending{silent: plain[0]&flagSilent != 0, auto: plain[0]&flagAuto != 0, stepped: plain[0]&flagStepped != 0}
	copy(p.seed[:], plain[1:])
	end := header + int(binary.BigEndian.Uint16(plain[header-2:]))
	p.returnTo = h.returnOrRoot(string(plain[end:]))
	p.flow, err = h.app.OpenFlow(base64.RawURLEncoding.EncodeToString(plain[header:end]))
	return p, err
}

// pendingOf finds the flow of a callback in the browser's cookies: nil, if it is not this browser's, or was brought to its end. An
// error means that nothing is known: the key is away.
func (h *Handler) pendingOf(r *http.Request, state string) (*pending, error) {
	name := h.flowCookieName(state)
	c, err := r.Cookie(name)
	if err != nil {
		return nil, nil
	}
	p, err := h.openPending(r.Context(), name, c.Value)
	switch {
	case errors.Is(err, authcode.ErrStoreUnavailable), errors.Is(err, authcode.ErrClosed):
		return nil, err
	case err != nil:
		h.options.Logger.WarnContext(r.Context(), "signin: a flow cookie is refused", "error", err)
		return nil, nil
	}
	return p, nil
}

// makeRoomForFlow lets the oldest flows leave the browser.
func (h *Handler) makeRoomForFlow(w http.ResponseWriter, r *http.Request, need int) {
	flows := h.flowCookies(r)
	total := need
	for _, c := range flows {
		total += len(c.Name) + len(c.Value)
	}
	for len(flows) >= maxFlowCookies || len(flows) > 0 && total > maxFlowBytes {
		total -= len(flows[0].Name) + len(flows[0].Value)
		http.SetCookie(w, h.cookie(flows[0].Name, "", 0))
		flows = flows[1:]
	}
}

// flowCookies are the browser's, the oldest first. When one began is its own word: it only decides which leaves.
func (h *Handler) flowCookies(r *http.Request) []*http.Cookie {
	prefix := h.flowCookiePrefix()
	began := func(c *http.Cookie) int64 {
		stamp, _, _ := strings.Cut(c.Value, ".")
		n, _ := strconv.ParseInt(stamp, 36, 64)
		return n
	}
	flows := slices.DeleteFunc(r.Cookies(), func(c *http.Cookie) bool { return !strings.HasPrefix(c.Name, prefix) })
	slices.SortStableFunc(flows, func(a, b *http.Cookie) int { return cmp.Compare(began(a), began(b)) })
	return flows
}

func (h *Handler) dropFlow(w http.ResponseWriter, state string) {
	http.SetCookie(w, h.cookie(h.flowCookieName(state), "", 0))
}
