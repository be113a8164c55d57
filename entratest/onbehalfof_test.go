package entratest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

var api = directory.App("api")

func oboForm(assertion string, pairs ...string) url.Values {
	return with(url.Values{
		"grant_type":          {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
		"client_id":           {api.ClientID},
		"client_secret":       {"api-secret"},
		"assertion":           {assertion},
		"requested_token_use": {"on_behalf_of"},
		"scope":               {"https://graph.microsoft.com/User.Read"},
	}, pairs...)
}

// ordersToken is a token alice's app calls the API with.
func (f *fixture) ordersToken(username string, pairs ...string) string {
	f.t.Helper()
	return f.mustToken(codeForm(f.signIn(username, append([]string{"scope", orders}, pairs...)...))).AccessToken
}

func TestOnBehalfOf(t *testing.T) {
	f := start(t, nil)
	assertion := f.ordersToken(alice)
	a := f.mustToken(oboForm(assertion, "client_info", "1"))
	if a.RefreshToken != "" || a.IDToken != "" || a.ClientInfo == "" || a.Scope != "https://graph.microsoft.com/User.Read" || a.ExpiresIn != 3600 {
		t.Errorf("%+v", a)
	}
	got, err := f.VerifyAccessToken(a.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	before := claimsOf(t, assertion)
	for name, want := range map[string]any{
		"aud": "https://graph.microsoft.com", "appid": api.ClientID, "appidacr": "1", "oid": before["oid"],
		"tid": contoso, "sid": before["sid"], "scp": "User.Read", "upn": alice,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if got["aio"] != nil {
		t.Error("only tokens for an app of the directory can be exchanged")
	}

	with := f.mustToken(oboForm(assertion, "scope", "openid profile offline_access "+storage, "client_info", "1"))
	if id := claimsOf(t, with.IDToken); with.RefreshToken == "" || id["aud"] != api.ClientID || id["auth_time"] == nil {
		t.Errorf("%+v", with)
	}
	refresh := refreshForm(with.RefreshToken, "client_id", api.ClientID, "client_secret", "api-secret", "scope", arm)
	if c := claimsOf(t, f.mustToken(refresh).AccessToken); c["appid"] != api.ClientID || c["oid"] != before["oid"] {
		t.Errorf("refreshed: %v", c)
	}
	f.mustRefuse(refreshForm(with.RefreshToken), "invalid_grant", 70000) // it is the API's, not the web app's

	// The API may call itself, and the answer is good for another exchange.
	own := f.mustToken(oboForm(assertion, "scope", "api://orders/Orders.Write")).AccessToken
	f.mustToken(oboForm(own))
	f.at("contoso.example").mustToken(oboForm(assertion))
}

// A version 1 token names its audience as the client wrote it.
func TestOnBehalfOfVersion1(t *testing.T) {
	d := entratest.DefaultDirectory()
	for i := range d.Resources {
		if d.Resources[i].ID == "api://orders" {
			d.Resources[i].TokenVersion = 1
		}
	}
	f := start(t, &entratest.Options{Directory: d})
	for _, scope := range []string{orders, api.ClientID + "/Orders.Read", "api://orders//.default"} {
		f.mustToken(oboForm(f.ordersToken(alice, "scope", scope)))
	}
}

func TestOnBehalfOfAGuest(t *testing.T) {
	d := entratest.DefaultDirectory()
	for i := range d.Apps {
		d.Apps[i].MultiTenant = true
	}
	f := start(t, &entratest.Options{Directory: d})
	assertion := f.at(fabrikam).ordersToken(alice)
	for _, tenant := range []string{fabrikam, "organizations"} {
		if c := claimsOf(t, f.at(tenant).mustToken(oboForm(assertion)).AccessToken); c["tid"] != fabrikam || c["oid"] != claimsOf(t, assertion)["oid"] {
			t.Errorf("%s: %v", tenant, c)
		}
	}
	f.mustRefuse(oboForm(assertion), "invalid_grant", 50013) // of another tenant
}

func TestOnBehalfOfRefused(t *testing.T) {
	f := start(t, nil)
	good := f.ordersToken(alice)
	tests := []struct {
		name   string
		change []string
		code   string
		number int
	}{
		{"no assertion", []string{"assertion", ""}, "invalid_request", 900144},
		{"no use", []string{"requested_token_use", ""}, "invalid_request", 900144},
		{"another use", []string{"requested_token_use", "logon_cert"}, "invalid_request", 90023},
		{"SAML", []string{"requested_token_type", "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request", 90023},
		{"no scope", []string{"scope", ""}, "invalid_request", 900144},
		{"two resources", []string{"scope", storage + " " + arm}, "invalid_scope", 28000},
		{"public app", []string{"client_id", native.ClientID, "client_secret", ""}, "invalid_client", 7000218},
		{"another app", []string{"client_id", web.ClientID, "client_secret", "plain-secret"}, "invalid_grant", 500131},
		{"not a JWT", []string{"assertion", "x"}, "invalid_request", 50027},
		{"unknown key", []string{"assertion", start(t, nil).ordersToken(alice)}, "invalid_grant", 50013},
		{"another signature", []string{"assertion", good[:len(good)-8] + "AAAAAAAA"}, "invalid_grant", 50013},
		{"Graph's token", []string{"assertion", f.mustToken(codeForm(f.signIn(alice))).AccessToken}, "invalid_grant", 500131},
		{"an ID token", []string{"assertion", f.mustToken(codeForm(f.signIn(alice))).IDToken}, "invalid_grant", 50013},
		{"an app's token", []string{"assertion", f.mustToken(appForm("api://orders/.default")).AccessToken}, "unauthorized_client", 7000114},
		{"claims", []string{"claims", "[]"}, "invalid_request", 90023},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f.in(t).mustRefuse(oboForm(good, test.change...), test.code, test.number)
		})
	}
	f.WithdrawConsent(alice, "api", "User.Read")
	if a := f.mustRefuse(oboForm(good), "invalid_grant", 65001); a.Suberror != "consent_required" {
		t.Errorf("%+v", a)
	}
	f.Consent(alice, "api", "User.Read")
	f.Advance(time.Hour)
	f.mustRefuse(oboForm(good), "invalid_grant", 500133)
	f.Advance(-2 * time.Hour)
	f.mustRefuse(oboForm(good), "invalid_grant", 500133)
	f.Advance(time.Hour)
	if err := f.RevokeSessions(alice); err != nil {
		t.Fatal(err)
	}
	f.mustRefuse(oboForm(good), "invalid_grant", 50173)
	if err := f.SetDisabled(alice, true); err != nil {
		t.Fatal(err)
	}
	f.mustRefuse(oboForm(good), "invalid_grant", 50057)
}

// The API cannot ask the user: it passes the claims on to its caller, who signs the user in again with them.
func TestOnBehalfOfClaimsChallenge(t *testing.T) {
	f := start(t, nil)
	assertion := f.ordersToken(alice)
	f.RequireClaims(alice, "https://graph.microsoft.com", step)
	a := f.mustRefuse(oboForm(assertion), "interaction_required", 50076)
	if a.Claims != step || a.Suberror != "basic_action" {
		t.Errorf("%+v", a)
	}
	f.mustRefuse(oboForm(assertion, "claims", step), "interaction_required", 50076) // asking is not proving
	stepped := f.mustToken(oboForm(f.ordersToken(alice, "claims", a.Claims), "claims", cp1))
	c := claimsOf(t, stepped.AccessToken)
	if !slices.Equal(c["acrs"].([]any), []any{"c1"}) || c["xms_cc"] == nil || stepped.ExpiresIn != 28*3600 {
		t.Errorf("%v", c)
	}
}

// The exchange is as old as the sign-in it began with, and is blocked as a refresh would be.
func TestOnBehalfOfPolicies(t *testing.T) {
	f := start(t, &entratest.Options{AccessTokenLifetime: 3 * time.Hour})
	assertion := f.ordersToken("frequent@contoso.example")
	f.Advance(30 * time.Minute)
	again := f.mustToken(oboForm(assertion, "scope", orders)).AccessToken
	f.Advance(30 * time.Minute)
	for _, token := range []string{assertion, again} {
		if a := f.mustRefuse(oboForm(token), "invalid_grant", 70043); a.Suberror != "token_expired" {
			t.Errorf("%+v", a)
		}
	}
	good := f.ordersToken(alice)
	f.change(func(d *entratest.Directory) { d.Users[0].Blocked = true })
	f.mustRefuse(oboForm(good), "invalid_grant", 53003)
}

// What became an app only after the token was issued cannot have been called with it as one.
func TestOnBehalfOfALaterApp(t *testing.T) {
	d := entratest.DefaultDirectory()
	all := d.Apps
	d.Apps = slices.DeleteFunc(slices.Clone(all), func(a entratest.App) bool { return a.Name == "api" })
	f := start(t, &entratest.Options{Directory: d})
	assertion := f.ordersToken(alice)
	d.Apps = all
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	f.mustRefuse(oboForm(assertion), "invalid_grant", 50013)
	if a := f.token(oboForm(f.ordersToken(alice))); a.Status != http.StatusOK || strings.Contains(a.AccessToken, " ") {
		t.Errorf("%+v", a)
	}
}
