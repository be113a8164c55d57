package bench

import (
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// cachedToken is the least a cache can keep: the token and when it is no longer good, on one cache line.
type cachedToken struct{ access azcore.AccessToken }

func (t *cachedToken) good() bool { return time.Now().Before(t.access.RefreshOn) }

// oneLoad is the floor of all caches: the users' tokens stand in one array.
type oneLoad []atomic.Pointer[cachedToken]

// userOfFloor is a user who can be held and passed on, as a credential is: the token is one load further away. It fills a
// cache line, since a user is never a pointer alone.
type userOfFloor struct {
	current atomic.Pointer[cachedToken]
	_       [56]byte
}

// twoLoads is the floor of a credential per user: array, user, token.
type twoLoads []*userOfFloor

func newOneLoad(tokens []azcore.AccessToken) oneLoad {
	floor := make(oneLoad, len(tokens))
	for i, access := range tokens {
		floor[i].Store(&cachedToken{access})
	}
	return floor
}

// newTwoLoads makes the users first and then the tokens: made in turns each token would lie beside its user, on the next cache
// line, where none stays that was renewed once.
func newTwoLoads(tokens []azcore.AccessToken) twoLoads {
	floor := make(twoLoads, len(tokens))
	for i := range floor {
		floor[i] = &userOfFloor{}
	}
	for i, access := range tokens {
		floor[i].current.Store(&cachedToken{access})
	}
	return floor
}

// get is not inlined, or the compiler would see that the copy is not used and leave it out.
//
//go:noinline
func (f oneLoad) get(i int) (access azcore.AccessToken) {
	if t := f[i].Load(); t.good() {
		access = t.access
	}
	return access
}

//go:noinline
func (f twoLoads) get(i int) (access azcore.AccessToken) {
	if t := f[i].current.Load(); t.good() {
		access = t.access
	}
	return access
}
