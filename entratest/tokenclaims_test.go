package entratest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

func TestGroupsRolesAndLoginHint(t *testing.T) {
	f := start(t, nil)
	user := directory.User("bob")
	for _, scope := range []string{graph, "openid profile " + orders} { // version 1 and 2
		a := f.mustToken(codeForm(f.signIn(bob, "scope", scope)))
		for _, token := range []string{a.AccessToken, a.IDToken} {
			c := claimsOf(t, token)
			if !reflect.DeepEqual(c["groups"], []any{user.Groups[0]}) || !reflect.DeepEqual(c["roles"], []any{user.Roles[0]}) {
				t.Errorf("groups %v, roles %v", c["groups"], c["roles"])
			}
		}
		hint, err := base64.RawURLEncoding.DecodeString(claimsOf(t, a.IDToken)["login_hint"].(string))
		if err != nil || string(hint) != user.ObjectID+" "+bob {
			t.Errorf("login_hint %q %v", hint, err)
		}
	}
	a := f.mustToken(codeForm(f.signIn(alice, "scope", "openid")))
	if c := claimsOf(t, a.IDToken); c["groups"] != nil || c["roles"] != nil || c["login_hint"] != nil {
		t.Errorf("of a user without any, and without profile: %v", c)
	}
}

// A refresh without a scope, of a sign-in that spanned several resources, gets a token for the first.
func TestRefreshOfSeveralResources(t *testing.T) {
	f := start(t, nil)
	refresh := f.mustToken(codeForm(f.signIn(alice, "scope", "offline_access "+storage+" "+arm), "scope", arm)).RefreshToken
	if c := claimsOf(t, f.mustToken(refreshForm(refresh)).AccessToken); c["aud"] != "https://storage.azure.com" {
		t.Errorf("aud %v", c["aud"])
	}
	f.mustRefuse(refreshForm(refresh, "scope", arm+" "+storage), "invalid_scope", 28000)
}

func TestPoliciesLetTheOthersPass(t *testing.T) {
	d := entratest.DefaultDirectory()
	d.Apps[0].Assigned = []string{strings.ToUpper(alice), "frequent@contoso.example"}
	f := start(t, &entratest.Options{Directory: d})
	f.mustToken(codeForm(f.signIn(alice)))
	frequent := f.mustToken(codeForm(f.signIn("frequent@contoso.example"))).RefreshToken
	f.Advance(time.Hour - 2*time.Second)
	frequent = f.mustToken(refreshForm(frequent)).RefreshToken
	f.Advance(2 * time.Second)
	f.mustRefuse(refreshForm(frequent), "invalid_grant", 70043) // a refresh is not a sign-in
}

func TestClockSkew(t *testing.T) {
	f := start(t, nil)
	for _, skew := range []time.Duration{time.Hour, -2 * time.Hour} {
		f.Inject(entratest.Fault{ClockSkew: skew, Times: 1})
		now := f.Now().Add(skew)
		a := f.mustToken(codeForm(f.signIn(alice)))
		for _, token := range []string{a.AccessToken, a.IDToken} {
			c := claimsOf(t, token)
			iat := time.Unix(int64(c["iat"].(float64)), 0)
			if c["nbf"] != c["iat"] || c["exp"].(float64)-c["iat"].(float64) != 3600 || iat.Sub(now).Abs() > 5*time.Second {
				t.Errorf("skew %v: iat %v at %v", skew, iat, now)
			}
		}
		if _, err := f.VerifyAccessToken(a.AccessToken); err == nil {
			t.Error("the token is good")
		}
		if log := f.Requests(); log[len(log)-1].Fault != "clock skew "+skew.String() {
			t.Errorf("log %q", log[len(log)-1].Fault)
		}
	}
}

func TestMalformedBodies(t *testing.T) {
	f := start(t, nil)
	bodies := entratest.MalformedBodies()
	if len(bodies) < 20 {
		t.Errorf("%d bodies", len(bodies))
	}
	for name, body := range bodies {
		f.Inject(entratest.Fault{Status: http.StatusOK, Body: body, Times: 1})
		response, got := f.send(f.tokenRequest(codeForm("x")))
		if response.StatusCode != http.StatusOK || string(got) != body {
			t.Errorf("%s: %d, %d bytes of %d", name, response.StatusCode, len(got), len(body))
		}
		// No reader that is strict about one thing finds a token; duplicates are what encoding/json forgives.
		var a struct {
			TokenType   string `json:"token_type"`
			AccessToken string `json:"access_token"`
			ExpiresIn   int64  `json:"expires_in"`
		}
		if json.Unmarshal(got, &a) == nil && strings.EqualFold(a.TokenType, "Bearer") && a.AccessToken != "" && a.ExpiresIn > 0 {
			switch name {
			case "access_token is twice", "huge", "invalid UTF-8":
			default:
				t.Errorf("%s is a good answer: %.100s", name, got)
			}
		}
	}
}
