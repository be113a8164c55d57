package signin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/signin"
)

// changed gives a callback with other parameters; an empty value takes one away.
func changed(t *testing.T, callback string, pairs ...string) string {
	t.Helper()
	u := mustURL(t, callback)
	query := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		if query.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			query.Del(pairs[i])
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// The cases 1, 5 to 15 and 21 of bad callbacks: what is answered, what the log names, and that no code is sent.
func TestBadCallbacks(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	for _, test := range []struct {
		name   string
		change func(t *testing.T, callback string) string
		status int
		logged string
	}{
		{"1 without state", func(t *testing.T, c string) string { return changed(t, c, "state", "") }, 400, "no state of ours"},
		{"5 state of 1 MB", func(t *testing.T, c string) string { return changed(t, c, "state", strings.Repeat("x", 1<<20)) }, 400, "bytes"},
		{"5 state with NUL", func(t *testing.T, c string) string { return changed(t, c, "state", "a\x00b") }, 400, "no state of ours"},
		{"5 state of invalid UTF-8", func(t *testing.T, c string) string { return changed(t, c, "state", "\xff\xfe") }, 400, "no state of ours"},
		{"6 two states", func(_ *testing.T, c string) string { return c + "&state=" + strings.Repeat("A", 43) }, 400, "no state of ours"},
		{"6 two codes", func(_ *testing.T, c string) string { return c + "&code=x" }, 400, "more than one code"},
		{"7 code empty", func(t *testing.T, c string) string { return changed(t, c, "code", "") + "&code=" }, 400, "neither a code nor an error"},
		{"7 code of spaces", func(t *testing.T, c string) string { return changed(t, c, "code", "   ") }, 400, "neither a code nor an error"},
		{"8 code of 64 KB", func(t *testing.T, c string) string { return changed(t, c, "code", long) }, 400, "bytes"},
		{"9 code with CRLF", func(t *testing.T, c string) string { return changed(t, c, "code", "a\r\nb") }, 400, "code"},
		{"11 error with a wrong state", func(t *testing.T, c string) string {
			return changed(t, c, "code", "", "state", strings.Repeat("A", 43), "error", "access_denied", "error_description", "SHOWN")
		}, 400, "state does not match"},
		{"13 iss of another tenant", func(t *testing.T, c string) string {
			return changed(t, c, "iss", "https://login.microsoftonline.com/fab00000-3c55-4d8a-9e1b-7f6a2c4d5e90/v2.0")
		}, 400, "issuer"},
		{"15 iss with a trailing slash", func(t *testing.T, c string) string { return changed(t, c, "iss", "ISSUER/") }, 400, "issuer"},
		{"15 iss in another case", func(t *testing.T, c string) string { return changed(t, c, "iss", "ISSUER-UPPER") }, 400, "issuer"},
		{"broken query", func(_ *testing.T, c string) string { return c + "&%zz=1" }, 400, "cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.newSite(nil)
			b := s.browser(alice)
			callback := test.change(t, b.callbackOf("/me"))
			issuer := w.URL() + "/" + w.directory.Tenant("contoso").ID + "/v2.0"
			callback = strings.NewReplacer("ISSUER-UPPER", url.QueryEscape(strings.ToUpper(issuer)), "ISSUER", url.QueryEscape(issuer)).Replace(callback)
			began := time.Now()
			a := b.get(callback).wants(t, test.status, "<h1>")
			if elapsed := time.Since(began); elapsed > time.Second {
				t.Errorf("it took %s", elapsed)
			}
			if strings.Contains(a.body, "SHOWN") || strings.Contains(a.body, "code=") {
				t.Errorf("the page shows %s", a.body)
			}
			if !strings.Contains(w.log.String(), test.logged) {
				t.Errorf("the log does not name %q:\n%s", test.logged, w.log)
			}
			if n := w.codePosts(); n != 0 {
				t.Errorf("%d code POSTs", n)
			}
			if b.sessionCookie() != "" {
				t.Error("a session")
			}
		})
	}
}

// Case 2 and row 5: a callback in a browser that did not begin it is refused, and that browser's session stays.
func TestCallbackOfAnotherBrowser(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	victim := s.browser(alice).signIn()
	session, posts := victim.sessionCookie(), w.codePosts()
	callback := s.browser(bob).callbackOf("/me")
	for _, b := range []*browser{victim, s.browser("")} {
		b.get(callback).wants(t, 400, "This sign-in is not from here")
	}
	if w.codePosts() != posts {
		t.Error("the code was sent")
	}
	if victim.sessionCookie() != session {
		t.Error("the victim's session changed")
	}
	victim.get("/public").wants(t, 200, alice)
}

// Row 3: another user's code with this browser's state fails at the server, and the browser's session stays.
func TestCodeInjection(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	victim := s.browser(alice).signIn()
	session := victim.sessionCookie()
	stolen := mustURL(t, s.browser(bob).callbackOf("/me")).Query().Get("code")
	own := victim.callbackOf("/auth/login?return=/me")
	a := victim.get(changed(t, own, "code", stolen)).wants(t, 502, "You were not signed in")
	if !strings.Contains(w.log.String(), "invalid_grant") {
		t.Errorf("log %s", w.log)
	}
	if victim.sessionCookie() != session {
		t.Error("the session changed")
	}
	victim.get("/public").wants(t, 200, alice)
	// A duplicate of what failed gets the same page, reference and all, and sends nothing.
	posts := w.codePosts()
	for _, replica := range []*site{s, w.newSite(nil)} {
		if again := victim.at(replica).get(own); again.StatusCode != a.StatusCode || again.body != a.body {
			t.Errorf("the duplicate got %d %s", again.StatusCode, again.body)
		}
	}
	if w.codePosts() != posts {
		t.Error("the duplicate sent a code")
	}
}

// Case 3: a callback that was used, in the same browser: the back button, a refresh, another replica.
func TestCallbackAgain(t *testing.T) {
	w := newWorld(t)
	s, other := w.newSite(nil), w.newSite(nil)
	b := s.browser(alice)
	callback := b.callbackOf("/me?x=1")
	b.get(callback).wants(t, 303, "")
	session := b.sessionCookie()
	for range 3 {
		for _, replica := range []*site{s, other} {
			if a := b.at(replica).get(callback); a.StatusCode != 303 || a.location() != "/me?x=1" {
				t.Errorf("%d to %q: %s", a.StatusCode, a.location(), a.body)
			}
		}
	}
	if b.sessionCookie() != session || w.codePosts() != 1 {
		t.Errorf("session changed, or %d code POSTs", w.codePosts())
	}
	// After another sign-in, too: the session remembers where it came from.
	b.open("/auth/login?return=/me").wants(t, 200, alice)
	if a := b.get(callback); a.StatusCode != 303 || a.location() != "/me?x=1" {
		t.Errorf("after another sign-in: %d", a.StatusCode)
	}
	// But a sign-out is not undone by the back button.
	b.signOut()
	b.get(callback).wants(t, 400, "not from here")
	b.get("/public").wants(t, 200, "stranger")
}

// A duplicate that was sent with the flow's cookie after the sign-out brings no session back either.
func TestCallbackAgainAfterSignOut(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice)
	callback := b.callbackOf("/auth/login?return=/public")
	before := b.cookies()
	b.get(callback)
	b.signOut()
	for name, value := range before {
		b.jar.SetCookies(mustURL(t, origin), []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
	}
	if a := b.get(callback); a.StatusCode != 303 || b.sessionCookie() != "" {
		t.Errorf("%d, session %q", a.StatusCode, b.sessionCookie())
	}
	if w.codePosts() != 1 {
		t.Errorf("%d code POSTs", w.codePosts())
	}
}

// Case 4: who comes late is told so, and led to the page they wanted.
func TestExpiredFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.newSite(nil)
		b := s.browser(alice)
		callback := b.callbackOf("/me?x=1")
		time.Sleep(15*time.Minute + time.Second)
		b.get(callback).wants(t, 400, "/auth/login?return=%2Fme%3Fx%3D1")
		if w.codePosts() != 0 {
			t.Error("the code was sent")
		}
		closeIdle(s)
	})
}

func closeIdle(sites ...*site) {
	for _, s := range sites {
		_ = s.app.Close()
	}
}

// Cases 10 and 12: the server's error, with or without a code beside it. The session stays, and the text is not shown.
func TestErrorCallback(t *testing.T) {
	for _, withCode := range []bool{false, true} {
		w := newWorld(t)
		s := w.newSite(nil)
		b := s.browser(alice).signIn()
		posts, session := w.codePosts(), b.sessionCookie()
		callback := b.callbackOf("/auth/login?return=/me")
		pairs := []string{"error", "access_denied", "error_description", "<script>AADSTS65004: declined\r\n\x1b[31m</script>"}
		if !withCode {
			pairs = append(pairs, "code", "")
		}
		callback = changed(t, callback, pairs...)
		a := b.get(callback).wants(t, 403, "You were not signed in")
		if strings.Contains(a.body, "AADSTS") || strings.Contains(a.body, "declined") {
			t.Errorf("shown: %s", a.body)
		}
		if again := b.get(callback); again.StatusCode != 403 {
			t.Errorf("a refresh got %d", again.StatusCode)
		}
		if w.codePosts() != posts || b.sessionCookie() != session {
			t.Error("the code was sent, or the session changed")
		}
		if log := w.log.String(); !strings.Contains(log, "access_denied") || strings.Contains(log, "\x1b") {
			t.Errorf("log %q", log)
		}
	}
}

// Cases 16 and 17.
func TestCallbackByPost(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice)
	callback := mustURL(t, b.callbackOf("/me"))
	for _, header := range []http.Header{{"Accept": {"text/html"}}, {"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}} {
		a := b.send("POST", "/auth/callback", header, callback.RawQuery)
		if a.StatusCode != 405 || a.Header.Get("Allow") != "GET" {
			t.Errorf("%d, Allow %q", a.StatusCode, a.Header.Get("Allow"))
		}
		b.send("POST", "/auth/callback?"+callback.RawQuery, header, "x=1").wants(t, 405, "")
	}
	if w.codePosts() != 0 {
		t.Error("the code was sent")
	}
	b.get(callback.String()).wants(t, 303, "")
}

// Row 1 and case 18: a thousand identical callbacks over four replicas are one code POST and one session.
func TestThousandIdenticalCallbacks(t *testing.T) {
	w := newWorld(t)
	replicas := []*site{w.newSite(nil), w.newSite(nil), w.newSite(nil), w.newSite(nil)}
	b := replicas[0].browser(alice)
	callback := b.callbackOf("/me")
	w.Inject(entratest.Fault{GrantType: "authorization_code", Latency: 50 * time.Millisecond})
	cookies := b.cookies()
	sessions := make([]string, 1000)
	var wait sync.WaitGroup
	for i := range sessions {
		wait.Go(func() {
			one := replicas[i%len(replicas)].browser(alice)
			for name, value := range cookies {
				one.jar.SetCookies(mustURL(t, origin), []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
			}
			if a := one.get(callback); a.StatusCode != 303 || a.location() != "/me" {
				t.Errorf("%d to %q: %s", a.StatusCode, a.location(), a.body)
			}
			sessions[i] = one.sessionCookie()
		})
	}
	wait.Wait()
	for _, session := range sessions {
		if session == "" || session != sessions[0] {
			t.Fatalf("sessions %q and %q", sessions[0], session)
		}
	}
	if n := w.codePosts(); n != 1 {
		t.Errorf("%d code POSTs", n)
	}
	if all, err := replicas[3].h.Sessions(t.Context(), w.directory.User("alice").HomeAccountID()); err != nil || len(all) != 1 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
}

// A replica that dies with a callback in hand leaves it to another one.
func TestClaimOfADeadReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dying, other := w.newSite(nil), w.newSite(nil)
		b := dying.browser(alice)
		callback := b.callbackOf("/me")
		remove := w.Inject(entratest.Fault{GrantType: "authorization_code", Latency: time.Hour})
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			ctx := t.Context()
			_ = ctx
			clone := *b
			clone.get(callback)
		}()
		synctest.Wait()
		remove()
		began := time.Now()
		b.at(other).get(callback).wants(t, 303, "")
		if waited := time.Since(began); waited < 30*time.Second || waited > 40*time.Second {
			t.Errorf("waited %s", waited)
		}
		<-gone
		closeIdle(dying, other)
	})
}

// Row 2: the answer of the code POST is lost. The page offers the same callback again, and the code goes out at most twice.
func TestLostAnswer(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice)
	callback := b.callbackOf("/me")
	w.Inject(entratest.Fault{GrantType: "authorization_code", LoseAnswer: true, Times: 1})
	if page := b.get(callback).wants(t, 503, "Please try again"); !strings.Contains(page.body, `<a href="">Try again</a>`) {
		t.Errorf("no link to this very callback in %s", page.body)
	}
	if w.codePosts() != 1 {
		t.Errorf("%d code POSTs at first", w.codePosts())
	}
	// It was spent: the server says so, and only a new sign-in helps.
	if page := b.get(callback).wants(t, 502, "You were not signed in"); !strings.Contains(page.body, `<a href="/auth/login?`) {
		t.Errorf("no link to a new sign-in in %s", page.body)
	}
	for range 3 {
		b.get(callback).wants(t, 502, "You were not signed in")
	}
	if w.codePosts() != 2 {
		t.Errorf("%d code POSTs", w.codePosts())
	}
}

// The server is down for a moment: nothing was sent, and the same callback works later.
func TestServerDownForAMoment(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice)
	callback := b.callbackOf("/me")
	remove := w.Inject(entratest.Fault{Endpoint: "discovery", Status: 502})
	b.get(callback).wants(t, 503, "Please try again")
	remove()
	if w.codePosts() != 0 {
		t.Error("the code was sent")
	}
	other := w.newSite(nil) // this one need not wait to read the metadata again
	b.at(other).get(callback).wants(t, 303, "")
}

// Case 19: the store is down, the code is not redeemed, and the callback works when it is back.
func TestCallbackWithoutStore(t *testing.T) {
	w := newWorld(t)
	store := &faultyStore{Store: w.store}
	w.store = store
	s := w.newSite(nil)
	b := s.browser(alice)
	callback := b.callbackOf("/me")
	store.breaks(true)
	a := b.get(callback).wants(t, 503, "You are not signed out")
	if a.Header.Get("Retry-After") == "" || w.codePosts() != 0 {
		t.Errorf("Retry-After %q, %d code POSTs", a.Header.Get("Retry-After"), w.codePosts())
	}
	store.breaks(false)
	b.get(callback).wants(t, 303, "")
	b.get("/me").wants(t, 200, alice)
}

// Case 20, and CVE-2026-40575: what the request says of its host changes nothing.
func TestHostHeaders(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice)
	header := navigate.Clone()
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Url", "X-Forwarded-Uri", "X-Rewrite-Url"} {
		header.Set(name, "evil.example")
	}
	header.Set("Forwarded", "host=evil.example;proto=http")
	header.Set("X-Forwarded-Proto", "http")
	for _, target := range []string{"/me", "https://evil.example/me", "/auth/login"} {
		a := b.send("GET", target, header, "")
		u := mustURL(t, a.location())
		if got := u.Query().Get("redirect_uri"); got != origin+"/auth/callback" || !strings.HasPrefix(a.location(), w.URL()) {
			t.Errorf("%s: redirect URI %q", target, got)
		}
		if strings.Contains(a.location()+a.body+strings.Join(a.Header.Values("Set-Cookie"), ""), "evil") {
			t.Errorf("%s: %v", target, a.Header)
		}
	}
	header.Set("Origin", origin)
	b.signIn()
	out := b.send("POST", "https://evil.example/auth/logout", header, "")
	if strings.Contains(out.location(), "evil") || !strings.Contains(out.location(), url.QueryEscape(origin+"/")) {
		t.Errorf("sign-out to %s", out.location())
	}
}

// Case 21: what else is in the query is ignored and not logged.
func TestAccessTokenInTheQuery(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice)
	b.get(b.callbackOf("/me")+"&access_token=CANARY&id_token=CANARY").wants(t, 303, "")
	if strings.Contains(w.log.String(), "CANARY") {
		t.Errorf("log %s", w.log)
	}
}

// Row 46: five tabs all finish; the sixth start lets the oldest go, which gets a way to start again.
func TestParallelTabs(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice)
	var callbacks []string
	for i := range 50 {
		callbacks = append(callbacks, b.callbackOf(fmt.Sprintf("/me?tab=%d", i)))
		if n := len(b.flowCookies()); n > 5 {
			t.Fatalf("%d flow cookies", n)
		}
		size := 0
		for name, value := range b.cookies() {
			size += len(name) + len(value) + 3
		}
		if size > 7<<10 {
			t.Fatalf("%d bytes of cookies", size)
		}
	}
	for i, callback := range callbacks {
		a := b.get(callback)
		switch {
		case i < 45:
			a.wants(t, 400, "/auth/login?return=%2F")
		case a.StatusCode != 303 || a.location() != fmt.Sprintf("/me?tab=%d", i):
			t.Errorf("tab %d: %d to %q", i, a.StatusCode, a.location())
		}
	}
}

// Long deep links do not make a header that proxies refuse.
func TestLongReturnURLs(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(&signin.Options{Scopes: []string{graphScope, mailScope, storageScope}})
	b := s.browser(alice)
	for i := range 8 {
		b.callbackOf(fmt.Sprintf("/me?%d=%s", i, strings.Repeat("x", 1000)))
		size := 0
		for name, value := range b.cookies() {
			size += len(name) + len(value) + 3
		}
		if size > 7<<10 {
			t.Fatalf("%d bytes of cookies", size)
		}
	}
	// One that is too long to keep leads to the page without its query.
	if a := b.get(b.callbackOf("/me?" + strings.Repeat("x", 3000))); a.location() != "/me" {
		t.Errorf("to %q", a.location())
	}
}

// Row 45: a start stores nothing.
func TestStartsStoreNothing(t *testing.T) {
	w := newWorld(t)
	store := &faultyStore{Store: w.store}
	w.store = store
	s := w.newSite(nil)
	s.browser(alice).signIn()
	store.mu.Lock()
	before := store.reads
	store.mu.Unlock()
	for range 1000 {
		s.browser("").get("/me").wants(t, 302, "")
	}
	if store.reads != before {
		t.Errorf("%d readings of the store", store.reads-before)
	}
	keys := 0
	_ = w.store.(*faultyStore).Store.(authcode.Lister).List(t.Context(), "", func(string) bool { keys++; return true })
	if keys > 5 { // a grant, a session, two indexes, a callback
		t.Errorf("%d keys", keys)
	}
}

// Row 7: a session ID that somebody planted is not the one that is used.
func TestPlantedSession(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	probe := s.browser(alice).signIn()
	planted := strings.Repeat("A", 43)
	b := s.browser(bob)
	b.setSession(probe, planted)
	b.signIn()
	if got := b.sessionCookie(); got == planted || got == "" {
		t.Errorf("session %q", got)
	}
	mallory := s.browser("")
	mallory.setSession(probe, planted)
	mallory.get("/public").wants(t, 200, "stranger")
}

// Row 7, COSF: a step-up that alice began does not end in bob's session, nor in alice's if bob is the one who answers.
func TestUserSwitchDuringStepUp(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice).signIn()
	w.RequireClaims(alice, "https://graph.microsoft.com", `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`)
	callback := b.callbackOf("/token?scope=" + url.QueryEscape(mailScope))
	other := *b
	other.user = bob
	other.open("/auth/login?return=/me&prompt=select_account").wants(t, 200, bob)
	session := b.sessionCookie()
	b.get(callback).wants(t, 403, "That was another account")
	if b.sessionCookie() != session {
		t.Error("the session changed")
	}
	// bob answers alice's step-up
	fresh := s.browser(alice).signIn()
	w.RequireClaims(alice, "https://graph.microsoft.com", `{"access_token":{"acrs":{"essential":true,"value":"c2"}}}`)
	fresh.user = bob
	posts := w.codePosts()
	a, _ := fresh.follow("/token?scope="+url.QueryEscape(mailScope), func(string) bool { return false })
	a.wants(t, 403, "That was another account")
	if w.codePosts() != posts+1 {
		t.Errorf("%d code POSTs", w.codePosts()-posts)
	}
	fresh.get("/public").wants(t, 200, alice)
}

// Case 14: the server's metadata promise an iss, and the callback has none.
func TestCallbackWithoutPromisedIssuer(t *testing.T) {
	w := newWorld(t)
	w.Inject(entratest.Fault{Endpoint: "discovery", Edit: func(answer map[string]any) {
		answer["authorization_response_iss_parameter_supported"] = true
	}})
	s := w.newSite(nil)
	b := s.browser(alice)
	b.get(b.callbackOf("/me")).wants(t, 400, "<h1>")
	if w.codePosts() != 0 || !strings.Contains(w.log.String(), "names no issuer") {
		t.Errorf("%d code POSTs, log %s", w.codePosts(), w.log)
	}
}
