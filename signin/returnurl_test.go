package signin_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
)

// hostileReturnURLs are the lines of the corpus, Go-quoted where they begin with a quote.
func hostileReturnURLs(t testing.TB) []string {
	t.Helper()
	f, err := os.Open("testdata/hostile-return-urls.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "", strings.HasPrefix(line, "# "):
			continue
		case strings.HasPrefix(line, `"`):
			if line, err = strconv.Unquote(line); err != nil {
				t.Fatal(lines.Text(), err)
			}
		}
		all = append(all, line)
	}
	return all
}

// Row 6, case 22: each hostile return URL is refused by name, and none leads to another host.
func TestHostileReturnURLs(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	all := hostileReturnURLs(t)
	if len(all) < 200 {
		t.Fatalf("%d URLs", len(all))
	}
	for _, target := range all {
		a := s.browser("").get("/auth/login?return=" + url.QueryEscape(target))
		if a.StatusCode != 400 || a.location() != "" {
			t.Errorf("%q: %d to %q", target, a.StatusCode, a.location())
		}
		if link := s.h.LoginURL(target); link != "/auth/login?return=%2F" {
			t.Errorf("%q: login link %q", target, link)
		}
	}
	if !strings.Contains(w.log.String(), "return URL is refused") {
		t.Errorf("log %s", w.log)
	}
}

func TestGoodReturnURLs(t *testing.T) {
	s := newWorld(t).newSite(nil)
	for _, target := range []string{
		"/", "/a", "/a/", "/a/b?c=d&e=f", "/a?next=https://x.example//y", "/a#part", "/a%20b", "/%E2%82%AC", "/a/../b", "/a?b=%0d%0a", "/a%2fb", "/100%25", "/a;b=1", "/~u/@me",
	} {
		b := s.browser(alice)
		a := b.get(b.callbackOf("/auth/login?return=" + url.QueryEscape(target)))
		want := target
		if target == "/a/../b" {
			want = "/b" // net/http cleans what it redirects to
		}
		if a.StatusCode != 303 || a.location() != want {
			t.Errorf("%q: %d to %q", target, a.StatusCode, a.location())
		}
	}
	// Our own endpoints are no page to come back to.
	for _, target := range []string{"/auth/login", "/auth/callback?code=x", "/auth/logout", "/auth/frontchannel-logout?sid=x"} {
		b := s.browser(alice)
		if a := b.get(b.callbackOf("/auth/login?return=" + url.QueryEscape(target))); a.location() != "/" {
			t.Errorf("%q: to %q", target, a.location())
		}
	}
}

// Whatever passes leads to the app, in a strict parser's eyes and in a browser's, which drops tabs and newlines and takes
// backslashes for slashes (https://url.spec.whatwg.org/).
func FuzzReturnURL(f *testing.F) {
	for _, target := range hostileReturnURLs(f) {
		f.Add(target)
	}
	for _, target := range []string{"/", "/a?b#c", "/%2e%2e/a", "/a%2fb"} {
		f.Add(target)
	}
	s := newWorld(f).newSite(nil)
	base := mustURL(f, origin+"/auth/callback")
	f.Fuzz(func(t *testing.T, target string) {
		link := mustURL(t, s.h.LoginURL(target)).Query().Get("return")
		if link != "/" && link != target {
			t.Fatalf("%q became %q", target, link)
		}
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest("GET", base.String(), nil), link, http.StatusSeeOther)
		location := w.Header().Get("Location")
		for range 4 { // decoded once too often, by a proxy
			seen := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(strings.TrimLeft(location, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f "))
			if !strings.HasPrefix(seen, "/") || strings.HasPrefix(seen, "//") {
				t.Fatalf("%q leads to %q", target, location)
			}
			u, err := base.Parse(location)
			if err != nil {
				break
			}
			if u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil {
				t.Fatalf("%q leads to %q", target, u)
			}
			path, _, _ := strings.Cut(location, "?")
			decoded, err := url.PathUnescape(path)
			if err != nil || decoded == path {
				break
			}
			location = decoded
		}
	})
}
