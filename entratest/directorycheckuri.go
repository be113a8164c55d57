package entratest

import (
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// parseURI parses an absolute URI without a fragment, or says what is wrong with it. The URI itself stays out of the
// text: it may hold a password.
func parseURI(uri string) (u *url.URL, problem string) {
	if uri == "" {
		return nil, "missing: it must be a URI, like https://app.example.com/callback"
	}
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return nil, "it has a space, a backslash or a control character: remove it, or percent-encode it"
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return nil, "it is not an absolute URI: write it whole, like https://app.example.com/callback"
	case strings.Contains(uri, "#"):
		return nil, "it has a fragment: remove the # and what follows"
	case u.User != nil:
		return nil, "it has user information: remove the @ and what is before it"
	}
	return u, ""
}

// webProblem says what is wrong with the URI of a web page or server: https, or http on this machine.
func webProblem(uri string) string {
	u, problem := parseURI(uri)
	if problem != "" {
		return problem
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "its scheme is not https: use https, or http with localhost or 127.0.0.1"
	case u.Hostname() == "":
		return "it has no host: write it whole, like https://app.example.com/callback"
	case u.Scheme == "http" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
		return "http is for localhost and 127.0.0.1: use https"
	}
	return ""
}

// redirectProblem says what is wrong with a redirect URI, by "Redirect URI (reply URL) best practices and limitations"
// and RFC 6749 section 3.1.2.
func redirectProblem(uri string, t AppType) string {
	u, problem := parseURI(uri)
	switch {
	case problem != "":
		return problem
	case strings.Contains(uri, "*"):
		return "it has a wildcard: redirect URIs are matched exactly, so write each one out"
	case u.Hostname() == "::1":
		return "Entra takes no IPv6 loopback address: use localhost or 127.0.0.1"
	case u.Scheme == "https" || u.Scheme == "http" || t != Public:
		return webProblem(uri)
	case slices.Contains([]string{"javascript", "data", "vbscript", "file", "about", "blob"}, u.Scheme):
		return "its scheme is run or opened by the browser itself: use https, or a scheme of the app's own"
	}
	return ""
}

// keyProblem says what is wrong with a key that is to verify tokens of another issuer.
func keyProblem(key jose.JSONWebKey) string {
	switch public := key.Public(); {
	case key.Key == nil || !public.Valid():
		return "it is not a public JSON Web Key, RFC 7517: kty must be RSA, EC or OKP, with that type's members"
	case !key.IsPublic():
		return "it is a private key: remove its private members, such as d"
	}
	return ""
}
