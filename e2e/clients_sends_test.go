package e2e

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// sends is what a client asks for and how: the parameters at authorize, those of the code's form, the scope of the form, and
// the headers that other HTTP clients do not have.
func (b *codeBench) sends(t *testing.T) []string {
	b.signedIn(t, false)
	var authorize url.Values
	for _, r := range b.Requests() {
		if r.Endpoint == "authorize" {
			authorize = r.Query
			authorize.Del("emulator_user") // not the client's
		}
	}
	token := b.newest(t)
	return []string{names(authorize), names(token.Form), token.Form.Get("scope"), names(ownHeaders(token.Header))}
}

func ownHeaders(all http.Header) map[string][]string {
	own := map[string][]string{}
	for name, values := range all {
		if strings.HasPrefix(name, "X-") || name == "Authorization" || strings.HasSuffix(name, "Request-Id") {
			own[strings.ToLower(name)] = values
		}
	}
	return own
}

// names are the names of parameters, in order; what clients of Microsoft say about themselves counts as one.
func names(of map[string][]string) string {
	var all []string
	for name := range maps.Keys(of) {
		if strings.HasPrefix(name, "x-client-") {
			name = "x-client-*"
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}
