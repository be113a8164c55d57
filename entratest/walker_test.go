package entratest_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

// walker is a browser without JavaScript: it keeps cookies, and fills in the forms of the pages it is shown.
type walker struct {
	f       *fixture
	t       testing.TB
	client  *http.Client
	address string // of the page
	page    string
	status  int
	header  http.Header
	target  *url.URL // where it was sent; nil: it sees a page
}

func (f *fixture) walker() *walker {
	return &walker{f: f, t: f.t, client: &http.Client{
		Transport:     f.Transport(),
		Jar:           must(cookiejar.New(nil)),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// in is the same browser, in a subtest.
func (w *walker) in(t testing.TB) *walker {
	c := *w
	c.t = t
	return &c
}

// open begins a sign-in; pairs change the authorize request.
func (w *walker) open(pairs ...string) *walker {
	w.t.Helper()
	return w.visit(w.f.authorizeURL(pairs...))
}

func (w *walker) visit(address string) *walker {
	w.t.Helper()
	w.address = address
	w.send(must(http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)))
	return w
}

func (w *walker) send(r *http.Request) {
	w.t.Helper()
	response, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	w.page, w.status, w.header, w.target = string(must(io.ReadAll(response.Body))), response.StatusCode, response.Header, nil
	if location := response.Header.Get("Location"); location != "" {
		w.target = must(url.Parse(location))
	}
}

var (
	walkedForm   = regexp.MustCompile(`(?s)<form method="post".*?</form>`)
	walkedHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	walkedTitle  = regexp.MustCompile(`<h1>(.*?)</h1>`)
)

// form is the page's form that has all these fields or buttons, filled in.
func (w *walker) form(pairs ...string) url.Values {
	w.t.Helper()
next:
	for _, form := range walkedForm.FindAllString(w.page, -1) {
		values := url.Values{}
		for _, field := range walkedHidden.FindAllStringSubmatch(form, -1) {
			values.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
		}
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(form, `name="`+pairs[i]+`"`) {
				continue next
			}
			values.Set(pairs[i], pairs[i+1])
		}
		return values
	}
	w.t.Fatalf("no form on the page has %q:\n%s", pairs, w.page)
	return nil
}

// submit fills in a form and sends it.
func (w *walker) submit(pairs ...string) *walker {
	w.t.Helper()
	return w.post(w.form(pairs...))
}

func (w *walker) post(form url.Values, header ...string) *walker {
	w.t.Helper()
	r := must(http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.address, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w.send(r)
	return w
}

// session presses the button of a user who is signed in with this browser.
func (w *walker) session(username string) *walker {
	w.t.Helper()
	button := regexp.MustCompile(`<button name="session" value="([^"]*)"[^>]*>.*?` + regexp.QuoteMeta(username)).FindStringSubmatch(w.page)
	if button == nil {
		w.t.Fatalf("%s has no session on the page:\n%s", username, w.page)
	}
	return w.submit("session", button[1])
}

// saw says in short where the browser is: the page's heading and AADSTS number, or what the app was told.
func (w *walker) saw() string {
	w.t.Helper()
	if w.target == nil {
		saw := "no page"
		if title := walkedTitle.FindStringSubmatch(w.page); title != nil {
			saw = html.UnescapeString(title[1])
		}
		if alert := alertNumber.FindStringSubmatch(w.page); alert != nil {
			saw += " " + alert[1]
		}
		return saw
	}
	q := w.target.Query()
	if q.Get("state") != "st&te=1" || !strings.HasPrefix(w.target.String(), callback) && !strings.HasPrefix(w.target.String(), "http://localhost:3000/") {
		w.t.Fatalf("it was sent to %s", w.target)
	}
	if q.Has("code") {
		return "code"
	}
	number := alertNumber.FindStringSubmatch(`role="alert">` + q.Get("error_description"))
	if number == nil {
		return q.Get("error")
	}
	return fmt.Sprintf("%s %s", q.Get("error"), number[1])
}

var alertNumber = regexp.MustCompile(`role="alert">AADSTS([0-9]+):`)

func (w *walker) want(saw string) *walker {
	w.t.Helper()
	if got := w.saw(); got != saw {
		w.t.Fatalf("saw %q, want %q\n%s", got, saw, w.page)
	}
	return w
}

// code is the code that the app got.
func (w *walker) code() string {
	w.t.Helper()
	w.want("code")
	return w.target.Query().Get("code")
}

// consentApp asks its users, in place of the web app.
func consentApp(pairs ...string) []string {
	return append([]string{"client_id", directory.App("consent").ClientID}, pairs...)
}

// with changes the default directory.
func directoryWith(change func(*entratest.Directory)) *entratest.Options {
	d := entratest.DefaultDirectory()
	change(d)
	return &entratest.Options{Directory: d}
}
