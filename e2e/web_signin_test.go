package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

func TestWebSignInKeepsTheDeepLink(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.wants("/", "hello stranger")
	u.signsIn("/me?q=a%20b&next=%2F%2Fother.example%2F")
	u.wantHeading("you are " + aliceAtContoso)
	u.wants("/", "hello "+aliceAtContoso)
	if got := u.site.codePosts(); got != 1 {
		t.Errorf("%d codes were sent", got)
	}
	u.stayedHere()
}

func TestWebTwoTabsAtOnce(t *testing.T) {
	t.Parallel()
	first := webFixture(t)
	first.goes("/me?tab=1")
	second := first.tab()
	second.goes("/me?tab=2")
	for _, tab := range []*webUser{first, second} {
		tab.wantHeading("Sign in") // both are under way
	}
	first.answers()
	first.wantAt("/me?tab=1")
	second.answers()
	second.wantAt("/me?tab=2")
	for _, tab := range []*webUser{first, second} {
		tab.do(chromedp.Reload())
		tab.wantHeading("you are " + aliceAtContoso)
	}
	for _, c := range first.cookies() {
		if strings.Contains(c.Name, "-flow-") {
			t.Errorf("the cookie %s is left", c.Name)
		}
	}
}

// A refresh of the callback, and going back to it, show the page that the sign-in led to.
func TestWebCallbackAgain(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.signsIn("/me?first")
	session := u.session()
	callback := u.callback()
	u.open(callback)
	u.wantAt("/me?first")
	u.wantHeading("you are " + aliceAtContoso)
	// A new sign-in does not make the old one's callback a stranger.
	u.signsIn("/token?scope=" + mailScope)
	u.open(callback)
	u.wantAt("/me?first")
	if u.session() != session {
		t.Error("a callback that was used made another session")
	}
	if got := u.site.codePosts(); got != 1 {
		t.Errorf("%d codes were sent", got)
	}
	// Somebody else who has the URL has nothing.
	stranger := u.elsewhere()
	stranger.open(callback)
	stranger.wantHeading("This sign-in is not from here")
	stranger.wants("/", "hello stranger")
}

// callback is the last one that the browser was sent to.
func (u *webUser) callback() string {
	u.t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, address := range slices.Backward(u.urls) {
		if strings.HasPrefix(address, u.site.origin+"/auth/callback?") {
			return address
		}
	}
	u.t.Fatal("the browser was not sent to the callback")
	return ""
}

func TestWebBackButton(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.wants("/", "hello stranger")
	u.click("#signin")
	u.answers()
	u.wantHeading("you are " + aliceAtContoso)
	session := u.session()
	// Back at the server's page, which the browser may have kept, the person answers it again; each way leads to the app.
	u.do(chromedp.NavigateBack())
	if !u.isHome() && u.heading() == "Sign in" {
		u.click(button(u.name))
		if u.heading() == "Sign-in failed" {
			u.click("a.button")
		}
	}
	u.answers()
	if got := u.heading(); got != "you are "+aliceAtContoso && got != "hello "+aliceAtContoso && got != "hello stranger" {
		t.Fatalf("the browser shows %q at %s", got, u.at())
	}
	u.wants("/", "hello "+aliceAtContoso)
	if u.session() == "" || session == "" {
		t.Error("there is no session")
	}
}

func TestWebDoubleClickOnSignIn(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.wants("/", "hello stranger")
	u.do(chromedp.DoubleClick(chromedp.CSS("#signin")))
	u.becomes("Sign in")
	u.do(chromedp.DoubleClick(chromedp.CSS(button(u.name))))
	u.becomes("you are " + aliceAtContoso)
	u.wants("/", "hello "+aliceAtContoso)
}

// The cookies are as the browser has them, not as the app wrote them.
func TestWebCookies(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.goes("/me")
	flows := u.cookies()
	if len(flows) != 1 || !strings.Contains(flows[0].Name, "-flow-") {
		t.Fatalf("on the way there are the cookies %v", flows)
	}
	u.answers()
	all := append(u.cookies(), flows...)
	if u.session() == "" {
		t.Fatal("there is no session")
	}
	for _, c := range all {
		if !strings.HasPrefix(c.Name, "__Host-authcode-") || !c.Secure || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "localhost" {
			t.Errorf("%s: Secure %t, HttpOnly %t, SameSite %s, path %s, domain %s", c.Name, c.Secure, c.HTTPOnly, c.SameSite, c.Path, c.Domain)
		}
		isSession := !strings.Contains(c.Name, "-flow-") && !strings.Contains(c.Name, "-loop")
		if isSession && (len(c.Value) != 43 || !c.Session) {
			t.Errorf("the session's cookie has %d characters, and ends with the browser: %t", len(c.Value), c.Session)
		}
	}
	if got := evaluate[string](u.chromium, "document.cookie"); strings.Contains(got, "authcode-") {
		t.Errorf("a script sees %q", got)
	}
}
