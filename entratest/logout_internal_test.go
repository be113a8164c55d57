package entratest

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Where a browser holds several sign-ins, the hint or the user says which one ends.
func TestEndedSessions(t *testing.T) {
	e, err := NewHandler(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := e.index.Load()
	var all []signedIn
	for _, name := range []string{"alice@contoso.example", "bob@contoso.example"} {
		all = append(all, signedIn{d.user(name), session{ObjectID: d.user(name).ObjectID, ID: "sid-" + name}})
	}
	tests := []struct {
		name       string
		parameters url.Values
		want       string // whose session ends; empty: the user is asked
	}{
		{"nothing", nil, ""},
		{"by claim", url.Values{"logout_hint": {loginHint(all[1].user, all[1].user.TenantID)}}, "bob@contoso.example"},
		{"a guest's claim", url.Values{"logout_hint": {loginHint(all[0].user, all[0].user.Guests[0].TenantID)}}, "alice@contoso.example"},
		{"a username is no hint", url.Values{"logout_hint": {"bob@contoso.example"}}, ""},
		{"no hint of ours", url.Values{"logout_hint": {base64.RawURLEncoding.EncodeToString([]byte("bob"))}}, ""},
		{"somebody else's", url.Values{"logout_hint": {loginHint(d.user("carol@fabrikam.example"), d.user("carol@fabrikam.example").TenantID)}}, ""},
		{"picked", url.Values{"emulator_sid": {"sid-alice@contoso.example"}}, "alice@contoso.example"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := endedSessions(d, all, test.parameters)
			if test.want == "" {
				if len(got) != 0 {
					t.Errorf("%s ends", got[0].user.Username)
				}
				return
			}
			if len(got) != 1 || got[0].user.Username != test.want {
				t.Errorf("%v, want %s", got, test.want)
			}
		})
	}

	x := e.receive(httptest.NewRequest(http.MethodGet, "/common/oauth2/v2.0/logout", nil))
	page := string(e.signOutPage(x, all, url.Values{"state": {`"s`}, "post_logout_redirect_uri": {"https://app.example.com/"}, "other": {"o"}}).body)
	for _, part := range []string{
		`value="sid-alice@contoso.example"`, `value="sid-bob@contoso.example"`, `name="state" value="&#34;s"`,
		`name="post_logout_redirect_uri" value="https://app.example.com/"`, `method="post"`,
	} {
		if !strings.Contains(page, part) {
			t.Errorf("no %s in %s", part, page)
		}
	}
	if strings.Contains(page, `"other"`) {
		t.Error("a parameter of somebody else is passed on")
	}
}
