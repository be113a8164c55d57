package signin

import (
	"net/http"
	"strings"
)

// requestKind says how an answer must look for the one who asked.
type requestKind int

const (
	navigation requestKind = iota // a page: it follows redirects and shows what it gets
	submission                    // a page that sends a form: a redirect would lose it
	script                        // fetch and its like: a redirect to another origin fails there
)

// kindOf goes by the browser's own word where there is one (Fetch Metadata), else by what scripts send.
// https://www.w3.org/TR/fetch-metadata/
func kindOf(r *http.Request) requestKind {
	if isPageRequest(r) {
		if r.Method == http.MethodGet {
			return navigation
		}
		if r.Method != http.MethodHead {
			return submission
		}
	}
	return script
}

func isPageRequest(r *http.Request) bool {
	purpose := r.Header.Get("Sec-Purpose")
	if strings.HasPrefix(purpose, "prefetch") || r.Header.Get("Purpose") == "prefetch" {
		return false // nobody looks at it yet
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	if r.Header.Get("X-Requested-With") != "" || r.Header.Get("Upgrade") != "" {
		return false
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
