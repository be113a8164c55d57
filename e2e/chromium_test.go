package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/authcode-go/authcode/entratest"
)

const installChromium = "install Chromium (Debian: apt-get install chromium)"

// chromium is a tab of a real browser with a fresh profile, which trusts one emulator's certificate, and what others a test names,
// and reaches only this machine.
type chromium struct {
	t   *testing.T
	ctx context.Context

	mu   sync.Mutex
	urls []string // of every request it made
}

func startChromium(t *testing.T, server *entratest.Server, trusted ...*x509.Certificate) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "chromium is missing", installChromium)
	}
	digests := []string{publicKeyDigest(t, server)}
	for _, certificate := range trusted {
		digests = append(digests, digestOf(certificate))
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir())}
	for name, value := range map[string]any{
		"headless": "new", "no-sandbox": true, "disable-gpu": true, "disable-quic": true, "no-first-run": true,
		"disable-background-networking": true, "disable-component-update": true, "disable-sync": true,
		"disable-dev-shm-usage": true, "hide-scrollbars": true, "force-color-profile": "srgb", "lang": "en-US",
		"password-store":                      "basic",
		"host-resolver-rules":                 "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
		"ignore-certificate-errors-spki-list": strings.Join(digests, ","),
	} {
		options = append(options, chromedp.Flag(name, value))
	}
	// The browser is closed in a cleanup, when the test's own context has ended.
	ctx, cancelTime := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancel := chromedp.NewContext(ctx)
	b := &chromium{t: t, ctx: ctx}
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		cancel()
		stop()
		cancelTime()
	})
	b.watch()
	return b
}

// watch notes what the tab asks for, and gives it the focus.
func (b *chromium) watch() {
	b.t.Helper()
	b.must(chromedp.Listen(b.ctx, func(event any) {
		if sent, ok := event.(*network.EventRequestWillBeSent); ok {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.urls = append(b.urls, sent.Request.URL)
		}
	}))
	// A window without a screen may lose the focus to none.
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
}

// publicKeyDigest is what Chromium wants to know of a certificate that it shall trust.
func publicKeyDigest(t *testing.T, server *entratest.Server) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return digestOf(response.TLS.PeerCertificates[0])
}

func digestOf(certificate *x509.Certificate) string {
	digest := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(digest[:])
}

func (b *chromium) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *chromium) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.must(chromedp.Do(b.ctx, steps...))
}

// loads does what leads to another page, and waits for it.
func (b *chromium) loads(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	_, err := chromedp.RunResponse(b.ctx, steps...)
	b.must(err)
}

func (b *chromium) open(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
}

// click presses what a CSS selector finds, and waits for the next page.
func (b *chromium) click(selector string) {
	b.t.Helper()
	b.loads(chromedp.Click(chromedp.CSS(selector)))
}

// fill types into a field.
func (b *chromium) fill(selector, text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// focused waits for the focus that the page gives to its first control: what is typed before goes nowhere.
func (b *chromium) focused() {
	b.t.Helper()
	b.do(chromedp.WaitReady(chromedp.CSS(":focus")))
}

// keys are pressed where the focus is.
func (b *chromium) keys(keys string) {
	b.t.Helper()
	b.focused()
	b.do(chromedp.KeyEvent(keys))
}

// enter is keys that lead to another page.
func (b *chromium) enter(keys string) {
	b.t.Helper()
	b.focused()
	b.loads(chromedp.KeyEvent(keys))
}

// heading is the page's h1.
func (b *chromium) heading() string {
	b.t.Helper()
	return evaluate[string](b, `document.querySelector("h1")?.textContent ?? document.title`)
}

func (b *chromium) wantHeading(want string) {
	b.t.Helper()
	if got := b.heading(); got != want {
		b.t.Fatalf("the browser shows %q, want %q", got, want)
	}
}

func evaluate[T any](b *chromium, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	b.must(err)
	return value
}

// call is a command of the DevTools protocol.
func call[P, R any](b *chromium, command cdp.Command[P, R], parameters P) R {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, parameters)
	})
	b.must(err)
	return result
}

// dark chooses the colours that the user's system asks for.
func (b *chromium) dark(on bool) {
	b.t.Helper()
	value := "light"
	if on {
		value = "dark"
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
}

// control is what somebody who does not see the page knows of a button or field.
type control struct{ role, name, description string }

func (b *chromium) controls() []control {
	b.t.Helper()
	text := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	var all []control
	for _, node := range call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		c := control{text(node.Role), text(node.Name), text(node.Description)}
		if !node.Ignored && slices.Contains([]string{"button", "textbox", "checkbox", "link", "list", "banner", "main", "contentinfo", "alert", "heading"}, c.role) {
			all = append(all, c)
		}
	}
	return all
}

// stayedHere fails the test if a request went to another machine.
func (b *chromium) stayedHere() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.urls) == 0 {
		b.t.Error("the browser made no request")
	}
	for _, address := range b.urls {
		rest, ok := strings.CutPrefix(address, "https://localhost:")
		if !ok {
			rest, ok = strings.CutPrefix(address, "http://127.0.0.1:")
		}
		if port, _, _ := strings.Cut(rest, "/"); !ok || strings.ContainsFunc(port, func(r rune) bool { return r < '0' || r > '9' }) {
			b.t.Errorf("the browser asked for %s", address)
		}
	}
}
