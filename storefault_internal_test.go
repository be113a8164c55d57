package authcode

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// shards is a store of which a part is silent.
type shards struct {
	Store
	silent map[string]bool
}

func (s *shards) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (bool, error) {
	if s.silent[key] {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return s.Store.Swap(ctx, key, oldVersion, newVersion, data, ttl)
}

// countingServer counts requests.
type countingServer struct{ requests int }

func (s *countingServer) Do(*http.Request) (*http.Response, error) {
	s.requests++
	return nil, errors.New("gone")
}

// TestAShardThatIsAwayHoldsUpNoOther: two thirds of the grants can be written.
func TestAShardThatIsAwayHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shards{Store: NewMemoryStore(), silent: map[string]bool{}}
		app, err := NewApp("tenant", "client", "https://app.example.com/cb", PublicAuth(), &AppOptions{Store: store, Sealer: newProcessSealer()})
		if err != nil {
			t.Fatal(err)
		}
		const grants = 300
		for i := range grants {
			id := strconv.Itoa(i)
			c := newCredential(app, id)
			c.grant.mu.Lock()
			c.grant.publish(&snapshot{holding: &holding{account: Account{ID: id}, refreshToken: "r"}}, time.Now())
			c.grant.owe(unsaved{signIn: true})
			c.grant.mu.Unlock()
			if i%3 == 0 {
				store.silent[app.recordKey(id)] = true
			}
			app.backlog.add(app, &c.grant)
		}
		time.Sleep(time.Minute)
		count := func() int {
			n := 0
			_ = store.Store.(Lister).List(t.Context(), "", func(string) bool { n++; return true })
			return n
		}
		after := count()
		_ = app.Close()
		if n := count(); n < grants*2/3 {
			t.Errorf("of %d grants whose shard is there %d were written within a minute, %d after Close", grants*2/3, after, n)
		}
		time.Sleep(time.Minute)
	})
}

// TestNothingIsSentAfterTheMachineSlept: its monotonic clock stood still, and the lease is over by the wall clock alone.
func TestNothingIsSentAfterTheMachineSlept(t *testing.T) {
	app, err := NewApp("tenant", "client", "https://app.example.com/cb", PublicAuth(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	server := &countingServer{}
	app.pipeline = newPipeline(azcore.ClientOptions{Transport: server, Retry: policy.RetryOptions{MaxRetries: -1}})
	g := &newCredential(app, "id").grant
	l := &lease{app: app}
	l.over.Store(&moment{wall: time.Now().Add(-time.Minute).UnixNano(), mono: time.Since(processStart) + 10*time.Second})
	_, _ = g.postWithin(t.Context(), l, g.refreshRequest(&holding{}, query{key: app.keyFor("tenant", []string{"scope"}, false)}))
	if server.requests != 0 {
		t.Error("a request was sent though the lease is over")
	}
}

// TestTheNewestCallbacksAreRemembered, where more come than are remembered: the browser may send them again.
func TestTheNewestCallbacksAreRemembered(t *testing.T) {
	var b callbackBoard
	until := time.Now().Add(15 * time.Minute)
	key := func(i int) redemption { return redemption{byte(i), byte(i >> 8), byte(i >> 16)} }
	for i := range 2 * maxCallbacks {
		b.of(key(i), until).finish(nil, context.Canceled)
	}
	young := 0
	for i := 2*maxCallbacks - 1000; i < 2*maxCallbacks; i++ { // the newest thousand
		if state := b.states[key(i)]; state == nil {
			young++
		}
	}
	if young > 0 {
		t.Errorf("of the newest thousand %d are forgotten, which the browser may send again: their codes go out a second time", young)
	}
}
