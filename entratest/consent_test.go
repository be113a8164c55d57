package entratest_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

func TestConsentIsRemembered(t *testing.T) {
	f := start(t, nil)
	secret := directory.App("consent").Secrets[0]
	form := func(v url.Values, scope string) url.Values {
		return with(v, "client_id", directory.App("consent").ClientID, "client_secret", secret, "scope", scope)
	}
	w := f.walker().open(consentApp("scope", "openid offline_access api://orders/Orders.Read")...)
	w.submit("emulator_user", alice).want("Permissions requested")
	for _, words := range []string{"Read your orders", "api://orders/Orders.Read", "Keep access while you are away", "Sign you in"} {
		if !strings.Contains(w.page, words) {
			t.Errorf("the page has no %q", words)
		}
	}
	a := f.mustToken(form(codeForm(w.submit().code()), ""))
	f.mustToken(form(refreshForm(a.RefreshToken), "api://orders/Orders.Read"))
	f.mustRefuse(form(refreshForm(a.RefreshToken), "api://orders/Orders.Write"), "invalid_grant", 65001)

	// Only what is new is asked.
	w.open(consentApp("scope", "openid api://orders/Orders.Read", "prompt", "none")...).want("code")
	w.open(consentApp("scope", "openid api://orders/Orders.Write", "prompt", "none")...).want("interaction_required 65001")
	if w.target.Query().Get("suberror") != "consent_required" {
		t.Errorf("%s", w.target)
	}
	w.open(consentApp("scope", "openid api://orders/Orders.Read api://orders/Orders.Write")...).want("Permissions requested")
	if strings.Contains(w.page, "Orders.Read<") || strings.Contains(w.page, "Sign you in") || !strings.Contains(w.page, "Orders.Write<") {
		t.Errorf("not what is new:\n%s", w.page)
	}
	w.submit().want("code")
	f.mustToken(form(refreshForm(a.RefreshToken), "api://orders/Orders.Write"))

	// Others are asked for themselves, and what is taken back is asked again.
	f.walker().open(consentApp()...).submit("emulator_user", bob).want("Permissions requested")
	f.WithdrawConsent(alice, "consent", "api://orders/Orders.Read")
	f.mustRefuse(form(refreshForm(a.RefreshToken), "api://orders/Orders.Read"), "invalid_grant", 65001)
	w.open(consentApp("scope", "openid api://orders/Orders.Read")...).want("Permissions requested")
	f.Consent(alice, "consent", "api://orders/Orders.Read")
	w.open(consentApp("scope", "openid api://orders/Orders.Read")...).want("code")

	// A user's no to one request is no yes to the next.
	declined := f.walker().open(consentApp("scope", "Mail.Read")...).submit("emulator_user", alice).submit("cancel", "1")
	declined.want("access_denied 65004")
	declined.open(consentApp("scope", "Mail.Read")...).want("Permissions requested")
}

func TestConsentForOrganization(t *testing.T) {
	f := start(t, nil)
	all := consentApp("scope", "openid "+approver)
	w := f.walker().open(all...).submit("emulator_user", alice).want("Need admin approval 90094")
	if strings.Contains(w.page, "consentForOrganization") {
		t.Error("a user is offered an administrator's consent")
	}
	// A user cannot send what the page does not offer.
	sneak := f.walker().open(consentApp()...).submit("emulator_user", alice).want("Permissions requested")
	sneak.post(with(sneak.form(), "consentForOrganization", "1")).want("code")
	f.walker().open(consentApp()...).submit("emulator_user", frequent).want("Permissions requested")

	// An administrator's own yes is theirs alone.
	f.walker().open(all...).submit("emulator_user", bob).submit().want("code")
	w.open(all...).want("Need admin approval 90094")
	f.walker().open(append(all, "prompt", "consent")...).submit("emulator_user", bob).submit("consentForOrganization", "1").want("code")
	w.open(all...).want("code")
	f.signIn(frequent, all...)

	// An administrator's yes covers those, too, whose own was taken back.
	f.WithdrawConsent(alice, "consent", approver)
	w.open(all...).want("Need admin approval 90094")
	f.walker().open(append(all, "prompt", "consent")...).submit("emulator_user", bob).submit("consentForOrganization", "1").want("code")
	w.open(all...).want("code")
}

// An administrator who is none any more by the time they press Accept.
func TestAdministratorNoMore(t *testing.T) {
	f := start(t, nil)
	w := f.walker().open(consentApp("scope", approver)...).submit("emulator_user", bob).want("Permissions requested")
	d := entratest.DefaultDirectory()
	d.Users[1].Admin = false
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	w.submit("consentForOrganization", "1").want("Need admin approval 90094")
}
