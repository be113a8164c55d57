package signin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const (
	maxReturnURL  = 1024 // bytes: it travels in a cookie
	maxDecodings  = 8
	returnDefault = "/"
)

// checkReturnURL lets pass what leads to a page of this origin in every browser: a path with one leading slash, and what may
// follow it. Backslashes and control characters are refused, and so is "//" in the path however often it is encoded, since
// browsers, proxies and servers decode at different times (RFC 9700 section 4.11: no open redirector).
func checkReturnURL(s string) error {
	refuse := func(why string) error {
		return fmt.Errorf("the return URL is refused: %s: give a local path, such as /page?q=1", why)
	}
	switch {
	case s == "":
		return refuse("it is empty")
	case len(s) > maxReturnURL:
		return refuse(fmt.Sprintf("it has %d bytes, more than %d", len(s), maxReturnURL))
	case s[0] != '/':
		return refuse("it does not begin with a slash")
	}
	for _, c := range []byte(s) {
		if c <= 0x20 || c >= 0x7f || c == '\\' {
			return refuse("it holds a backslash, a space, a control or a non-ASCII character")
		}
	}
	if err := checkReturnPath(s); err != nil {
		return refuse(err.Error())
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return refuse("it is no path")
	}
	return nil
}

func checkReturnPath(s string) error {
	path := s
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if _, err := url.PathUnescape(path); err != nil {
		return errors.New("its path is not percent-encoded as RFC 3986 says")
	}
	for range maxDecodings {
		for _, c := range []byte(path) {
			if c < 0x20 || c == 0x7f || c == '\\' {
				return errors.New("its path hides a backslash or a control character")
			}
		}
		if strings.Contains(path, "//") {
			return errors.New("its path has an empty segment")
		}
		decoded := decodeOnce(path)
		if decoded == path {
			return nil
		}
		path = decoded
	}
	return errors.New("its path is encoded too often")
}

// decodeOnce decodes what can be decoded and leaves the rest, as lenient servers do: after one decoding a good path may hold a lone
// percent sign.
func decodeOnce(s string) string {
	return percentEncoded.ReplaceAllStringFunc(s, func(triplet string) string {
		b, _ := hex.DecodeString(triplet[1:])
		return string(b)
	})
}

var percentEncoded = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// returnOrRoot gives a return URL that passes and is no endpoint of ours, else the root.
func (h *Handler) returnOrRoot(s string) string {
	if checkReturnURL(s) != nil || h.isEndpoint(s) {
		return returnDefault
	}
	return s
}

func (h *Handler) isEndpoint(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return true
	}
	switch u.Path {
	case h.callbackPath, h.loginPath, h.logoutPath, h.frontChannelPath:
		return true
	}
	return false
}

// here is the page a request is for, as the browser asked for it. A query that makes it too long is left out.
func (h *Handler) here(r *http.Request) string {
	asked := r.RequestURI
	if !strings.HasPrefix(asked, "/") {
		asked = r.URL.RequestURI()
	}
	if len(asked) > maxReturnURL {
		asked, _, _ = strings.Cut(asked, "?")
	}
	return h.returnOrRoot(asked)
}

// cameFrom is the page whose form or script made a request, where the browser says so.
func (h *Handler) cameFrom(r *http.Request) string {
	referer, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || strings.ToLower(referer.Scheme+"://"+referer.Host) != h.origin {
		return returnDefault
	}
	return h.returnOrRoot(referer.RequestURI())
}
