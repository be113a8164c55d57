package entratest

import (
	"crypto/cipher"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Options configures an [Emulator]. The zero value, and nil, give an Entra with the [DefaultDirectory].
type Options struct {
	// AccessTokenLifetime is how long access tokens last. Zero: 1 hour, and for clients that announce the capability
	// cp1 28 hours, or 24 if the token is the app's own; Entra's last 60 to 90 minutes, with continuous access
	// evaluation 20 to 28 hours, at random. At least one second.
	AccessTokenLifetime time.Duration
	// Addr is the address [NewServer] listens on. Empty: 127.0.0.1 and a free port. [NewHandler] ignores it.
	Addr string
	// CA is the certificate authority, with its private key, that makes the certificate of [NewServer]; [NewCA] makes
	// one. Zero: one made for the server alone, whose key nobody keeps. [NewHandler] ignores it.
	CA tls.Certificate
	// Console says who may open the console, the page at /emulator that shows the directory and the log of requests
	// with their secrets masked, and lets faults happen. Zero: [ConsoleLocal].
	Console ConsoleAccess
	// Directory holds the tenants, users, apps and resources; it is copied. Nil: [DefaultDirectory].
	Directory *Directory
	// Host is the DNS name or the IP address by which clients know the server: its certificate and [Emulator.URL] name
	// it, without a port. It must be one that CA may speak for. Empty: localhost. [NewHandler] ignores it.
	Host string
	// HTTPClient fetches the keys of federated credentials that bring none of their own. Nil: [net/http.DefaultClient].
	HTTPClient *http.Client
	// LogSize is how many requests [Emulator.Requests] remembers; the oldest leave first.
	// Zero: 10,000. Negative: none.
	LogSize int
	// Origin is the scheme and host of [Emulator.URL], for [NewHandler] only. Empty: an https origin no other
	// emulator of this process has, so that state a client keeps per authority never mixes.
	Origin string
	// RefreshIn is the refresh_in of token answers, rounded down to seconds. Zero: answers have none.
	RefreshIn time.Duration
	// Rotation says what becomes of a refresh token that was used. Zero: [RotationKeep], as Entra.
	// [Emulator.SetRotation] changes it later.
	Rotation Rotation
}

// Rotation says what becomes of a refresh token that was used. Every use answers with a new one.
type Rotation int

const (
	// RotationKeep lets a used refresh token stay good. This is what Entra does: see "Refresh tokens in the
	// Microsoft identity platform".
	RotationKeep Rotation = iota
	// RotationRefuse answers a used refresh token with invalid_grant; the newest goes on working.
	RotationRefuse
	// RotationRevokeFamily treats the second use of a refresh token as theft, RFC 9700 section 4.14.2: all
	// refresh tokens of that sign-in die.
	RotationRevokeFamily
)

// Emulator is a stand-in for Microsoft Entra ID: an [net/http.Handler] that signs users in and issues tokens.
// Make one with [NewHandler] or [NewServer]. Safe for concurrent use.
type Emulator struct {
	options  Options
	origin   string
	index    atomic.Pointer[directoryIndex]
	sealing  cipher.AEAD
	keys     keyRing
	offset   atomic.Int64 // nanoseconds the virtual clock is ahead
	sequence atomic.Uint64

	log    requestLog
	faults faultList

	spentCodes *expiringSet // IDs of redeemed codes, for as long as a code lives
	seenJTIs   *expiringSet // assertion IDs, for as long as the assertion lives
	spentPages *expiringSet // IDs of answered pages, for as long as a page lives
	families   familyTable
	devices    deviceTable
	issuerKeys issuerKeySets
	console    console

	mu       sync.Mutex // guards what follows
	users    map[string]userState
	required []requirement
	withheld map[consent]bool // what a test took away
	consents map[consent]bool // what users said yes to, of apps that ask
}

// userState is what tests did to a user, by home object ID. Sequence numbers order events even where the clock
// stands still, as it does in a testing/synctest bubble.
type userState struct {
	disabled       bool
	switched       bool   // disabled is what a test said, not what the directory says
	sessionsBefore uint64 // refresh tokens with a lower sequence number are revoked
	accessBefore   uint64 // CAE access tokens with a lower sequence number are revoked
	accessTime     time.Time
	renewed        bool   // the user has set a new password
	password       string // which is this one
}

// emulators counts the emulators of this process, for unique origins.
var emulators atomic.Uint64

// NewHandler makes an emulator that serves no socket of its own: mount it, or use [Emulator.Transport].
// Nil options are fine.
func NewHandler(options *Options) (*Emulator, error) {
	if options == nil {
		options = &Options{}
	}
	origin := options.Origin
	if origin == "" {
		origin = fmt.Sprintf("https://login-%d.entratest.example", emulators.Add(1))
	}
	return newEmulator(options, origin)
}

func newEmulator(options *Options, origin string) (*Emulator, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	if err := checkOrigin(origin); err != nil {
		return nil, err
	}
	directory := options.Directory
	if directory == nil {
		directory = DefaultDirectory()
	}
	index, err := newDirectoryIndex(directory.clone())
	if err != nil {
		return nil, err
	}
	e := &Emulator{
		options:    *options,
		origin:     origin,
		sealing:    newSealing(),
		spentCodes: newExpiringSet(),
		seenJTIs:   newExpiringSet(),
		spentPages: newExpiringSet(),
		users:      make(map[string]userState),
		withheld:   make(map[consent]bool),
		consents:   make(map[consent]bool),
	}
	e.index.Store(index)
	e.families.reset(options.Rotation)
	e.console = newConsole(options.Console)
	e.log.limit = options.LogSize
	if e.log.limit == 0 {
		e.log.limit = 10_000
	}
	key, err := firstKey()
	if err != nil {
		return nil, err
	}
	e.keys.replace(key.forOrigin(origin))
	return e, nil
}

func (o *Options) check() error {
	switch {
	case o.AccessTokenLifetime != 0 && o.AccessTokenLifetime < time.Second:
		return fmt.Errorf("entratest: AccessTokenLifetime %v is shorter than a second", o.AccessTokenLifetime)
	case o.RefreshIn < 0:
		return fmt.Errorf("entratest: RefreshIn %v is negative", o.RefreshIn)
	case o.Console < ConsoleLocal || o.Console > ConsoleOff:
		return fmt.Errorf("entratest: unknown Console %d", o.Console)
	}
	return o.Rotation.check()
}

func (r Rotation) check() error {
	if r < RotationKeep || r > RotationRevokeFamily {
		return fmt.Errorf("entratest: unknown Rotation %d", r)
	}
	return nil
}

func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil {
		return fmt.Errorf("entratest: Origin: %w", err)
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Scheme+"://"+u.Host != origin {
		return errors.New("entratest: Origin must be a scheme and a host, like https://login.example, not " + origin)
	}
	return nil
}

// URL is the authority: the origin, without a trailing slash. A tenant's endpoints are below URL()/{tenant}.
func (e *Emulator) URL() string { return e.origin }

// Directory is a copy of the emulator's directory.
func (e *Emulator) Directory() *Directory { return e.index.Load().directory.clone() }

// SetDirectory replaces the directory by a copy of d, for the requests that come from now on. What was issued and what
// was done to users and consents holds on, by their IDs. A directory that [NewHandler] would refuse is an error, and
// nothing changes.
func (e *Emulator) SetDirectory(d *Directory) error {
	if d == nil {
		return errors.New("entratest: SetDirectory: the directory is nil: pass one, or DefaultDirectory()")
	}
	index, err := newDirectoryIndex(d.clone())
	if err != nil {
		return err
	}
	e.index.Store(index)
	return nil
}

// Now is the emulator's virtual clock: time.Now() and what [Emulator.Advance] added to it.
func (e *Emulator) Now() time.Time { return time.Now().Add(time.Duration(e.offset.Load())) }

// Advance moves the virtual clock: codes, tokens and sessions age by d at once. Only the emulator's clock moves:
// to a client whose own clock stays, new ID tokens are then from the future.
func (e *Emulator) Advance(d time.Duration) { e.offset.Add(int64(d)) }
