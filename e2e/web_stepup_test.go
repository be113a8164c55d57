package e2e

import (
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/authcode-go/authcode/signin"
)

// policy is what Conditional Access asks for in these tests.
const policyClaims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`

func TestWebConsentAskedLater(t *testing.T) {
	t.Parallel()
	const orders = "api://orders/Orders.Read"
	site := newWebSite(t, "consent")
	site.by(site.replica(nil, nil))
	u := site.user()
	u.goes("/me")
	u.click(button(u.name))
	u.wantHeading("Permissions requested") // User.Read
	u.answers()
	u.wantHeading("you are " + aliceAtContoso)
	session := u.session()

	page := "/token?" + url.Values{"scope": {orders}}.Encode()
	u.goes(page)
	u.wantHeading("Permissions requested") // Orders.Read
	u.answers()
	u.wantAt(page)
	u.wantHeading("a token for " + orders)
	if got := u.session(); got == session || got == "" {
		t.Error("the session was not renewed")
	}
	u.wants(page, "a token for "+orders) // nothing is asked again
	u.wants("/token?scope=https%3A%2F%2Fgraph.microsoft.com%2FUser.Read", "a token for https://graph.microsoft.com/User.Read")
}

// Somebody who says no sees a page, and stays signed in.
func TestWebConsentRefused(t *testing.T) {
	t.Parallel()
	site := newWebSite(t, "consent")
	site.by(site.replica(nil, nil))
	u := site.user()
	u.signsIn("/me")
	session := u.session()
	u.goes("/token?scope=" + url.QueryEscape("api://orders/Orders.Read"))
	u.wantHeading("Permissions requested")
	u.click("[name=cancel]")
	u.wantHeading("You were not signed in")
	u.wants("/", "hello "+aliceAtContoso)
	if u.session() != session {
		t.Error("the session changed")
	}
}

// The page's own work finds out that more proof is needed.
func TestWebStepUpOfAPage(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.signsIn("/me")
	session := u.session()
	u.site.server.RequireClaims(u.name, "https://graph.microsoft.com", policyClaims)
	page := "/token?scope=" + mailScope
	u.goes(page)
	u.answers()
	u.wantAt(page)
	u.wantHeading("a token for " + mailScope)
	if got := u.session(); got == session || got == "" {
		t.Error("the session was not renewed")
	}
	last := u.site.authorizations()
	if got := last[len(last)-1].Get("claims"); got == "" {
		t.Error("the sign-in was not for the claims")
	}
}

func TestWebStepUpOfAFetch(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.signsIn("/me")
	u.site.server.RequireClaims(u.name, "https://graph.microsoft.com", policyClaims)
	page := "/script?scope=" + mailScope
	before := len(u.site.authorizations())
	u.goes(page)
	for u.heading() == "working" { // until the script has left
		if err := u.pause(); err != nil {
			t.Fatal(err)
		}
	}
	u.answers()
	u.becomes("fetched 200")
	u.wantAt(page)
	if got := len(u.site.authorizations()); got != before+1 {
		t.Errorf("%d sign-ins, want one", got-before)
	}
}

// What a handler needs is asked for before its work: an authentication context, which the ID token proves.
func TestWebAuthenticationContext(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.signsIn("/me")
	u.goes("/secure")
	u.answers()
	u.wantAt("/secure")
	u.wantHeading("proved [c1]")
	before := len(u.site.authorizations())
	u.wants("/secure", "proved [c1]")
	if len(u.site.authorizations()) != before {
		t.Error("what was proved is asked for again")
	}
}

// A second factor is asked of those who need one, and the page they wanted is kept over all pages.
func TestWebSecondFactor(t *testing.T) {
	t.Parallel()
	u := webFixture(t)
	u.name = "mfa@contoso.example"
	u.goes("/me?x=1")
	u.click(button(u.name))
	u.wantHeading("Enter the code")
	u.answers()
	u.wantAt("/me?x=1")
	u.wantHeading("you are mfa@contoso.example")
}

// A form that was posted without a session is not lost: the person signs in in another tab and sends it again.
func TestWebPostIsKept(t *testing.T) {
	t.Parallel()
	site := newWebSite(t, "web")
	replica := site.replica(nil, &signin.Options{})
	site.by(withForm(replica))
	u := site.user()
	u.goes("/form")
	u.fill("[name=text]", "a long text")
	u.click("button")
	u.wantHeading("Sign in, then send it again")
	link := evaluate[string](u.chromium, `document.querySelector("a[target=_blank]").href`)
	other := u.tab()
	other.open(link)
	other.answers()
	u.do(chromedp.Reload())
	u.wantHeading("saved a long text")
}
