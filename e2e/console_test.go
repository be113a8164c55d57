package e2e

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// request lets the emulator log one more: alice signs in to the web app.
func (f *pagesFixture) request() {
	f.t.Helper()
	if _, err := f.server.Authorize(f.t.Context(), f.address("web"), "alice@contoso.example"); err != nil {
		f.t.Fatal(err)
	}
}

// consoleView is the console after a sign-in and a refusal.
var consoleView = view{"console", "Console", func(f *pagesFixture) {
	f.open(f.server.URL() + "/emulator")
	f.click(`button[value="clear-log"]`)
	f.request()
	f.spend("a code that nobody issued")
	f.open(f.server.URL() + "/emulator")
}}

// spend lets the emulator log a refusal: the web app redeems something.
func (f *pagesFixture) spend(code string) {
	f.t.Helper()
	app := f.server.Directory().App("web")
	response, err := f.server.Client().PostForm(f.server.URL()+"/contoso.example/oauth2/v2.0/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app.ClientID}, "client_secret": {app.Secrets[0]},
		"code": {code}, "redirect_uri": {f.callback},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	_ = response.Body.Close()
}

// The log grows on a page that stays open; what a person has opened stays open, and the focus stays there.
func TestConsoleIsLive(t *testing.T) {
	f := newPagesFixture(t)
	f.request()
	first := f.server.Requests()
	f.open(f.server.URL() + "/emulator")
	f.wantHeading("Console")
	rows := len(first)
	f.do(chromedp.Click(chromedp.CSS("#entries li:first-child summary")), chromedp.WaitReady(chromedp.CSS("#entries details[open]")))
	opened := evaluate[string](f.chromium, `document.querySelector("#entries details[open]").id`)

	f.request()
	f.do(chromedp.WaitReady(chromedp.CSS("#entries li:nth-child(" + strconv.Itoa(rows+1) + ")")))
	if got := evaluate[string](f.chromium, `[...document.querySelectorAll("#entries details[open]")].map((d) => d.id).join()`); got != opened {
		t.Errorf("open are %q, want %q", got, opened)
	}
	if got := evaluate[string](f.chromium, `document.activeElement.closest("details")?.id ?? ""`); got != opened {
		t.Errorf("the focus is on %q, want %q", got, opened)
	}
	f.stayedHere()
}

// At every width the page is as wide as the window, and a form does what it says.
func TestConsoleInChromium(t *testing.T) {
	f := newPagesFixture(t)
	consoleView.reach(f)
	for _, width := range []int64{390, 1280} {
		call(f.chromium, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
		f.open(f.server.URL() + "/emulator")
		if got := evaluate[int64](f.chromium, `document.documentElement.scrollWidth`); got > width {
			t.Errorf("at %d the page is %d wide", width, got)
		}
		for _, dark := range []bool{false, true} {
			f.dark(dark)
			for _, faint := range evaluate[[]string](f.chromium, contrasts) {
				t.Errorf("at %d, dark=%t: too little contrast: %s", width, dark, faint)
			}
		}
		for _, c := range f.controls() {
			if c.role == "button" && c.name == "" {
				t.Errorf("at %d a button has no name", width)
			}
		}
		f.click(`button[value="clear-log"]`)
		if got := evaluate[string](f.chromium, `document.querySelector("[role=status]#done")?.textContent ?? ""`); got != "The log is empty." {
			t.Errorf("at %d the console says %q", width, got)
		}
	}
	f.stayedHere()
}
