package signin

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"sync"

	"github.com/authcode-go/authcode"
)

const defaultMaxClients = 1000

// ClientCache keeps one Azure client, or whatever is made of a credential, for each session of each user: the pipeline, the
// connection pool and the token in it are used again.
//
// One client must never serve two users. An Azure SDK client keeps one token for itself and sends it with every request, whoever's
// request that is; so does a client whose credential would look up its user in the context. Hence the key is the user and the
// session: a sign-in or step-up makes a new client, which does not go on with the token of the old one, and a sign-out drops it.
//
// Make clients with a shared Transport (azcore.ClientOptions.Transport), so that they share connections.
type ClientCache[T any] struct {
	limit int
	build func(*authcode.AuthorizationCodeCredential) (T, error)

	mu      sync.Mutex
	clients map[sessionKey]*list.Element
	order   list.List // of *cachedClient[T], the most recently used first
}

type cachedClient[T any] struct {
	key   sessionKey
	ready chan struct{} // closed when value and err are there
	value T
	err   error
}

// NewClientCache makes a cache of clients that build makes of a user's credential. limit is how many it keeps; those that were not
// used for longest leave. 0: 1,000.
func NewClientCache[T any](h *Handler, limit int, build func(*authcode.AuthorizationCodeCredential) (T, error)) *ClientCache[T] {
	c := &ClientCache[T]{limit: cmp.Or(max(limit, 0), defaultMaxClients), build: build, clients: map[sessionKey]*list.Element{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onEnd = append(h.onEnd, c.drop)
	return c
}

// Get gives the client of a user. Callers who come together share the making of it; one that fails is not kept. The error is
// build's, or of a panic in it.
func (c *ClientCache[T]) Get(user *User) (T, error) {
	if user == nil {
		var none T
		return none, errors.New("signin: no user to make a client for: take the one of UserFrom")
	}
	entry, mine := c.enter(user.key)
	if mine {
		c.fill(entry, user)
	}
	<-entry.ready
	return entry.value, entry.err
}

func (c *ClientCache[T]) enter(key sessionKey) (entry *cachedClient[T], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.clients[key]; e != nil {
		c.order.MoveToFront(e)
		return e.Value.(*cachedClient[T]), false
	}
	entry = &cachedClient[T]{key: key, ready: make(chan struct{})}
	c.clients[key] = c.order.PushFront(entry)
	for len(c.clients) > c.limit {
		c.dropLocked(c.order.Back().Value.(*cachedClient[T]).key)
	}
	return entry, true
}

func (c *ClientCache[T]) fill(entry *cachedClient[T], user *User) {
	defer close(entry.ready)
	defer func() {
		if p := recover(); p != nil {
			entry.err = fmt.Errorf("signin: making a client panicked (%T)", p)
		}
		if entry.err != nil {
			c.drop(entry.key)
		}
	}()
	entry.value, entry.err = c.build(user.Credential())
}

func (c *ClientCache[T]) drop(key sessionKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(key)
}

func (c *ClientCache[T]) dropLocked(key sessionKey) {
	if e := c.clients[key]; e != nil {
		c.order.Remove(e)
		delete(c.clients, key)
	}
}

// Len is how many clients it keeps.
func (c *ClientCache[T]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.clients)
}

func (h *Handler) dropClients(key sessionKey) {
	h.mu.Lock()
	all := h.onEnd
	h.mu.Unlock()
	for _, drop := range all {
		drop(key)
	}
}
