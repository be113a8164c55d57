package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/authcode-go/authcode/entratest"
)

// pagesFixture is an emulator, an app to come back to, and a browser.
type pagesFixture struct {
	*chromium
	server   *entratest.Server
	callback string
}

func newPagesFixture(t *testing.T) *pagesFixture {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<title>app</title><h1>app %s %s code=%t</h1>", r.Method, r.Form.Get("error"), r.Form.Has("code"))
	}))
	t.Cleanup(app.Close)
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		directory.Apps[i].RedirectURIs = append(directory.Apps[i].RedirectURIs, app.URL+"/callback")
	}
	server, err := entratest.NewServer(&entratest.Options{Directory: directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return &pagesFixture{chromium: startChromium(t, server), server: server, callback: app.URL + "/callback"}
}

// address is an authorize request; pairs change it.
func (f *pagesFixture) address(app string, pairs ...string) string {
	directory := f.server.Directory()
	query := url.Values{
		"client_id":     {directory.App(app).ClientID},
		"response_type": {"code"},
		"redirect_uri":  {f.callback},
		"scope":         {"openid profile offline_access User.Read"},
	}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return f.server.URL() + "/contoso.example/oauth2/v2.0/authorize?" + query.Encode()
}

const (
	username = "[name=loginfmt]:not([readonly])"
	primary  = "button.primary"
)

// button is the emulator's own for one of its users.
func button(user string) string { return `[name=emulator_user][value="` + user + `"]` }

// view is a page people meet, and how they get there.
type view struct {
	name, heading string
	reach         func(f *pagesFixture)
}

// views are the pages of a sign-in, a sign-out and a device.
var views = []view{
	{"sign-in", "Sign in", func(f *pagesFixture) { f.open(f.address("web")) }},
	{"wrong-password", "Enter password", func(f *pagesFixture) {
		f.open(f.address("web", "login_hint", aliceAtContoso, "prompt", "login"))
		f.fill("[name=passwd]", "wrong")
		f.click(primary)
	}},
	{"picker", "Pick an account", func(f *pagesFixture) {
		for _, user := range []string{"bob@contoso.example", aliceAtContoso} {
			f.open(f.address("web", "prompt", "login"))
			if f.heading() == "Pick an account" {
				f.click("[name=another]")
			}
			f.click(button(user))
		}
		f.open(f.address("web", "prompt", "select_account"))
	}},
	{"mfa", "Enter the code", func(f *pagesFixture) {
		f.open(f.address("web", "prompt", "select_account"))
		f.click(button("mfa@contoso.example"))
	}},
	{"new-password", "Set a new password", func(f *pagesFixture) {
		f.open(f.address("web", "prompt", "select_account"))
		f.click(button("expired@contoso.example"))
	}},
	{"consent", "Permissions requested", func(f *pagesFixture) {
		f.open(f.address("consent", "prompt", "select_account", "scope", "openid profile offline_access User.Read api://orders/Orders.Read api://orders/Orders.Admin"))
		if f.heading() == "Pick an account" {
			f.click("[name=another]")
		}
		f.click(button("bob@contoso.example"))
	}},
	{"admin-approval", "Need admin approval", func(f *pagesFixture) {
		f.open(f.address("consent", "login_hint", aliceAtContoso, "prompt", "login", "scope", "api://orders/Orders.Admin"))
		f.fill("[name=passwd]", "password")
		f.click(primary)
	}},
	{"refused", "You can’t get in", func(f *pagesFixture) {
		f.open(f.address("web", "prompt", "select_account"))
		f.click(button("blocked@contoso.example"))
	}},
	{"error", "Sign-in failed", func(f *pagesFixture) { f.open(f.address("web", "redirect_uri", "https://app.example/elsewhere")) }},
	{"device", "Enter code", func(f *pagesFixture) { f.open(f.server.URL() + "/devicelogin?otc=WRONGCODE") }},
	{"sign-out", "Pick an account", func(f *pagesFixture) { f.open(f.server.URL() + "/common/oauth2/v2.0/logout") }},
}

// Every page fits phones and desks, can be read in light and dark, and tells its controls to those who do not see it.
func TestPagesInChromium(t *testing.T) {
	f := newPagesFixture(t)
	for _, view := range views {
		t.Run(view.name, func(t *testing.T) {
			f.t = t
			view.reach(f)
			f.wantHeading(view.heading)
			for _, width := range []int64{390, 1280} {
				f.do(chromedp.EmulateViewport(width, 800))
				if wide := evaluate[int64](f.chromium, "document.documentElement.scrollWidth"); wide > width {
					t.Errorf("at %d pixels the page is %d wide", width, wide)
				}
			}
			for _, dark := range []bool{false, true} {
				f.dark(dark)
				for _, faint := range evaluate[[]string](f.chromium, contrasts) {
					t.Errorf("dark=%t: too little contrast: %s", dark, faint)
				}
			}
			f.dark(false)
			checkControls(t, f)
		})
	}
	f.t = t
	f.stayedHere()
}

func checkControls(t *testing.T, f *pagesFixture) {
	t.Helper()
	landmarks := map[string]int{}
	for _, c := range f.controls() {
		landmarks[c.role]++
		if c.name == "" && slices.Contains([]string{"button", "textbox", "checkbox", "link"}, c.role) {
			t.Errorf("a %s has no name", c.role)
		}
	}
	for _, role := range []string{"banner", "main", "contentinfo", "heading"} {
		if landmarks[role] == 0 {
			t.Errorf("the page has no %s", role)
		}
	}
	title := evaluate[string](f.chromium, "document.title")
	if !strings.HasPrefix(title, f.heading()) || !strings.HasSuffix(title, "Entra emulator") {
		t.Errorf("title %q", title)
	}
	if evaluate[bool](f.chromium, `document.querySelector("[aria-invalid]") !== null`) {
		named := evaluate[string](f.chromium, `document.querySelector("[aria-invalid]").getAttribute("aria-describedby")`)
		if !strings.Contains(named, "alert") || landmarks["alert"] != 1 {
			t.Errorf("the error is not announced: described by %q, %d alerts", named, landmarks["alert"])
		}
	}
	if evaluate[bool](f.chromium, `document.querySelector("form") !== null && document.activeElement === document.body`) {
		t.Error("nothing has the focus")
	}
	if styled := evaluate[string](f.chromium, `getComputedStyle(document.querySelector("main")).borderRadius`); styled == "0px" {
		t.Error("the policy keeps out the page's own style")
	}
}

// contrasts lists the texts whose colours are closer than WCAG 2.2, 1.4.3, allows.
const contrasts = `(() => {
  const channels = c => c.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = channels(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const e = node.parentElement;
    if (!node.data.trim() || e.closest(".hidden, script, style")) continue;
    const a = luminance(channels(getComputedStyle(e).color)), b = luminance(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) faint.push(ratio.toFixed(2) + " " + node.data.trim());
  }
  return faint;
})()`

// A whole sign-in with Tab, Enter, Space and letters, from the username to the app.
func TestPagesByKeyboard(t *testing.T) {
	f := newPagesFixture(t)
	f.open(f.address("consent", "scope", "openid api://orders/Orders.Read"))
	f.wantHeading("Sign in")
	f.keys("bob@contoso.example") // the field has the focus
	f.enter("\r")
	f.wantHeading("Enter password")
	f.keys("wrong")
	f.enter("\t\r")
	f.wantHeading("Enter password")
	f.keys("password")
	f.enter("\r")
	f.wantHeading("Permissions requested")
	f.enter("\r") // the first thing to do is to accept
	f.wantHeading("app GET  code=true")

	f.open(f.address("web", "prompt", "select_account"))
	f.wantHeading("Pick an account")
	f.enter("\t\r") // past bob's session: another account
	f.wantHeading("Sign in")
	f.keys("mfa@contoso.example")
	f.enter("\t\r")
	f.keys("password")
	f.enter("\r")
	f.wantHeading("Enter the code")
	f.keys("123456")
	f.enter("\r")
	f.wantHeading("app GET  code=true")

	// What has the focus can be seen, wherever Tab leads.
	f.open(f.address("web", "prompt", "select_account"))
	f.focused()
	controls := evaluate[int](f.chromium, `document.querySelectorAll("button, input:not([type=hidden]):not([tabindex])").length`)
	seen := map[string]bool{}
	for range controls {
		focus := evaluate[string](f.chromium, `(e => e.tagName + e.name + e.value + " " + getComputedStyle(e).outlineStyle)(document.activeElement)`)
		if !strings.HasSuffix(focus, " solid") {
			t.Errorf("the focus cannot be seen: %s", focus)
		}
		seen[focus] = true
		f.do(chromedp.KeyEvent("\t"))
	}
	if len(seen) != controls {
		t.Errorf("Tab reaches %d of %d controls", len(seen), controls)
	}
	f.stayedHere()
}

// No page needs JavaScript, though form_post goes on by itself where there is some.
func TestPagesWithoutJavaScript(t *testing.T) {
	f := newPagesFixture(t)
	call(f.chromium, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	f.open(f.address("consent", "response_mode", "form_post"))
	f.fill(username, "bob@contoso.example")
	f.click(primary)
	f.fill("[name=passwd]", "password")
	f.click(primary)
	f.wantHeading("Permissions requested")
	f.click(primary)
	f.wantHeading("Back to the app")
	f.click(primary)
	f.wantHeading("app POST  code=true")

	f.open(f.address("web", "prompt", "select_account"))
	f.click("[name=cancel]")
	f.wantHeading("app GET access_denied code=false")

	call(f.chromium, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{})
	f.open(f.address("web", "response_mode", "form_post", "login_hint", "bob@contoso.example"))
	f.do(chromedp.WaitVisible(chromedp.Search(`//h1[starts-with(., "app POST")]`)))
	f.stayedHere()
}

// Somebody who goes back in the history does not answer a page twice.
func TestPagesAndTheBackButton(t *testing.T) {
	f := newPagesFixture(t)
	f.open(f.address("web"))
	f.click(button(aliceAtContoso))
	f.wantHeading("app GET  code=true")
	f.do(chromedp.NavigateBack())
	if got := f.heading(); got != "Sign in" && got != "app GET  code=true" {
		t.Fatalf("the browser shows %q", got)
	}
	if f.heading() == "Sign in" { // a page the browser kept
		f.click(button(aliceAtContoso))
		f.wantHeading("Sign-in failed")
		f.click("a.button")
		f.wantHeading("app GET  code=true")
	}
}

// The pictures in the documents are of these pages. "go test ./e2e -run Screenshots -update" takes them anew.
func TestScreenshots(t *testing.T) {
	images := filepath.Join("..", "docs", "images")
	if !*update {
		for _, view := range append(views, consoleView) {
			for _, width := range []int{390, 1280} {
				checkPicture(t, filepath.Join(images, pictureName(view.name, width)), width)
			}
		}
		return
	}
	f := newPagesFixture(t)
	if err := os.MkdirAll(images, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, view := range append(views, consoleView) {
		view.reach(f)
		for _, width := range []int{390, 1280} {
			f.do(chromedp.EmulateViewport(int64(width), 600))
			f.dark(width == 390)
			height := min(evaluate[int64](f.chromium, "document.documentElement.scrollHeight"), tallestPicture)
			f.do(chromedp.EmulateViewport(int64(width), height))
			picture, err := chromedp.Run(f.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(images, pictureName(view.name, width))
			if err := os.WriteFile(name, smaller(t, picture), 0o644); err != nil {
				t.Fatal(err)
			}
			checkPicture(t, name, width)
		}
	}
}

func pictureName(view string, width int) string { return fmt.Sprintf("%s-%d.png", view, width) }

const (
	maxPicture     = 90 << 10 // bytes
	tallestPicture = 1000     // pixels
)

func checkPicture(t *testing.T, name string, width int) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	config, err := png.DecodeConfig(bytes.NewReader(content))
	if err != nil || config.Width != width || len(content) > maxPicture {
		t.Errorf("%s: %d pixels wide, %d bytes, %v", name, config.Width, len(content), err)
	}
}

// smaller keeps the 256 colours that a picture has most of: a page of text needs no more.
func smaller(t *testing.T, picture []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	count := map[color.Color]int{}
	bounds := full.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[full.At(x, y)]++
		}
	}
	var palette color.Palette
	for c := range count {
		palette = append(palette, c)
	}
	slices.SortFunc(palette, func(a, b color.Color) int { return cmp.Compare(count[b], count[a]) })
	palette = palette[:min(256, len(palette))]
	few := image.NewPaletted(bounds, palette)
	nearest := map[color.Color]uint8{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := full.At(x, y)
			index, known := nearest[c]
			if !known {
				index = uint8(palette.Index(c))
				nearest[c] = index
			}
			few.SetColorIndex(x, y, index)
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, few); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
