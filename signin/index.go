package signin

import (
	"context"
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/authcode-go/authcode"
)

const (
	maxSessionsPerUser = 50
	indexTries         = 50
	indexPause         = 5 * time.Millisecond // at most, times the try
	emptyIndexKept     = time.Minute
)

// sessionIndex is a record of the store that says which sessions a user has, or belong to a sid of the server. It may name some that
// have run out, and never misses one that lasts: it is written before the session is.
type sessionIndex struct {
	Sessions []indexedSession `json:"sessions"`
}

type indexedSession struct {
	Key   []byte    `json:"key"`
	Until time.Time `json:"until"`
}

func (i *sessionIndex) has(key sessionKey) bool {
	return slices.ContainsFunc(i.Sessions, func(s indexedSession) bool { return sessionKey(s.Key) == key })
}

func (i *sessionIndex) remove(keys ...sessionKey) {
	i.Sessions = slices.DeleteFunc(i.Sessions, func(s indexedSession) bool { return slices.Contains(keys, sessionKey(s.Key)) })
}

func (i *sessionIndex) keys() []sessionKey {
	var keys []sessionKey
	for _, s := range i.Sessions {
		keys = append(keys, sessionKey(s.Key))
	}
	return keys
}

var homeAccountPattern = regexp.MustCompile(`^[0-9a-fA-F-]{36}\.[0-9a-fA-F-]{36}$`)

// userIndexKey is where the index of an account is. Account IDs of Entra are made of GUIDs, which have no case.
func (h *Handler) userIndexKey(accountID string) string {
	if homeAccountPattern.MatchString(accountID) {
		accountID = strings.ToLower(accountID)
	}
	return h.storeKey(kindIndex, "user\x00"+accountID)
}

func (h *Handler) sidIndexKey(sid string) string { return h.storeKey(kindIndex, "sid\x00"+sid) }

// readIndex gives what is indexed; nothing where the record does not open.
func (h *Handler) readIndex(ctx context.Context, key string) (index sessionIndex, version string, err error) {
	version, _, err = h.read(ctx, kindIndex, key, &index)
	if errors.Is(err, authcode.ErrBrokenSeal) {
		h.options.Logger.WarnContext(ctx, "signin: a stored index of sessions is refused", "key", key, "error", err)
		return sessionIndex{}, version, nil
	}
	now := time.Now()
	index.Sessions = slices.DeleteFunc(index.Sessions, func(s indexedSession) bool {
		return len(s.Key) != len(sessionKey{}) || !now.Before(s.Until)
	})
	return index, version, err
}

// errContended means that others wrote each time between our reading and our writing.
var errContended = errors.New("others wrote each time: try again")

// changeIndex swaps a change in, and gives what was written. One without sessions is not deleted but left to its short time: a
// Delete could take away what somebody has just added.
func (h *Handler) changeIndex(ctx context.Context, key string, change func(*sessionIndex)) (sessionIndex, error) {
	for try := range indexTries {
		index, version, err := h.readIndex(ctx, key)
		if err != nil {
			return sessionIndex{}, err
		}
		before := len(index.Sessions)
		change(&index)
		if version == "" && before == 0 && len(index.Sessions) == 0 {
			return index, nil
		}
		ttl := emptyIndexKept
		for _, s := range index.Sessions {
			ttl = max(ttl, time.Until(s.Until))
		}
		_, swapped, err := h.swap(ctx, kindIndex, key, version, index, ttl)
		if err != nil || swapped {
			return index, err
		}
		if err := pause(ctx, rand.N(indexPause*time.Duration(try+1))); err != nil {
			return sessionIndex{}, err
		}
	}
	return sessionIndex{}, unavailable("writing an index of sessions", errContended)
}

// addToIndex notes a session. The oldest beyond what a user may have are given back, to be ended.
func (h *Handler) addToIndex(ctx context.Context, key string, s sessionKey, until time.Time) (tooMany []sessionKey, err error) {
	_, err = h.changeIndex(ctx, key, func(i *sessionIndex) {
		tooMany = nil
		if !i.has(s) {
			i.Sessions = append(i.Sessions, indexedSession{Key: s[:], Until: until})
		}
		if beyond := len(i.Sessions) - maxSessionsPerUser; beyond > 0 {
			tooMany = i.keys()[:beyond]
			i.remove(tooMany...)
		}
	})
	return tooMany, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
