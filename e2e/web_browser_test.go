package e2e

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const (
	bobAtContoso = "bob@contoso.example"
	mailScope    = "https://graph.microsoft.com/Mail.Read"
)

// webUser is a person at a tab of a Chromium, who uses a site.
type webUser struct {
	*chromium
	site *webSite
	name string
}

// webFixture is a site that one replica serves, and a person at it.
func webFixture(t *testing.T) *webUser {
	t.Helper()
	site := newWebSite(t, "web")
	site.by(site.replica(nil, nil))
	return site.user()
}

func (s *webSite) user() *webUser {
	s.t.Helper()
	return &webUser{chromium: startChromium(s.t, s.server, s.authority), site: s, name: aliceAtContoso}
}

// tab is another one of the same window, with the same cookies.
func (u *webUser) tab() *webUser { return u.target() }

// elsewhere is another browser of the same person, with no cookies yet.
func (u *webUser) elsewhere() *webUser { return u.target(chromedp.WithNewBrowserContext()) }

func (u *webUser) target(options ...chromedp.ContextOption) *webUser {
	u.t.Helper()
	ctx, cancel := chromedp.NewContext(u.ctx, options...)
	b := &chromium{t: u.t, ctx: ctx}
	u.t.Cleanup(cancel)
	b.watch()
	return &webUser{chromium: b, site: u.site, name: u.name}
}

// goes opens a page of the site, wherever that leads.
func (u *webUser) goes(path string) {
	u.t.Helper()
	u.open(u.site.origin + path)
}

// at is where the tab is.
func (u *webUser) at() *url.URL {
	u.t.Helper()
	address, err := url.Parse(evaluate[string](u.chromium, "location.href"))
	u.must(err)
	return address
}

func (u *webUser) isHome() bool {
	address := u.at()
	return address.Scheme+"://"+address.Host == u.site.origin
}

const mostPages = 8 // of one sign-in

// answers fills in the server's pages until the tab is back at the site.
func (u *webUser) answers() {
	u.t.Helper()
	for range mostPages {
		if u.isHome() {
			return
		}
		switch title := u.heading(); title {
		case "Sign in":
			u.click(button(u.name))
		case "Pick an account":
			u.click("button[name=session]")
		case "Enter password":
			u.fill("[name=passwd]", "password")
			u.click(primary)
		case "Enter the code":
			u.fill("[name=otc]", "123456")
			u.click(primary)
		case "Permissions requested":
			u.click(primary)
		default:
			u.t.Fatalf("the browser is at %s, which says %q", u.at(), title)
		}
	}
	u.t.Fatalf("after %d pages the browser is at %s", mostPages, u.at())
}

// signsIn goes to a page and signs in on the way.
func (u *webUser) signsIn(path string) {
	u.t.Helper()
	u.goes(path)
	u.answers()
	u.wantAt(path)
}

// wantAt checks the address that the tab shows.
func (u *webUser) wantAt(path string) {
	u.t.Helper()
	if got := u.at().String(); got != u.site.origin+path {
		u.t.Fatalf("the browser is at %s, which says %q, want %s", got, u.heading(), u.site.origin+path)
	}
}

// wants opens a page and checks its heading.
func (u *webUser) wants(path, want string) {
	u.t.Helper()
	u.goes(path)
	u.wantHeading(want)
}

const patience = 15 * time.Second

// becomes waits for a heading that comes without a page being loaded by this test: by a script, or after a double click.
func (u *webUser) becomes(want string) {
	u.t.Helper()
	var got string
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		value, err := chromedp.Run(u.ctx, chromedp.Evaluate[string](`document.querySelector("h1")?.textContent ?? ""`))
		if err == nil && value == want {
			return
		}
		got = value // a page that is being left has none
	}
	u.t.Fatalf("the browser shows %q, want %q", got, want)
}

// signsOut presses the button of the sign-out page.
func (u *webUser) signsOut(everywhere bool) {
	u.t.Helper()
	u.goes("/auth/logout")
	u.wantHeading("Sign out?")
	if everywhere {
		u.do(chromedp.Click(chromedp.CSS("[name=everywhere]")))
	}
	u.click("button[type=submit]")
}

// cookies are the app's. The emulator's are of the same host: cookies know no ports.
func (u *webUser) cookies() (all []*network.Cookie) {
	u.t.Helper()
	for _, c := range call(u.chromium, network.GetCookies, network.GetCookiesParams{URLs: []string{u.site.origin + "/"}}).Cookies {
		if strings.Contains(c.Name, "authcode-") {
			all = append(all, c)
		}
	}
	return all
}

// session is the value of the session's cookie.
func (u *webUser) session() string {
	u.t.Helper()
	for _, c := range u.cookies() {
		if !strings.Contains(c.Name, "-flow-") && !strings.Contains(c.Name, "-loop") {
			return c.Value
		}
	}
	return ""
}

// sessions is how many the person has.
func (u *webUser) sessions(replica *webReplica) int {
	u.t.Helper()
	all, err := replica.signin.Sessions(context.WithoutCancel(u.t.Context()), u.site.server.Directory().User(u.name).HomeAccountID())
	u.must(err)
	return len(all)
}

// pause is for a moment between two looks; an error when the test has ended.
func (u *webUser) pause() error {
	select {
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}
