package signin_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/signin"
)

// A restart costs nothing, and another replica knows the session too.
func TestSessionsSurviveARestart(t *testing.T) {
	w := newWorld(t)
	before := w.newSite(nil)
	b := before.browser(alice).signIn()
	_ = before.app.Close()
	after := w.newSite(nil)
	b.at(after).get("/me").wants(t, 200, alice)
	b.at(after).get("/token?scope="+graphScope).wants(t, 200, "a token")
}

func TestSessionTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.newSite(&signin.Options{AbsoluteTimeout: 48 * time.Hour, IdleTimeout: time.Hour})
		b := s.browser(alice).signIn()
		for range 47 { // used, it goes on, for as long as it may
			time.Sleep(55 * time.Minute)
			b.get("/me").wants(t, 200, alice)
		}
		time.Sleep(5 * time.Hour)
		b.get("/me").wants(t, 302, "")

		b.signIn()
		time.Sleep(58 * time.Minute)
		b.get("/public").wants(t, 200, alice)
		time.Sleep(58 * time.Minute) // the store was told of the use
		b.get("/public").wants(t, 200, alice)
		time.Sleep(61 * time.Minute)
		b.get("/public").wants(t, 200, "stranger")

		b.signIn()
		began := time.Now()
		for time.Since(began) < 48*time.Hour-time.Minute {
			b.get("/public").wants(t, 200, alice)
			time.Sleep(30 * time.Minute)
		}
		time.Sleep(2 * time.Minute)
		b.get("/public").wants(t, 200, "stranger")
		closeIdle(s)
	})
}

// A sign-out is seen at once where it happens and within 10 seconds elsewhere.
func TestSignOutElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, other := w.newSite(nil), w.newSite(nil)
		b := s.browser(alice).signIn()
		thief := other.browser("")
		thief.setSession(b, b.sessionCookie())
		thief.get("/public").wants(t, 200, alice)
		time.Sleep(time.Second)
		b.signOut()
		thief.at(s).get("/public").wants(t, 200, "stranger")
		time.Sleep(10 * time.Second)
		thief.get("/public").wants(t, 200, "stranger")
		closeIdle(s, other)
	})
}

// While the store is down a session in memory goes on for five minutes, another one gets 503, and nobody is signed out.
func TestStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &faultyStore{Store: w.store}
		w.store = store
		s := w.newSite(nil)
		b := s.browser(alice).signIn()
		cold := w.newSite(nil)
		store.breaks(true)
		for _, path := range []string{"/me", "/public"} {
			a := b.at(cold).get(path).wants(t, 503, "You are not signed out")
			if a.Header.Get("Retry-After") == "" || len(a.Cookies()) != 0 {
				t.Errorf("%s: %v", path, a.Header)
			}
		}
		if j := b.at(cold).fetch("/me"); j.StatusCode != 503 || j.json(t).Error != "unavailable" {
			t.Errorf("fetch: %d %s", j.StatusCode, j.body)
		}
		time.Sleep(time.Minute)
		b.get("/me").wants(t, 200, alice)
		out := b.signOut().wants(t, 503, "Please try again")
		if len(out.Cookies()) != 0 {
			t.Errorf("cookies %v", out.Cookies())
		}
		store.breaks(false)
		time.Sleep(time.Minute)
		b.get("/me").wants(t, 200, alice) // nothing was lost, and the sign-out can be tried again
		b.at(cold).get("/me").wants(t, 200, alice)
		b.signOut().wants(t, 303, "")
		time.Sleep(10 * time.Second)
		b.at(cold).get("/me").wants(t, 302, "")
		closeIdle(s, cold)
	})
}

func TestStoreDownForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &faultyStore{Store: w.store}
		w.store = store
		s := w.newSite(nil)
		b := s.browser(alice).signIn()
		store.breaks(true)
		time.Sleep(6 * time.Minute)
		b.get("/me").wants(t, 503, "")
		store.breaks(false)
		b.get("/me").wants(t, 200, alice)
		closeIdle(s)
	})
}

func TestSessionsOfAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.newSite(nil)
		accountID := w.directory.User("alice").HomeAccountID()
		var browsers []*browser
		for range 3 {
			browsers = append(browsers, s.browser(alice).signIn())
			time.Sleep(time.Minute)
		}
		b := s.browser(bob).signIn()
		all, err := s.h.Sessions(t.Context(), strings.ToUpper(accountID))
		if err != nil || len(all) != 3 {
			t.Fatalf("%d sessions, %v", len(all), err)
		}
		if !all[0].SignedIn.After(all[1].SignedIn) || all[0].Expires.Sub(all[0].SignedIn) != 7*24*time.Hour {
			t.Errorf("%+v", all[0])
		}
		// One of them, at another replica; bob cannot end it, and its ID lets nobody in.
		other := w.newSite(nil)
		bobID := w.directory.User("bob").HomeAccountID()
		if err := other.h.EndSession(t.Context(), bobID, all[1].ID); err != nil {
			t.Fatal(err)
		}
		thief := s.browser("")
		thief.setSession(b, all[0].ID)
		thief.get("/public").wants(t, 200, "stranger")
		if err := other.h.EndSession(t.Context(), accountID, all[1].ID); err != nil {
			t.Fatal(err)
		}
		if err := other.h.EndSession(t.Context(), accountID, "x"); err == nil {
			t.Error("an ID that is none was ended")
		}
		time.Sleep(10 * time.Second)
		browsers[1].get("/public").wants(t, 200, "stranger")
		browsers[0].get("/public").wants(t, 200, alice)
		// All of them.
		if err := other.h.SignOutEverywhere(t.Context(), accountID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for _, b := range browsers {
			b.get("/public").wants(t, 200, "stranger")
		}
		b.get("/public").wants(t, 200, bob)
		if all, err := s.h.Sessions(t.Context(), accountID); err != nil || len(all) != 0 {
			t.Errorf("%d sessions, %v", len(all), err)
		}
		closeIdle(s, other)
	})
}

// A user has 50 sessions at most; the oldest leaves.
func TestTooManySessions(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	first := s.browser(alice).signIn()
	for range 50 {
		s.browser(alice).signIn()
	}
	first.get("/public").wants(t, 200, "stranger")
	if all, err := s.h.Sessions(t.Context(), w.directory.User("alice").HomeAccountID()); err != nil || len(all) != 50 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
}

// The grant goes with the last session, or stays if it is to.
func TestGrantAfterSignOut(t *testing.T) {
	for _, keep := range []bool{false, true} {
		w := newWorld(t)
		s := w.newSite(&signin.Options{KeepGrants: keep})
		one, two := s.browser(alice).signIn(), s.browser(alice).signIn()
		one.signOut().wants(t, 303, "")
		two.get("/token?scope="+graphScope).wants(t, 200, "a token")
		two.signOut().wants(t, 303, "")
		accounts := 0
		for _, err := range s.app.Accounts(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			accounts++
		}
		if want := map[bool]int{true: 1}[keep]; accounts != want {
			t.Errorf("KeepGrants %v: %d accounts, want %d", keep, accounts, want)
		}
	}
}

// Row 41: a refresh in flight does not bring a grant back that ended with its last session.
func TestSignOutRacesRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.newSite(nil)
		b := s.browser(alice).signIn()
		w.Inject(entratest.Fault{GrantType: "refresh_token", Latency: 5 * time.Second})
		done := make(chan struct{})
		go func() {
			defer close(done)
			clone := *b
			clone.fetch("/token?scope=" + storageScope)
		}()
		time.Sleep(time.Second)
		b.signOut().wants(t, 303, "")
		<-done
		time.Sleep(time.Minute)
		for account, err := range s.app.Accounts(t.Context()) {
			t.Errorf("a grant of %v, %v", account, err)
		}
		closeIdle(s)
	})
}

// Sealed blobs of one kind, or of another place, are no blobs of another: nothing of a grant, a flow, a challenge, a callback or
// an index opens as a session, and so on.
func TestBlobsOfAnotherKind(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	one, two := s.browser(alice).signIn(), s.browser(bob).signIn()
	keys := map[string][]string{}
	_ = w.store.(authcode.Lister).List(t.Context(), "", func(key string) bool {
		kind, _, _ := strings.Cut(key, ":")
		keys[kind] = append(keys[kind], key)
		return true
	})
	if len(keys["session"]) != 2 || len(keys["grant"]) != 2 || len(keys["callback"]) != 2 || len(keys["sessions"]) < 4 || len(keys) != 4 {
		t.Fatalf("keys %v", keys)
	}
	put := func(key string, data []byte) {
		t.Helper()
		_, version, _, _ := w.store.Get(t.Context(), key)
		if swapped, err := w.store.Swap(t.Context(), key, version, "v"+version, data, time.Hour); err != nil || !swapped {
			t.Fatal(swapped, err)
		}
	}
	get := func(key string) []byte {
		data, _, _, _ := w.store.Get(t.Context(), key)
		return data
	}
	victims := keys["session"]
	originals := [][]byte{get(victims[0]), get(victims[1])}
	var others [][]byte
	for _, kind := range []string{"grant", "callback", "sessions"} {
		for _, key := range keys[kind] {
			others = append(others, get(key))
		}
	}
	others = append(others, nil, []byte("{}"), originals[0][:len(originals[0])-1])
	for i, other := range others {
		for _, key := range victims {
			put(key, other)
		}
		fresh := w.newSite(nil)
		for _, b := range []*browser{one, two} {
			b.at(fresh).get("/public").wants(t, 200, "stranger")
		}
		_ = i
	}
	// Each other's session: a row that was copied.
	put(victims[0], originals[1])
	put(victims[1], originals[0])
	fresh := w.newSite(nil)
	for _, b := range []*browser{one, two} {
		b.at(fresh).get("/public").wants(t, 200, "stranger")
	}
	if !strings.Contains(w.log.String(), "does not open") {
		t.Errorf("log %s", w.log)
	}
	// And the sealed texts of cookies and URLs, each in the other's place.
	begun := s.browser(alice)
	begun.get("/me")
	name := begun.flowCookies()[0]
	_, flow, _ := strings.Cut(begun.cookies()[name], ".")
	begun.get("/auth/login?challenge="+flow).wants(t, 400, "This link does not work")
	challenge := mustURL(t, s.browser("").fetch("/me").json(t).URL).Query().Get("challenge")
	callback := begun.callbackOf("/me")
	for _, name := range begun.flowCookies() {
		begun.jar.SetCookies(mustURL(t, origin), []*http.Cookie{{Name: name, Value: "x." + challenge, Path: "/", Secure: true}})
	}
	begun.get(callback).wants(t, 400, "not from here")
	begun.get("/auth/login?challenge="+challenge).wants(t, 302, "")
	// A flow under another flow's name.
	a, c := s.browser(alice), s.browser(alice)
	callback = a.callbackOf("/me")
	c.get("/me")
	a.jar.SetCookies(mustURL(t, origin), []*http.Cookie{{Name: a.flowCookies()[0], Value: c.cookies()[c.flowCookies()[0]], Path: "/", Secure: true}})
	a.get(callback).wants(t, 400, "not from here")
}

// Forged session cookies are nobody, and cost no memory that stays.
func TestForgedSessions(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice).signIn()
	real := b.sessionCookie()
	for _, value := range []string{
		"", "x", strings.Repeat("A", 42), strings.Repeat("A", 43), strings.Repeat("A", 44), strings.Repeat("=", 43), real + "A", real[:42], strings.ToLower(real), strings.Repeat("A", 5000), real[1:] + real[:1],
	} {
		thief := s.browser("")
		thief.setSession(b, value)
		thief.get("/public").wants(t, 200, "stranger")
	}
	b.get("/public").wants(t, 200, alice)
}

// A dump of the store has no cookie, no user and no token in it.
func TestStoreHoldsNoSecrets(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice).signIn()
	user := w.directory.User("alice")
	_ = w.store.(authcode.Lister).List(t.Context(), "", func(key string) bool {
		data, _, _, _ := w.store.Get(t.Context(), key)
		for _, secret := range []string{b.sessionCookie(), user.ObjectID, user.Username, user.TenantID} {
			if strings.Contains(key+string(data), secret) {
				t.Errorf("%s holds %q", key, secret)
			}
		}
		return true
	})
	for _, secret := range []string{b.sessionCookie()} {
		if strings.Contains(w.log.String(), secret) {
			t.Error("the log holds the session")
		}
	}
}

// Without a Store everything is in this process's memory, and works the same.
func TestWithoutStore(t *testing.T) {
	w := newWorld(t)
	s := w.siteOf(w.newApp(origin+"/auth/callback", func(o *authcode.AppOptions) { o.Store, o.Sealer = nil, nil }), nil)
	b := s.browser(alice).signIn()
	b.get("/token?scope="+graphScope).wants(t, 200, "a token")
	if all, err := s.h.Sessions(t.Context(), w.directory.User("alice").HomeAccountID()); err != nil || len(all) != 1 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
	b.signOut().wants(t, 303, "")
	b.get("/public").wants(t, 200, "stranger")
	for account := range s.app.Accounts(t.Context()) {
		t.Errorf("a grant of %v is left", account)
	}
}

func TestPersistentCookie(t *testing.T) {
	s := newWorld(t).newSite(&signin.Options{AbsoluteTimeout: 24 * time.Hour, PersistentCookie: true})
	b := s.browser(alice)
	for _, c := range b.get(b.callbackOf("/me")).Cookies() {
		if !strings.Contains(c.Name, "-flow-") && !strings.Contains(c.Name, "-loop") && c.MaxAge != 24*60*60 {
			t.Errorf("cookie %s", c.Raw)
		}
	}
}

// Many sign-ins of one user at once: each has its session, and the index knows them all.
func TestManySignInsAtOnce(t *testing.T) {
	w := newWorld(t)
	replicas := []*site{w.newSite(nil), w.newSite(nil)}
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() { replicas[i%2].browser(alice).signIn() })
	}
	wait.Wait()
	all, err := replicas[0].h.Sessions(t.Context(), w.directory.User("alice").HomeAccountID())
	if err != nil || len(all) != 20 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
}
