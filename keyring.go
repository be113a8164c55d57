package authcode

import (
	"slices"
	"strings"
	"sync"
)

const maxSharedKeys = 4096 // token keys that accounts share; scopes are few unless users make them up

// keyRing shares token keys between accounts: a million users who ask for the same scopes have one key, which stays in the
// processor's cache. The zero value is ready.
type keyRing struct {
	mu   sync.Mutex
	keys map[string]*tokenKey
}

// keyFor gives the key of a call.
func (a *App) keyFor(tenantID string, scopes []string, cae bool) *tokenKey {
	name := ringName(tenantID, scopes, cae)
	r := &a.keys
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := r.keys[name]; key != nil {
		return key
	}
	key := newTokenKey(tenantID, strings.EqualFold(tenantID, a.tenants.home), scopes, cae)
	if r.keys == nil {
		r.keys = make(map[string]*tokenKey)
	}
	if len(r.keys) >= maxSharedKeys {
		for other := range r.keys { // any one: those in use come back
			delete(r.keys, other)
			break
		}
	}
	r.keys[name] = key
	return key
}

// ringName tells calls apart word for word: the order of scopes is the caller's.
func ringName(tenantID string, scopes []string, cae bool) string {
	return strings.Join(slices.Concat([]string{modeName(cae), tenantID}, scopes), " ")
}
