package entratest_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

// Several people use one browser.
func TestSeveralSessions(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open().submit("emulator_user", alice).want("code")
	w.open().want("code") // alone, she is not asked
	w.open("prompt", "select_account").want("Pick an account").submit("another", "1").want("Sign in").
		submit("loginfmt", bob).submit("passwd", "password").want("code")

	w.open("prompt", "none").want("interaction_required 16000")
	w.open("prompt", "none", "login_hint", alice).want("code")
	w.open("prompt", "none", "login_hint", bob).want("code")
	w.open("prompt", "none", "login_hint", mfa).want("login_required 50058")
	w.open("login_hint", bob).want("code")
	w.open("login_hint", bob, "prompt", "login").want("Enter password")
	w.open("login_hint", mfa).want("Enter password")
	name := func(code string) any { return claimsOf(t, f.mustToken(codeForm(code)).IDToken)["preferred_username"] }
	if got := name(w.open("prompt", "none", "login_hint", alice).code()); got != alice {
		t.Errorf("%v", got)
	}

	w.open().want("Pick an account")
	if a, b := strings.Index(w.page, bob), strings.Index(w.page, alice); a < 0 || b < a || strings.Count(w.page, alice) != 1 {
		t.Errorf("the newest is not first, or somebody is there twice:\n%s", w.page)
	}
	if got := name(w.session(alice).code()); got != alice {
		t.Errorf("%v", got)
	}
	w.open("prompt", "login").want("Pick an account").session(bob).want("Enter password").submit("passwd", "password").want("code")

	sid := claimsOf(t, f.mustToken(codeForm(w.open("login_hint", bob).code())).IDToken)["sid"].(string)
	w.open("prompt", "none", "sid", sid).want("code")
	w.open("prompt", "none", "sid", "11111111-2222-4333-8444-555555555555").want("login_required 50058")

	// Where only one of them has an account, there is nothing to choose.
	g := f.at(fabrikam)
	w.visit(g.authorizeURL("prompt", "none")).want("code")
	w.visit(g.authorizeURL()).want("code")

	if err := f.RevokeSessions(bob); err != nil {
		t.Fatal(err)
	}
	w.open().want("code")
	w.open("prompt", "none", "login_hint", bob).want("login_required 50058")
	if err := f.SetDisabled(alice, true); err != nil {
		t.Fatal(err)
	}
	w.open("prompt", "none").want("interaction_required 50057")
	w.open().want("You can’t get in 50057")
}

// A session that ends while its button is on the page is not taken.
func TestSessionEndsUnderThePicker(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open().submit("emulator_user", alice)
	w.open("prompt", "select_account").want("Pick an account")
	if err := f.RevokeSessions(alice); err != nil {
		t.Fatal(err)
	}
	w.session(alice).want("Sign in")
}

// The cookie stays as small as browsers demand, whatever it would have to hold.
func TestSessionCookieStaysSmall(t *testing.T) {
	f := start(t, directoryWith(func(d *entratest.Directory) {
		for i := range 30 {
			d.Users = append(d.Users, entratest.User{
				Username: strconv.Itoa(i) + "@contoso.example", TenantID: contoso,
				ObjectID: "11111111-2222-4333-8444-5555555555" + strconv.Itoa(10+i),
			})
		}
	}))
	w := f.walker()
	sign := func(username string, pairs ...string) {
		t.Helper()
		w.open(append(pairs, "prompt", "select_account")...)
		if strings.Contains(w.page, `name="another"`) {
			w.submit("another", "1")
		}
		w.submit("emulator_user", username).want("code")
		if cookie := w.header.Get("Set-Cookie"); len(cookie) > 4096 {
			t.Fatalf("%s: a cookie of %d bytes", username, len(cookie))
		}
		w.open("prompt", "none", "login_hint", username).want("code")
	}
	for i := range 30 {
		sign(strconv.Itoa(i) + "@contoso.example")
	}
	w.open("prompt", "none", "login_hint", "0@contoso.example").want("login_required 50058")
	w.open("prompt", "none", "login_hint", "28@contoso.example").want("code")
	big := `{"id_token":{"x":{"value":"` + strings.Repeat("x", 6000) + `"}}}`
	sign(alice, "claims", big)
	w.open("prompt", "none", "login_hint", alice, "claims", big).want("interaction_required 50076")
}
