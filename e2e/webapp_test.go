package e2e

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/authcode-go/authcode/entratest"
)

// webapp is examples/webapp in a process of its own, and a browser that opens it.
type webapp struct {
	*chromium
	origin string
}

func startWebApp(t *testing.T) *webapp {
	t.Helper()
	port := unusedPort(t)
	origin := fmt.Sprintf("http://localhost:%d", port)
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		directory.Apps[i].RedirectURIs = append(directory.Apps[i].RedirectURIs, origin+"/auth/callback", origin+"/")
	}
	server, err := entratest.NewServer(&entratest.Options{Directory: directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	w := &webapp{chromium: startChromium(t, server), origin: origin}
	program := filepath.Join(t.TempDir(), "webapp")
	build(t, "../examples", program, "./webapp")
	web := directory.App("web")
	startProgram(t, port, []string{program, "-listen", fmt.Sprintf("localhost:%d", port)},
		"AZURE_AUTHORITY_HOST="+server.URL(), "AZURE_TENANT_ID="+web.TenantID, "AZURE_CLIENT_ID="+web.ClientID, "AZURE_CLIENT_SECRET="+web.Secrets[0],
		"REDIRECT_URI="+origin+"/auth/callback", "CA_FILE="+writePEM(t, filepath.Join(t.TempDir(), "ca.pem"), "CERTIFICATE", derOf(t, server.CertPEM())))
	return w
}

func derOf(t *testing.T, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}

func build(t *testing.T, dir, program, source string) {
	t.Helper()
	command := exec.Command("go", "build", "-o", program, source)
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// startProgram starts a program, waits until it listens on the port, and ends it with the test.
func startProgram(t *testing.T, port int, command []string, environment ...string) {
	t.Helper()
	run := exec.CommandContext(t.Context(), command[0], command[1:]...)
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = 30 * time.Second
	run.Env = append(os.Environ(), environment...)
	var output bytes.Buffer
	run.Stdout, run.Stderr = &output, &output
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = run.Wait() // by the signal
	}()
	t.Cleanup(func() { <-ended })
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		connection, err := net.Dial("tcp", fmt.Sprintf("localhost:%d", port))
		if err == nil {
			_ = connection.Close()
			return
		}
		select {
		case <-again.C:
		case <-ended:
			t.Fatalf("the program ended before it listened:\n%s", &output)
		}
	}
}

func unusedPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// A user goes through the example's pages with a browser, at both widths and in both colours; with -update, two of the pages become
// pictures in docs/images.
func TestWebAppInABrowser(t *testing.T) {
	w := startWebApp(t)
	w.open(w.origin)
	w.wantHeading("Everything of yours, in one place")
	w.fits(t, "home, signed out")
	w.click("a.primary")
	w.wantHeading("Sign in")
	w.click(button("bob@contoso.example"))
	w.wantHeading("Hello, Bob Berger")
	w.pagesWhenSignedIn(t)
	w.canBeHeard(t)

	w.open(w.origin + "/sessions")
	w.click("header form button")
	w.wantHeading("Everything of yours, in one place")
	w.open(w.origin + "/profile")
	if strings.HasPrefix(evaluate[string](w.chromium, "location.href"), w.origin) {
		t.Error("signed out, and the profile can be opened")
	}
}

func (w *webapp) pagesWhenSignedIn(t *testing.T) {
	t.Helper()
	for _, page := range []struct{ path, heading string }{
		{"/", "Hello, Bob Berger"},
		{"/profile", "Profile"},
		{"/files", "Files"},
		{"/payslips", "Payslips"},
		{"/sessions", "Sessions"},
		{"/nowhere", "There is no such page"},
	} {
		w.open(w.origin + page.path)
		if page.path == "/payslips" { // more proof
			w.wantHeading("Enter password")
			w.fill("[name=passwd]", "password")
			w.click(primary)
		}
		w.wantHeading(page.heading)
		w.fits(t, page.path)
		if *update && page.path == "/profile" {
			w.pictures(t)
		}
	}
}

// fits fails the test if a page is wider than the window, or has text too faint or controls too small to hit.
func (w *webapp) fits(t *testing.T, page string) {
	t.Helper()
	for _, width := range []int64{390, 1280} {
		for _, dark := range []bool{false, true} {
			w.do(chromedp.EmulateViewport(width, 800))
			w.dark(dark)
			if wide := evaluate[int64](w.chromium, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s is %d pixels wide in a window of %d", page, wide, width)
			}
			small := `[...document.querySelectorAll("button, nav a, a.button, .cards a")].filter(e => e.getBoundingClientRect().height < 44).length`
			if n := evaluate[int](w.chromium, small); n > 0 {
				t.Errorf("%s at %d: %d controls are lower than 44 pixels", page, width, n)
			}
			faint := evaluate[[]string](w.chromium, faintTexts)
			if len(faint) > 0 {
				t.Errorf("%s, dark %t: contrast below 4.5: %q", page, dark, faint)
			}
		}
	}
}

// faintTexts are those whose contrast with what is behind them is below WCAG 2.2's 4.5.
const faintTexts = `(() => {
  const rgb = c => c.match(/[\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = rgb(c).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor, p = rgb(c); if (p.length < 4 || p[3] > 0) return c; } return "rgb(255,255,255)"; };
  return [...document.querySelectorAll("body *")].filter(e => !e.closest(".skip") && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).filter(e => {
    const a = light(getComputedStyle(e).color), b = light(behind(e));
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5;
  }).map(e => e.textContent.trim().slice(0, 40));
})()`

// canBeHeard fails the test unless the page of sessions says to a screen reader what it says to the eye, and the keyboard's first stop
// leads past the navigation.
func (w *webapp) canBeHeard(t *testing.T) {
	t.Helper()
	w.open(w.origin + "/sessions")
	controls := w.controls()
	for _, want := range []control{{role: "banner"}, {role: "main"}, {role: "heading", name: "Sessions"}, {role: "link", name: "Profile"}, {role: "button", name: "Sign out everywhere"}} {
		if !slices.Contains(controls, want) {
			t.Errorf("a screen reader does not hear of %+v: %+v", want, controls)
		}
	}
	end := slices.IndexFunc(controls, func(c control) bool { return c.role == "button" && c.name == "End" })
	if end < 0 || !strings.Contains(controls[end].description, "Chrome on Linux") {
		t.Errorf("a screen reader does not hear which session a button ends: %+v", controls)
	}
	w.do(chromedp.KeyEvent("\t"))
	if got := evaluate[string](w.chromium, `document.activeElement.textContent`); got != "Skip to the content" {
		t.Errorf("the keyboard's first stop is %q", got)
	}
}

// pictures takes the page that is open at both widths.
func (w *webapp) pictures(t *testing.T) {
	t.Helper()
	for _, width := range []int{390, 1280} {
		w.dark(width == 390)
		w.do(chromedp.EmulateViewport(int64(width), 860))
		picture, err := chromedp.Run(w.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("..", "docs", "images", pictureName("webapp", width)), smaller(t, picture), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
