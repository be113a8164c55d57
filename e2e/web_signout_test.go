package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/authcode-go/authcode/signin"
)

// idp asks the emulator without a page whether it knows the person.
func (u *webUser) idp() string {
	u.t.Helper()
	u.open(u.site.server.URL() + "/contoso.example/oauth2/v2.0/authorize?" + url.Values{
		"client_id": {u.site.client.ClientID}, "redirect_uri": {u.site.origin + "/idp"}, "response_type": {"code"},
		"scope": {"openid"}, "prompt": {"none"},
	}.Encode())
	return strings.TrimPrefix(u.heading(), "the server says ")
}

func TestWebSignOut(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.signsIn("/me")
	session := u.session()
	if got := u.idp(); got != "" {
		t.Fatalf("the server does not know the person: %s", got)
	}
	u.signsOut(false)
	u.becomes("hello stranger")
	u.wantAt("/")
	if got := u.idp(); got != "login_required" {
		t.Errorf("the server says %q, want login_required", got)
	}
	for _, c := range u.cookies() {
		if strings.Contains(c.Name, "-flow-") || c.Value == session {
			t.Errorf("the cookie %s is left", c.Name)
		}
	}
	u.goes("/me")
	u.wantHeading("Sign in")
}

// A user with two browsers signs out in one, everywhere: the other is signed out too.
func TestWebSignOutEverywhere(t *testing.T) {
	t.Parallel()
	site := newWebSite(t, "web")
	replica := site.replica(nil, nil)
	site.by(replica)
	u := site.user()
	u.signsIn("/me")
	other := u.elsewhere()
	other.signsIn("/me")
	stranger := u.elsewhere()
	stranger.name = bobAtContoso
	stranger.signsIn("/me")
	if got := u.sessions(replica); got != 2 {
		t.Fatalf("%d sessions", got)
	}
	other.signsOut(true)
	other.becomes("hello stranger")
	u.wants("/", "hello stranger")
	stranger.wants("/", "hello "+bobAtContoso)
	if got := u.sessions(replica); got != 0 {
		t.Errorf("%d sessions are left", got)
	}
}

// A user with two browsers signs out in one: the other is none of its business.
func TestWebSignOutHere(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.signsIn("/me")
	other := u.elsewhere()
	other.signsIn("/me")
	other.signsOut(false)
	other.becomes("hello stranger")
	u.wants("/", "hello "+aliceAtContoso)
	u.wants("/token?scope="+mailScope, "a token for "+mailScope)
}

// The person signs out at the server, which tells the app in a frame of its page.
func TestWebFrontChannelLogout(t *testing.T) {
	t.Parallel()
	site := newWebSite(t, "web")
	reasons := make(chan signin.SignOutReason, 1)
	site.by(site.replica(nil, &signin.Options{OnSignOut: func(_ context.Context, _ string, reason signin.SignOutReason) { reasons <- reason }}))
	u := site.user()
	u.signsIn("/me")
	u.open(u.site.server.URL() + "/common/oauth2/v2.0/logout")
	u.wantHeading("You signed out of your account")
	if got := <-reasons; got != signin.SignOutFrontChannel {
		t.Errorf("the session ended for %q", got)
	}
	u.wants("/", "hello stranger")
}

// When the server revokes the user's sessions, the next token that is asked for ends them here.
func TestWebSessionsRevoked(t *testing.T) {
	t.Parallel()
	site := newWebSite(t, "web")
	replica := site.replica(nil, nil)
	site.by(replica)
	u := site.user()
	u.signsIn("/me")
	other := u.elsewhere()
	other.signsIn("/me")
	if err := site.server.RevokeSessions(u.name); err != nil {
		t.Fatal(err)
	}
	u.goes("/token?scope=" + mailScope)
	u.wantHeading("Enter password") // the server does not know this browser either
	if got := u.sessions(replica); got != 0 {
		t.Errorf("%d sessions are left", got)
	}
	other.wants("/", "hello stranger")
	u.answers()
	u.wantAt("/token?scope=" + mailScope)
}

// Other sites have forms that sign users out: of another domain, and of another port of the same host, which gets the cookies.
func TestWebCrossSiteSignOut(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	evil := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heading(w, "win a prize", fmt.Sprintf(`<form method="post" action="%s/auth/logout"><input type="hidden" name="everywhere" value="1"><button>Here</button></form>`, u.site.origin))
	}))
	evil.Start()
	t.Cleanup(evil.Close)
	u.signsIn("/me")
	port := evil.URL[strings.LastIndex(evil.URL, ":"):]
	for _, host := range []string{"http://127.0.0.1", "http://localhost"} {
		u.open(host + port)
		u.click("button")
		u.wantHeading("You are still signed in")
		u.wants("/", "hello "+aliceAtContoso)
	}
	u.open("http://127.0.0.1" + port)
	u.loadsImage(u.site.origin + "/auth/logout")
	u.wants("/", "hello "+aliceAtContoso)
	if got := u.idp(); got != "" {
		t.Errorf("the server says %q", got)
	}
}

// loadsImage asks for something as a page of another site can without a form.
func (u *webUser) loadsImage(address string) {
	u.t.Helper()
	script := fmt.Sprintf(`new Promise((done) => { const i = new Image(); i.onload = i.onerror = () => done("loaded"); i.src = %q })`, address)
	_, err := chromedp.Run(u.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	u.must(err)
}
