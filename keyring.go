package authcode

import (
	"strconv"
	"strings"
	"sync"
)

const maxSharedKeys = 4096 // token keys that accounts share; scopes are few unless users make them up

// tokenKeys are those of the process.
var tokenKeys keyRing

// keyRing shares token keys between accounts: a million users who ask for the same scopes have one key, which stays in the
// processor's cache. The zero value is ready.
type keyRing struct {
	mu   sync.Mutex
	keys map[string]*tokenKey
}

// keyFor gives the key of a call.
func (a *App) keyFor(tenantID string, scopes []string, cae bool) *tokenKey {
	home := strings.EqualFold(tenantID, a.tenants.home)
	var space [256]byte
	name := appendRingName(space[:0], tenantID, home, scopes, cae)
	r := &tokenKeys
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := r.keys[string(name)]; key != nil {
		return key
	}
	key := newTokenKey(tenantID, home, scopes, cae)
	if r.keys == nil {
		r.keys = make(map[string]*tokenKey)
	}
	if len(r.keys) >= maxSharedKeys {
		for other := range r.keys { // any one: those in use come back
			delete(r.keys, other)
			break
		}
	}
	r.keys[string(name)] = key
	return key
}

// appendRingName tells calls apart word for word: the order of scopes is the caller's.
func appendRingName(b []byte, tenantID string, home bool, scopes []string, cae bool) []byte {
	b = strconv.AppendBool(b, home)
	for _, word := range [...]string{modeName(cae), tenantID} {
		b = append(append(b, ' '), word...)
	}
	for _, scope := range scopes {
		b = append(append(b, ' '), scope...)
	}
	return b
}
