package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser is a user at a browser without a screen: it keeps cookies, follows redirects, and fills in every form it is
// shown as a user who agrees to everything.
type browser struct {
	client *http.Client
	t      *testing.T
	user   string
}

// newBrowser is one without cookies, of a user who signs in by this name.
func newBrowser(t *testing.T, transport http.RoundTripper, user string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{
		client: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Jar:           jar,
			Transport:     transport,
		},
		t:    t,
		user: user,
	}
}

const longestWalk = 20 // pages and redirects of one visit

// visit opens an address and goes on until it is sent to an address that begins with home, which it does not open.
func (b *browser) visit(address, home string) *url.URL {
	b.t.Helper()
	next := b.get(address)
	for range longestWalk {
		if strings.HasPrefix(next.URL.String(), home) {
			return next.URL
		}
		next = b.open(next)
	}
	b.t.Fatalf("after %d pages the browser is at %s, and not at %s", longestWalk, next.URL, home)
	return nil
}

func (b *browser) get(address string) *http.Request {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return request
}

// open sends a request and gives the one that follows from its answer: a redirect, or the form of a page.
func (b *browser) open(request *http.Request) *http.Request {
	b.t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if location, err := response.Location(); err == nil {
		return b.get(location.String())
	}
	page, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	submit, err := b.submit(request.URL, string(page))
	if err != nil {
		b.t.Fatalf("%s answered %s: %v\n%s", request.URL, response.Status, err, page)
	}
	return submit
}

func (b *browser) submit(page *url.URL, content string) (*http.Request, error) {
	document, err := html.Parse(strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	action, fields := form(document)
	if fields == nil {
		return nil, fmt.Errorf("the page has no form")
	}
	for _, name := range []string{"login", "password"} {
		if fields.Has(name) {
			fields.Set(name, b.user)
		}
	}
	target, err := page.Parse(action)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, target.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request, nil
}

// form gives the page's form: where it goes, and its fields with the first button that has a name. nil: there is none.
func form(document *html.Node) (action string, fields url.Values) {
	pressed := false
	for node := range document.Descendants() {
		switch {
		case node.Type != html.ElementNode:
		case node.Data == "form" && fields == nil:
			action, fields = attribute(node, "action"), url.Values{}
		case fields == nil:
		case node.Data == "input":
			fields.Set(attribute(node, "name"), attribute(node, "value"))
		case node.Data == "button" && attribute(node, "name") != "" && !pressed:
			pressed = true
			fields.Set(attribute(node, "name"), attribute(node, "value"))
		}
	}
	return action, fields
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
