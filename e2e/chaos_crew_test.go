//go:build unix

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

// chaosCrew is the replicas of one app, and its users.
type chaosCrew struct {
	chaos    *chaos
	name     string
	strict   bool
	provider *provider
	front    *appReplica // signs users in, in this process

	mu       sync.Mutex
	signedIn map[string]time.Time // zero: a sign-in is due
	windows  map[string]int       // losses in the window, by what befell the replica
	again    int                  // users whom a replica without the store asked to sign in a second time
	working  sync.WaitGroup
}

func newChaosCrew(c *chaos, name string, rotation entratest.Rotation) *chaosCrew {
	c.t.Helper()
	crew := &chaosCrew{
		chaos: c, name: name, strict: rotation != entratest.RotationKeep, provider: startProvider(c.t, rotation, chaosUsers),
		signedIn: map[string]time.Time{}, windows: map[string]int{},
	}
	crew.provider.lifetime = 2 * time.Second
	spec := crew.spec(c.store.spec)
	spec.Name = "front"
	front, err := openReplica(&spec)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = front.close() })
	crew.front = front.(*appReplica)
	for _, user := range crew.provider.users {
		if err := crew.provider.signIn(c.t.Context(), crew.front.App, user); err != nil {
			c.t.Fatal(err)
		}
		crew.signedIn[user.HomeAccountID()] = time.Now()
	}
	return crew
}

func (c *chaosCrew) spec(store storeSpec) replicaSpec {
	spec := c.provider.spec("authcode", store)
	spec.Own = c.strict
	return spec
}

// settled is how long after a sign-in others may not know of it yet.
const settled = time.Second

// lost is told that a call said that its user must sign in. Of several for one loss the first counts; then they sign in.
func (c *chaosCrew) lost(worker string, d callDone) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := c.signedIn[d.User]
	if since.IsZero() || d.Began.Before(since.Add(settled)) {
		return
	}
	if !c.provider.refusedSince(d.User, since) && c.chaos.befell(worker, d.Began.Add(-settled), time.Now()) != "" {
		c.again++ // it cannot know of the sign-in: the call may have joined one from before the replica was stopped
		return
	}
	c.signedIn[d.User] = time.Time{}
	cause := c.chaos.window(c.provider, d.User, since)
	if !c.strict || cause == "" {
		c.chaos.t.Errorf("%s: seed %d: worker %s says that %s must sign in, and no replica was hit between answer and write: %s\n%s%s",
			c.name, c.chaos.seed, worker, d.User, d.Error, c.provider.story(d.User), c.chaos.lately())
	}
	c.windows[cmp.Or(cause, "unexplained")]++
	if cause != "killed" && cause != "stopped" { // the replica lives, and has the new token
		c.chaos.t.Logf("%s: %s was lost, since %s\n%s%s", c.name, d.User, cause, c.provider.story(d.User), c.chaos.lately())
	}
	c.working.Go(func() { c.signInAgain(d.User) })
}

// signInAgain is what the user does about it, while the store is up.
func (c *chaosCrew) signInAgain(accountID string) {
	i := slices.IndexFunc(c.provider.users, func(u entratest.User) bool { return u.HomeAccountID() == accountID })
	c.chaos.up.RLock()
	defer c.chaos.up.RUnlock()
	if err := c.provider.signIn(c.chaos.t.Context(), c.front.App, c.provider.users[i]); err != nil {
		c.chaos.t.Errorf("%s: signing %s in again: %v", c.name, accountID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signedIn[accountID] = time.Now()
}

// window looks for the one way to lose a grant that is nobody's fault: a refresh was processed, and the old refresh token was tried once
// more before anybody tried the new one. It says what befell the replica, or all, between the two; "": there is no such refresh.
func (c *chaos) window(p *provider, user string, since time.Time) string {
	mine := slices.DeleteFunc(p.refreshes(since), func(x tokenPOST) bool { return x.user != user })
	for i, x := range mine {
		for _, y := range mine[i+1:] {
			if y.in == x.out {
				break
			}
			if x.out != "" && y.in == x.in && y.code != "" {
				return c.tooLong(x.worker, x.began, y.began)
			}
		}
	}
	return ""
}

// tooLong is befell, but for a replica that was stopped for so short a time that its lease should have kept the others out.
func (c *chaos) tooLong(worker string, from, to time.Time) string {
	what := c.befell(worker, from, to)
	if what == "stopped" && to.Sub(from) < leaseTime-3*time.Second { // the lease was there before the request
		return ""
	}
	return what
}

// refusedSince reports whether the server refused a refresh token of the user's.
func (p *provider) refusedSince(user string, since time.Time) bool {
	return slices.ContainsFunc(p.refreshes(since), func(x tokenPOST) bool { return x.user == user && x.code != "" })
}

// befell says what happened to a replica between two times: its own end before what befell everybody.
func (c *chaos) befell(worker string, from, to time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	what := ""
	for _, t := range c.troubles {
		if t.worker != "" && t.worker != worker || !t.from.Before(to) || !t.to.IsZero() && t.to.Before(from) {
			continue
		}
		if t.what == "killed" || t.what == "stopped" {
			return t.what
		}
		what = t.what
	}
	return what
}

// lately is the newest trouble, for people.
func (c *chaos) lately() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, t := range c.troubles[max(0, len(c.troubles)-6):] {
		fmt.Fprintf(&b, "%s to %s: %s %s\n", t.from.Format("15:04:05.000"), t.to.Format("15:04:05.000"), t.what, t.worker)
	}
	return b.String()
}

// story is what the provider knows of a user, without the tokens.
func (p *provider) story(user string) string {
	var b strings.Builder
	numbers := map[string]int{}
	number := func(token string) int {
		if _, known := numbers[token]; !known {
			numbers[token] = len(numbers) + 1
		}
		return numbers[token]
	}
	all := p.refreshes(time.Time{})
	for _, x := range all[max(0, len(all)-2000):] {
		if x.user != user {
			continue
		}
		result := x.code
		if x.out != "" {
			result = fmt.Sprintf("token %d", number(x.out))
		}
		fmt.Fprintf(&b, "%s worker %s: token %d → %s (sent: %t, ended %s)\n",
			x.began.Format("15:04:05.000"), x.worker, number(x.in), result, x.answered, x.ended.Format("15:04:05.000"))
	}
	text := b.String()
	return text[max(0, len(text)-4000):]
}

// settle ends all trouble. Then everybody is served by everybody, and by a replica that has just begun.
func (c *chaos) settle() {
	c.resume(true)
	for _, crew := range c.crews {
		users := crew.provider.accounts()
		for _, s := range c.slots {
			s.worker.mustCall(c.t, workerCommand{Op: "unload", App: crew.name})
		}
		crew.working.Wait()
		for _, s := range c.slots {
			a := s.worker.mustCall(c.t, workerCommand{Op: "tokens", App: crew.name, Users: users, Callers: len(users), Timeout: 30 * time.Second})
			crew.checkServed(c.t, s.worker.name, a.Calls)
		}
		spec := crew.spec(c.store.spec)
		spec.Name = "fresh"
		fresh, err := openReplica(&spec)
		if err != nil {
			c.t.Fatal(err)
		}
		crew.checkServed(c.t, spec.Name, getTokens(fresh, workerCommand{Users: users, Callers: len(users), Timeout: 30 * time.Second}))
		_ = fresh.close()
	}
}

func (c *chaosCrew) checkServed(t *testing.T, worker string, calls []callDone) {
	for _, call := range calls {
		if call.Kind != "" {
			t.Errorf("%s: seed %d: at the end worker %s gives %s %s: %s", c.name, c.chaos.seed, worker, call.User, call.Kind, call.Error)
		}
	}
}

// report says what happened so far.
func (c *chaos) report(rounds int) {
	var b strings.Builder
	c.mu.Lock()
	fmt.Fprintf(&b, "%d rounds, seed %d, %d processes; %v\n", rounds, c.seed, c.processes, c.did)
	c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.crews)) {
		crew := c.crews[name]
		refreshes := len(crew.provider.refreshes(time.Time{}))
		crew.mu.Lock()
		lost := 0
		for _, n := range crew.windows {
			lost += n
		}
		fmt.Fprintf(&b, "a server that %s: %d refreshes, %d grants lost between its answer and the write %v, %d users asked twice\n",
			name, refreshes, lost, crew.windows, crew.again)
		crew.mu.Unlock()
	}
	c.t.Log(b.String())
}
