package e2e

import (
	"strings"
	"testing"
)

// An ID token that is refused is no outage: nobody is told to try the same callback again, and its code is not sent again.
func TestWebRefusedIDTokenIsNoOutage(t *testing.T) {
	t.Parallel()
	site := newWebSite(t, "web")
	site.by(site.replica(nil, nil))
	v := site.visitor()
	v.lies(codes, func(idToken string) string {
		return encode(`{"alg":"none","typ":"JWT"}`) + "." + strings.Split(idToken, ".")[1] + "."
	})
	callback := v.begins("/me")
	for range 2 {
		if got, want := v.lands(callback), "502 “You were not signed in”, hello stranger"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := site.codePosts(); got != 1 {
		t.Errorf("%d codes were sent, want one", got)
	}
}
