package entratest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

const (
	mfa      = "mfa@contoso.example"
	frequent = "frequent@contoso.example"
	blocked  = "blocked@contoso.example"
	disabled = "disabled@contoso.example"
	expired  = "expired@contoso.example"
	personal = "personal@outlook.example"

	approver = "api://orders/Orders.Admin"
)

// What each page answers to what people do with it. A step is the fields of a form; the last one's answer is wanted.
func TestPages(t *testing.T) {
	type steps [][]string
	password := []string{"passwd", "password"}
	tests := []struct {
		name  string
		query []string
		steps steps
		want  string
	}{
		{"first page", nil, nil, "Sign in"},
		{"username", nil, steps{{"loginfmt", " Alice@contoso.example "}}, "Enter password"},
		{"username and password", nil, steps{{"loginfmt", alice}, password}, "code"},
		{"one press", nil, steps{{"emulator_user", alice}}, "code"},
		{"nobody", nil, steps{{"loginfmt", "nobody@contoso.example"}}, "Sign in 50034"},
		{"nobody's button", nil, steps{{"emulator_user", "nobody@contoso.example"}}, "Sign in 50034"},
		{"nobody, then somebody", nil, steps{{"loginfmt", "nobody"}, {"loginfmt", alice}, password}, "code"},
		{"no username", nil, steps{{"loginfmt", ""}}, "Sign in 50034"},
		{"wrong password", nil, steps{{"loginfmt", alice}, {"passwd", "x"}}, "Enter password 50126"},
		{"no password", nil, steps{{"loginfmt", alice}, {"passwd", ""}}, "Enter password 50126"},
		{"wrong, then right", nil, steps{{"loginfmt", alice}, {"passwd", "x"}, password}, "code"},
		{"another account", nil, steps{{"loginfmt", alice}, {"another", "1"}, {"loginfmt", bob}, password}, "code"},
		{"cancel", nil, steps{{"cancel", "1"}}, "access_denied 65004"},
		{"cancel at the password", nil, steps{{"loginfmt", alice}, {"cancel", "1"}}, "access_denied 65004"},
		{"a stranger", nil, steps{{"loginfmt", carol}, password}, "You can’t get in 50020"},
		{"a stranger goes back", nil, steps{{"loginfmt", carol}, password, {"cancel", "1"}}, "access_denied 50020"},
		{"a stranger is somebody else", nil, steps{{"loginfmt", carol}, password, {"another", "1"}, {"emulator_user", alice}}, "code"},
		{"disabled", nil, steps{{"loginfmt", disabled}, password}, "You can’t get in 50057"},
		{"disabled, wrong password", nil, steps{{"loginfmt", disabled}, {"passwd", "x"}}, "Enter password 50126"},
		{"disabled goes back", nil, steps{{"emulator_user", disabled}, {"cancel", "1"}}, "access_denied 50057"},
		{"blocked", nil, steps{{"loginfmt", blocked}, password}, "You can’t get in 53003"},
		{"blocked goes back", nil, steps{{"emulator_user", blocked}, {"cancel", "1"}}, "access_denied 53003"},
		{"not assigned", []string{"redirect_uri", "http://localhost:3000/auth/callback"}, steps{{"emulator_user", bob}}, "You can’t get in 50105"},
		{"not assigned goes back", []string{"redirect_uri", "http://localhost:3000/auth/callback"}, steps{{"emulator_user", bob}, {"cancel", "1"}}, "access_denied 50105"},
		{"assigned", []string{"redirect_uri", "http://localhost:3000/auth/callback"}, steps{{"emulator_user", alice}}, "code"},

		{"expired", nil, steps{{"loginfmt", expired}, password}, "Set a new password"},
		{"expired, one press", nil, steps{{"emulator_user", expired}}, "Set a new password"},
		{"renewed, wrong", nil, steps{{"emulator_user", expired}, {"currentPassword", "x", "newPassword", "n", "confirmNewPassword", "n"}}, "Set a new password 50126"},
		{"renewed, the same", nil, steps{{"emulator_user", expired}, {"currentPassword", "password", "newPassword", "password", "confirmNewPassword", "password"}}, "Set a new password"},
		{"renewed, empty", nil, steps{{"emulator_user", expired}, {"currentPassword", "password", "newPassword", "", "confirmNewPassword", ""}}, "Set a new password"},
		{"renewed, a typo", nil, steps{{"emulator_user", expired}, {"currentPassword", "password", "newPassword", "n", "confirmNewPassword", "m"}}, "Set a new password"},
		{"renewed", nil, steps{{"loginfmt", expired}, password, {"currentPassword", "password", "newPassword", "n", "confirmNewPassword", "n"}}, "code"},
		{"not renewed", nil, steps{{"emulator_user", expired}, {"cancel", "1"}}, "access_denied 65004"},

		{"second factor", nil, steps{{"loginfmt", mfa}, password}, "Enter the code"},
		{"second factor, one press", nil, steps{{"emulator_user", mfa}}, "Enter the code"},
		{"second factor, wrong", nil, steps{{"emulator_user", mfa}, {"otc", "12345"}}, "Enter the code 500121"},
		{"second factor, letters", nil, steps{{"emulator_user", mfa}, {"otc", "12345x"}}, "Enter the code 500121"},
		{"second factor, right", nil, steps{{"emulator_user", mfa}, {"otc", "12345"}, {"otc", "123 456"}}, "code"},
		{"second factor, cancelled", nil, steps{{"emulator_user", mfa}, {"cancel", "1"}}, "access_denied 65004"},

		{"consent", consentApp(), steps{{"emulator_user", alice}}, "Permissions requested"},
		{"accepted", consentApp(), steps{{"loginfmt", alice}, password, {}}, "code"},
		{"declined", consentApp(), steps{{"emulator_user", alice}, {"cancel", "1"}}, "access_denied 65004"},
		{"consent for nothing but a name", consentApp("scope", "openid"), steps{{"emulator_user", alice}}, "Permissions requested"},
		{"admin approval", consentApp("scope", approver), steps{{"emulator_user", alice}}, "Need admin approval 90094"},
		{"admin approval for all", consentApp("scope", "api://orders/.default"), steps{{"emulator_user", alice}}, "Need admin approval 90094"},
		{"no admin approval", consentApp("scope", approver), steps{{"emulator_user", alice}, {"cancel", "1"}}, "access_denied 90094"},
		{"an administrator comes", consentApp("scope", approver), steps{{"emulator_user", alice}, {"another", "1"}, {"emulator_user", bob}}, "Permissions requested"},
		{"an administrator agrees", consentApp("scope", approver), steps{{"emulator_user", bob}, {"consentForOrganization", "1"}}, "code"},
		{"approval without an answer", consentApp("scope", approver), steps{{"emulator_user", alice}, {}}, "Need admin approval 90094"},
		{"nothing to consent to", []string{"scope", approver}, steps{{"emulator_user", alice}}, "code"},
		{"prompt=consent", []string{"prompt", "consent"}, steps{{"emulator_user", alice}}, "Permissions requested"},
		{"prompt=consent, accepted", []string{"prompt", "consent"}, steps{{"emulator_user", alice}, {}}, "code"},
		{"prompt=consent for an administrator's", []string{"prompt", "consent", "scope", approver}, steps{{"emulator_user", alice}}, "Need admin approval 90094"},

		{"login and consent", []string{"prompt", "login consent"}, steps{{"loginfmt", alice}, password}, "Permissions requested"},

		{"hint", []string{"login_hint", alice}, nil, "Enter password"},
		{"hint of nobody", []string{"login_hint", "nobody@contoso.example"}, nil, "Sign in"},
		{"hint and select_account", []string{"login_hint", alice, "prompt", "select_account"}, nil, "Sign in"},
		{"hint and login", []string{"login_hint", alice, "prompt", "login"}, steps{password}, "code"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, directoryWith(func(d *entratest.Directory) {
				if slices.Contains(test.query, "http://localhost:3000/auth/callback") {
					d.Apps[0].Assigned = []string{"ALICE@contoso.example"}
				}
			}))
			w := f.walker().open(test.query...)
			for _, step := range test.steps {
				w.submit(step...)
			}
			w.want(test.want)
			// The log knows the number that the page, or the app, was told.
			logged := f.Requests()[len(f.Requests())-1].AADSTS
			if _, number, _ := strings.Cut(test.want, " "); number != "" && strings.ContainsAny(number, "0123456789") {
				number = number[strings.LastIndex(number, " ")+1:]
				if strconv.Itoa(logged) != number {
					t.Errorf("the log has %d", logged)
				}
			} else if logged != 0 {
				t.Errorf("the log has %d", logged)
			}
		})
	}
}

// A new password stays.
func TestRenewedPassword(t *testing.T) {
	f := start(t, nil)
	f.walker().open().submit("emulator_user", expired).
		submit("currentPassword", "password", "newPassword", "fresh", "confirmNewPassword", "fresh").want("code")
	f.walker().open("login_hint", expired).submit("passwd", "password").want("Enter password 50126")
	f.walker().open("login_hint", expired).submit("passwd", "fresh").want("code")
	f.signIn(expired)
}

// What the second factor proved is in the session, the grant, and version 1 access tokens.
func TestSecondFactor(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open().submit("loginfmt", mfa).submit("passwd", "password").submit("otc", "000000")
	first := f.mustToken(codeForm(w.code()))
	second := f.mustToken(refreshForm(f.mustToken(codeForm(w.open("prompt", "none").code())).RefreshToken))
	plain := f.mustToken(codeForm(f.walker().open("login_hint", alice).submit("passwd", "password").code()))
	named := f.mustToken(codeForm(f.signIn(mfa)))
	for name, test := range map[string]struct {
		token string
		want  []any
	}{
		"page":     {first.AccessToken, []any{"pwd", "mfa"}},
		"session":  {second.AccessToken, []any{"pwd", "mfa"}},
		"password": {plain.AccessToken, []any{"pwd"}},
		"by name":  {named.AccessToken, []any{"pwd", "mfa"}},
	} {
		if amr := claimsOf(t, test.token)["amr"]; !slices.Equal(amr.([]any), test.want) {
			t.Errorf("%s: amr %v", name, amr)
		}
	}
	if amr := claimsOf(t, first.IDToken)["amr"]; amr != nil {
		t.Errorf("a version 2 ID token has amr %v", amr)
	}
}

// A session from before the second factor was required is stepped up by the code alone.
func TestStepUp(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open().submit("emulator_user", alice).want("code")
	d := entratest.DefaultDirectory()
	d.Users[0].MFARequired = true
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	w.open("prompt", "none").want("interaction_required 50076")
	w.open().want("Enter the code").submit("otc", "123456").want("code")
	w.open("prompt", "none").want("code")
}

func TestSignInFrequency(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open().submit("emulator_user", frequent).want("code")
	f.Advance(time.Hour - 2*time.Second)
	w.open("prompt", "none").want("code")
	f.Advance(2 * time.Second)
	w.open("prompt", "none").want("interaction_required 70044")
	w.open().want("Enter password")
	if !strings.Contains(w.page, "AADSTS70044") {
		t.Error("the page does not say why")
	}
	w.submit("passwd", "password").want("code")
	w.open("prompt", "none").want("code")
}

func TestSilently(t *testing.T) {
	d := entratest.DefaultDirectory()
	f := start(t, &entratest.Options{Directory: d})
	as := func(username string) *walker { return f.walker().open("prompt", "none", "emulator_user", username) }
	as(alice).want("code")
	as(mfa).want("code")
	as(blocked).want("access_denied 53003")
	as(disabled).want("interaction_required 50057")
	as(expired).want("interaction_required 50055")
	as(carol).want("interaction_required 50020")
	f.walker().open("prompt", "none").want("login_required 50058")
	d.Apps[0].Assigned = []string{bob}
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	as(alice).want("access_denied 50105")
	as(bob).want("code")
}

// emulator_user does what a user would do at the pages, and is refused what no user could do there.
func TestByName(t *testing.T) {
	f := start(t, directoryWith(func(d *entratest.Directory) {
		d.Apps[3].Assigned = []string{alice, bob, mfa, expired, blocked, disabled, carol}
	}))
	for _, test := range []struct{ user, scope, want string }{
		{alice, graph, "code"}, {mfa, graph, "code"},
		{blocked, graph, "Sign-in failed 53003"}, {disabled, graph, "Sign-in failed 50057"},
		{expired, graph, "Sign-in failed 50055"}, {carol, graph, "Sign-in failed 50020"},
		{frequent, graph, "Sign-in failed 50105"}, {"nobody", graph, "Sign-in failed 50034"},
		{alice, approver, "Sign-in failed 90094"}, {bob, approver, "code"},
	} {
		w := f.in(t).walker().open(consentApp("emulator_user", test.user, "scope", test.scope)...).want(test.want)
		if w.target == nil && !strings.Contains(w.page, "<code>emulator_user</code> names <strong>"+test.user) {
			t.Errorf("%s: the page does not say who signs in", test.user)
		}
		if r := f.Requests(); r[len(r)-1].EmulatorUser != test.user {
			t.Errorf("%s: the log does not say who signs in", test.user)
		}
	}
	f.mustToken(with(codeForm(f.signIn(alice, consentApp()...)), "client_id", directory.App("consent").ClientID,
		"client_secret", directory.App("consent").Secrets[0]))
	w := f.walker().open("emulator_user", alice, "response_mode", "form_post")
	if !strings.Contains(w.page, "<code>emulator_user</code>") {
		t.Error("the form_post page does not say who signs in")
	}
}

func TestDomainHint(t *testing.T) {
	f := start(t, directoryWith(func(d *entratest.Directory) { d.Users[0].Guests = nil }))
	for _, test := range []struct {
		tenant, hint    string
		listed, missing []string
	}{
		{"common", "", []string{alice, carol, personal}, nil},
		{"common", "organizations", []string{alice, carol}, []string{personal}},
		{"common", "consumers", []string{personal}, []string{alice, carol}},
		{"common", "Fabrikam.example", []string{carol}, []string{alice, personal}},
		{"common", "nowhere.example", []string{alice, carol, personal}, nil},
		{"organizations", "", []string{alice, carol}, []string{personal}},
		{"consumers", "", []string{personal}, []string{alice, carol}},
		{contoso, "", []string{alice, bob}, []string{carol, personal}},
	} {
		w := f.at(test.tenant).walker().open("domain_hint", test.hint)
		for _, name := range test.listed {
			if !strings.Contains(w.page, name) {
				t.Errorf("%s, %q: no %s", test.tenant, test.hint, name)
			}
		}
		for _, name := range test.missing {
			if strings.Contains(w.page, name) {
				t.Errorf("%s, %q: %s is there", test.tenant, test.hint, name)
			}
		}
	}
	f.at("common").walker().open("domain_hint", "consumers").submit("loginfmt", alice).submit("passwd", "password").want("code")
	f.at("organizations").walker().open("login_hint", personal).submit("passwd", "password").want("You can’t get in 50020")
	f.at("consumers").walker().open().submit("emulator_user", personal).want("code")
}

// An app that is disabled hears nothing, and neither does anybody else.
func TestDisabledApp(t *testing.T) {
	f := start(t, directoryWith(func(d *entratest.Directory) { d.Apps[0].Disabled = true }))
	for _, pairs := range [][]string{nil, {"prompt", "none"}, {"emulator_user", alice}} {
		f.walker().open(pairs...).want("Sign-in failed 7000112")
	}
}

// A claims challenge is met by a new sign-in with its claims, which a session of before is not.
func TestChallengeAtThePages(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open().submit("emulator_user", alice).want("code")
	f.RequireClaims(alice, "https://storage.azure.com", step)
	w.open("scope", storage, "prompt", "none").want("interaction_required 50076")
	w.open("scope", storage, "claims", step).want("Enter password")
	code := w.submit("passwd", "password").code()
	f.mustToken(codeForm(code))
	w.open("scope", storage, "prompt", "none").want("code")
}

// OpenID Connect Core section 3.1.2.1: the request may be a form, which a page's answer is not.
func TestPostedRequest(t *testing.T) {
	f := start(t, nil)
	w := f.walker()
	w.address = f.URL() + "/" + contoso + "/oauth2/v2.0/authorize"
	w.post(authorizeQuery("emulator_user", alice))
	if w.status != http.StatusSeeOther {
		t.Fatalf("%d", w.status)
	}
	w.visit(must(url.Parse(w.address)).ResolveReference(w.target).String()).want("code")
	w.address = f.URL() + "/" + contoso + "/oauth2/v2.0/authorize"
	w.post(authorizeQuery("redirect_uri", "https://evil.example/"))
	w.visit(must(url.Parse(w.address)).ResolveReference(w.target).String()).want("Sign-in failed 50011")
}
