package signin

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/authcode-go/authcode"
)

const (
	sessionBytes = 32
	maxFlowsKept = 5   // sign-ins that a session remembers it came from, to serve their callbacks again
	maxAgent     = 200 // bytes of a User-Agent
)

// sessionID is what the cookie holds. Secret.
type sessionID [sessionBytes]byte

// sessionKey is its hash: where the session is in the store and in memory.
type sessionKey [sha256.Size]byte

func (k sessionKey) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

func (k sessionKey) store() string { return string(kindSession) + ":" + k.String() }

func parseSessionKey(s string) (k sessionKey, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return k, err == nil && copy(k[:], raw) == len(raw) && len(raw) == len(k)
}

// newSessionID is an HMAC of the flow's own secret, which nobody but this app has seen: whichever replica a duplicate of the
// callback reaches arrives at the same session.
func newSessionID(seed []byte) (id sessionID) {
	mac := hmac.New(sha256.New, seed)
	mac.Write([]byte("authcode signin session v1"))
	mac.Sum(id[:0])
	return id
}

const sessionKeyPrefix = "authcode signin session key\x00"

func (id sessionID) key() sessionKey {
	var b [len(sessionKeyPrefix) + sessionBytes]byte
	copy(b[:], sessionKeyPrefix)
	copy(b[len(sessionKeyPrefix):], id[:])
	return sha256.Sum256(b[:])
}

// sessionRecord is a session as the store holds it, sealed.
type sessionRecord struct {
	Account  []byte       `json:"account"`
	Agent    string       `json:"agent,omitempty"`
	Flows    []landedFlow `json:"flows,omitempty"` // the newest last
	Seen     time.Time    `json:"seen"`            // within a 24th of the idle timeout
	SignedIn time.Time    `json:"signed_in"`
}

// landedFlow is a sign-in that led to a session.
type landedFlow struct {
	Return string `json:"return"`
	State  []byte `json:"state"` // its hash
}

// session is one in memory. It does not change.
type session struct {
	key     sessionKey
	record  sessionRecord
	user    *User
	version string
	checked time.Time // when the store last confirmed it; for one that has ended, when that was
	ended   bool      // a mark, so that a reading under way does not bring it back
}

func (h *Handler) newSession(key sessionKey, record sessionRecord, version string, now time.Time) (*session, error) {
	var account authcode.Account
	if err := account.UnmarshalBinary(record.Account); err != nil {
		return nil, err
	}
	return &session{key: key, record: record, version: version, checked: now, user: h.newUser(account, key, record.SignedIn)}, nil
}

// left is how long a session goes on without a request.
func (h *Handler) left(r *sessionRecord, now time.Time) time.Duration {
	return min(r.SignedIn.Add(h.absolute).Sub(now), r.Seen.Add(h.idle).Sub(now))
}

// landed is the sign-in with this state that led to the session, or nil.
func (s *session) landed(state stateHash) *landedFlow {
	if s == nil {
		return nil
	}
	for i := range s.record.Flows {
		if bytes.Equal(s.record.Flows[i].State, state[:]) {
			return &s.record.Flows[i]
		}
	}
	return nil
}

func (h *Handler) sessionCookieName() string { return h.cookieName("") }

func (h *Handler) cookieName(what string) string {
	name := "authcode-" + h.tag + what
	if h.secure {
		return "__Host-" + name
	}
	return name
}

// cookie has the attributes that all of ours have. Path=/ and no Domain is what the __Host- prefix wants.
func (h *Handler) cookie(name, value string, maxAge time.Duration) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: h.secure, SameSite: http.SameSiteLaxMode}
	switch {
	case value == "":
		c.MaxAge = -1
	case maxAge > 0:
		c.MaxAge = int(maxAge / time.Second)
	}
	return c
}

func (h *Handler) setSessionCookie(w http.ResponseWriter, id sessionID) {
	var lasts time.Duration
	if h.options.PersistentCookie {
		lasts = h.absolute
	}
	http.SetCookie(w, h.cookie(h.sessionCookieName(), base64.RawURLEncoding.EncodeToString(id[:]), lasts))
}

func (h *Handler) sessionIDOf(r *http.Request) (id sessionID, ok bool) {
	c, err := r.Cookie(h.sessionCookieName())
	if err != nil || len(c.Value) != base64.RawURLEncoding.EncodedLen(sessionBytes) {
		return id, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(id[:], []byte(c.Value))
	return id, err == nil && n == sessionBytes
}

// sessionOf gives the session of a request, nil if there is none that lasts. A session that is not found costs nobody their
// cookie: the answer to an old request must not delete the cookie of a newer sign-in.
func (h *Handler) sessionOf(r *http.Request) (*session, error) {
	id, ok := h.sessionIDOf(r)
	if !ok {
		return nil, nil
	}
	return h.find(r.Context(), id.key())
}

const (
	recheckAfter   = 10 * time.Second // a session that ended elsewhere is refused by then
	servedUnstored = 5 * time.Minute  // while the store is down; as long as a grant in memory is served unlooked
)

func (h *Handler) find(ctx context.Context, key sessionKey) (*session, error) {
	now := time.Now()
	s := h.sessions.get(key)
	if s != nil && now.Sub(s.checked) < recheckAfter {
		if s.ended || h.left(&s.record, now) <= 0 {
			return nil, nil
		}
		return s, nil
	}
	loaded, err := h.loads.Do(ctx, key, func(ctx context.Context) (*session, error) { return h.load(ctx, key, true) })
	if err != nil && s != nil && errors.Is(err, authcode.ErrStoreUnavailable) && now.Sub(s.checked) < servedUnstored && h.left(&s.record, now) > 0 {
		return s, nil
	}
	return loaded, err
}

// load asks the store, and tells it now and then that the session is in use, if it is.
func (h *Handler) load(ctx context.Context, key sessionKey, used bool) (*session, error) {
	var record sessionRecord
	version, found, err := h.read(ctx, kindSession, key.store(), &record)
	now := time.Now()
	switch {
	case errors.Is(err, authcode.ErrBrokenSeal):
		h.options.Logger.WarnContext(ctx, "signin: a stored session is refused", "session", key.String(), "error", err)
		found = false
	case err != nil:
		return nil, err
	}
	if !found || h.left(&record, now) <= 0 {
		h.sessions.drop(key)
		h.dropClients(key)
		return nil, nil
	}
	if used && now.Sub(record.Seen) > h.idle/24 {
		touched := record
		touched.Seen = now
		// Not told, or told by another replica: it is told at the next look.
		if next, swapped, err := h.swap(ctx, kindSession, key.store(), version, touched, h.left(&touched, now)); err == nil && swapped {
			record, version = touched, next
		}
	}
	if had := h.sessions.get(key); had != nil && !had.ended && had.version == version {
		again := *had
		again.checked = now
		return h.sessions.put(&again), nil
	}
	s, err := h.newSession(key, record, version, now)
	if err != nil {
		h.options.Logger.WarnContext(ctx, "signin: a stored session is refused", "session", key.String(), "error", err)
		return nil, nil
	}
	return h.sessions.put(s), nil
}
