package signin

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/internal/flight"
)

// Handler signs users in and knows who they are. Make one per App with [New]. All methods are safe for concurrent use.
type Handler struct {
	app      *authcode.App
	options  Options
	clientID string
	replica  string // names this Handler among those that share a store
	tag      string // of this app, in cookie names: ports of one host share cookies
	secure   bool   // the origin is https
	origin   string
	idle     time.Duration
	absolute time.Duration

	callbackPath, loginPath, logoutPath, frontChannelPath string

	sessions sessionCache
	loads    flight.Shared[sessionKey, *session]
	landings flight.Shared[stateHash, outcome]

	mu    sync.Mutex
	onEnd []func(sessionKey) // client caches
}

const (
	loginName        = "login"
	logoutName       = "logout"
	frontChannelName = "frontchannel-logout"
)

// New makes a Handler of an App. Its endpoints are beside the App's redirect URI: with https://app.example.com/auth/callback
// they are /auth/login, /auth/callback, /auth/logout and /auth/frontchannel-logout, so mount it at /auth/. options may be nil.
//
// Errors: a redirect URI that a browser cannot come back to (an app's own scheme, no path of its own, or that of another
// endpoint), timeouts out of range, scopes that Begin refuses, a closed App. No request is sent.
func New(app *authcode.App, options *Options) (*Handler, error) {
	if app == nil {
		return nil, errors.New("signin: no App: make one with authcode.NewApp")
	}
	if options == nil {
		options = &Options{}
	}
	h := &Handler{app: app, options: *options}
	h.options.Scopes = append([]string(nil), options.Scopes...)
	if h.options.Logger == nil {
		h.options.Logger = slog.Default()
	}
	h.absolute = cmp.Or(options.AbsoluteTimeout, defaultAbsolute)
	h.idle = cmp.Or(options.IdleTimeout, min(defaultIdle, h.absolute))
	for _, step := range []func() error{options.check, h.setPaths, h.tryFlow} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("signin: %w", err)
		}
	}
	var replica [16]byte
	_, _ = rand.Read(replica[:])
	h.replica = base64.RawURLEncoding.EncodeToString(replica[:])
	return h, nil
}

func (h *Handler) setPaths() error {
	u, err := url.Parse(h.app.RedirectURI())
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("the redirect URI %s is no web page: a browser must be able to come back to it", h.app.RedirectURI())
	}
	mount, name := u.Path[:strings.LastIndex(u.Path, "/")+1], u.Path[strings.LastIndex(u.Path, "/")+1:]
	switch name {
	case "", loginName, logoutName, frontChannelName:
		return fmt.Errorf("the redirect URI %s needs a path of its own, such as /auth/callback", h.app.RedirectURI())
	}
	h.secure = u.Scheme == "https"
	h.origin = strings.ToLower(u.Scheme + "://" + u.Host)
	h.callbackPath, h.loginPath, h.logoutPath, h.frontChannelPath = u.Path, mount+loginName, mount+logoutName, mount+frontChannelName
	return nil
}

// tryFlow finds out at the start what each sign-in would meet.
func (h *Handler) tryFlow() error {
	flow, err := h.app.Begin(&authcode.BeginOptions{Scopes: h.options.Scopes})
	if err == nil {
		_, err = h.app.SealFlow(flow)
	}
	if err != nil {
		return fmt.Errorf("no sign-in can begin: %w", err)
	}
	h.clientID = flow.ClientID
	sum := sha256.Sum256([]byte("authcode signin tag\x00" + flow.ClientID + "\x00" + h.app.RedirectURI()))
	h.tag = base64.RawURLEncoding.EncodeToString(sum[:6])
	return nil
}

// LoginURL is the path that begins a sign-in and leads to returnTo afterwards, for a link. A returnTo that is no local path
// leads to "/".
func (h *Handler) LoginURL(returnTo string) string {
	return h.loginPath + "?" + url.Values{"return": {h.returnOrRoot(returnTo)}}.Encode()
}

// LogoutURL is the path a form posts to, to sign out.
func (h *Handler) LogoutURL() string { return h.logoutPath }

// ServeHTTP serves the endpoints. Mount it without stripping the prefix.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	switch r.URL.Path {
	case h.callbackPath:
		h.only(w, r, h.callback, http.MethodGet)
	case h.loginPath:
		h.only(w, r, h.login, http.MethodGet)
	case h.logoutPath:
		h.only(w, r, h.logout, http.MethodGet, http.MethodPost)
	case h.frontChannelPath:
		h.only(w, r, h.frontChannelLogout, http.MethodGet)
	default:
		h.show(w, r, newPage(PageNotFound, nil))
	}
}

func (h *Handler) only(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc, methods ...string) {
	for _, method := range methods {
		if r.Method == method {
			serve(w, r)
			return
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	h.show(w, r, newPage(PageMethod, fmt.Errorf("signin: %s %s: only %s is served: a form_post answer is never asked for", r.Method, r.URL.Path, strings.Join(methods, ", "))))
}

// protect sets what every answer of this package has. The callback's URL holds a code: no Referer, no cache (RFC 9700 section
// 4.2.4).
func protect(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
}
