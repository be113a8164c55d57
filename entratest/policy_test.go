package entratest_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

const (
	cp1  = `{"access_token":{"xms_cc":{"values":["CP1"]}}}`
	step = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	both = `{"access_token":{"acrs":{"value":"c1","essential":true},"xms_cc":{"values":["cp1"]}}}`
)

func TestRequireClaims(t *testing.T) {
	f := start(t, nil)
	refresh := f.mustToken(codeForm(f.signIn(alice))).RefreshToken
	f.RequireClaims(alice, "https://storage.azure.com", step)

	a := f.mustRefuse(refreshForm(refresh, "scope", storage), "invalid_grant", 50076)
	if a.Suberror != "basic_action" || a.Claims != step {
		t.Errorf("%+v", a)
	}
	f.mustRefuse(refreshForm(refresh, "scope", storage, "claims", step), "invalid_grant", 50076) // asking is not proving
	f.mustToken(refreshForm(refresh, "scope", arm))
	f.mustToken(codeForm(f.signIn(bob, "scope", storage)))
	f.mustRefuse(codeForm(f.signIn(alice, "scope", storage)), "invalid_grant", 50076)

	stepped := f.mustToken(codeForm(f.signIn(alice, "scope", "offline_access "+storage, "claims", both)))
	if acrs := claimsOf(t, stepped.AccessToken)["acrs"]; !slices.Equal(acrs.([]any), []any{"c1"}) {
		t.Errorf("acrs %v", acrs)
	}
	f.mustToken(refreshForm(stepped.RefreshToken, "scope", storage))
	f.mustRefuse(refreshForm(refresh, "scope", storage), "invalid_grant", 50076) // another sign-in

	f.RequireClaims(alice, "https://storage.azure.com", "")
	f.mustToken(refreshForm(refresh, "scope", storage))
	f.RequireClaims("alice", "", step)
	f.mustRefuse(refreshForm(refresh, "scope", arm), "invalid_grant", 50076)
	u, err := f.Authorize(t.Context(), f.authorizeURL("prompt", "none", "scope", arm), alice)
	if err != nil || u.Query().Get("error") != "interaction_required" {
		t.Errorf("%v %v", u, err)
	}
}

func TestConsent(t *testing.T) {
	f := start(t, nil)
	refresh := f.mustToken(codeForm(f.signIn(alice))).RefreshToken
	mail := refreshForm(refresh, "scope", "mail.read")
	f.mustToken(mail)
	f.WithdrawConsent(alice, web.ClientID, "https://graph.microsoft.com/Mail.Read")
	if a := f.mustRefuse(mail, "invalid_grant", 65001); a.Suberror != "consent_required" {
		t.Errorf("%+v", a)
	}
	f.mustToken(refreshForm(refresh, "scope", "User.Read"))
	f.mustToken(refreshForm(f.mustToken(codeForm(f.signIn(bob))).RefreshToken, "scope", "Mail.Read"))
	f.signIn(alice, "scope", "Mail.Read", "prompt", "consent") // the user agrees
	f.mustToken(mail)
	f.WithdrawConsent(alice, "web", storage)
	f.mustRefuse(refreshForm(refresh, "scope", "https://storage.azure.com/user_impersonation"), "invalid_grant", 65001)
	f.Consent(alice, "web", storage)
	f.mustToken(refreshForm(refresh, "scope", storage))
}

func TestTyposInTestsPanic(t *testing.T) {
	f := start(t, nil)
	for name, call := range map[string]func(){
		"user":       func() { f.RequireClaims("nobody", "", step) },
		"resource":   func() { f.RequireClaims(alice, "https://nowhere.example", step) },
		"claims":     func() { f.RequireClaims(alice, "", "{") },
		"app":        func() { f.Consent(alice, "nothing", "User.Read") },
		"scope":      func() { f.WithdrawConsent(alice, "web", "openid") },
		"revocation": func() { f.RevokeAccessTokens("nobody") },
		"status":     func() { f.Inject(entratest.Fault{Status: 100}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
	if f.RevokeSessions("nobody") == nil {
		t.Error("nobody's sessions were revoked")
	}
}

func TestCAE(t *testing.T) {
	f := start(t, nil)
	first := f.mustToken(codeForm(f.signIn(alice), "claims", cp1))
	if first.ExpiresIn != 28*3600 {
		t.Errorf("expires_in %d", first.ExpiresIn)
	}
	plain := f.mustToken(refreshForm(first.RefreshToken))
	claims := claimsOf(t, first.AccessToken)
	if !slices.Equal(claims["xms_cc"].([]any), []any{"CP1"}) || claims["xms_ssm"] != "1" || claimsOf(t, plain.AccessToken)["xms_cc"] != nil {
		t.Errorf("%v", claims)
	}
	f.RevokeAccessTokens(alice)
	_, err := f.VerifyAccessToken(first.AccessToken)
	var revoked *entratest.RevokedError
	if !errors.As(err, &revoked) || !strings.Contains(revoked.Claims, `"nbf"`) || !json.Valid([]byte(revoked.Claims)) ||
		!strings.Contains(err.Error(), revoked.Claims) {
		t.Fatalf("%v", err)
	}
	if _, err := f.VerifyAccessToken(plain.AccessToken); err != nil {
		t.Errorf("a client that cannot be told: %v", err)
	}
	again := f.mustToken(refreshForm(first.RefreshToken, "claims",
		`{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["cp1"]}}}`))
	if _, err := f.VerifyAccessToken(again.AccessToken); err != nil {
		t.Error(err)
	}
	if err := f.RevokeSessions(alice); err != nil {
		t.Fatal(err)
	}
	f.mustRefuse(refreshForm(first.RefreshToken), "invalid_grant", 50173)
	f.mustRefuse(refreshForm(again.RefreshToken), "invalid_grant", 50173)
	if _, err := f.VerifyAccessToken(again.AccessToken); !errors.As(err, &revoked) {
		t.Errorf("after RevokeSessions: %v", err)
	}
	f.mustToken(refreshForm(f.mustToken(codeForm(f.signIn(alice))).RefreshToken))
}

func TestCAELifetimeIsAnOption(t *testing.T) {
	f := start(t, &entratest.Options{AccessTokenLifetime: time.Minute})
	if a := f.mustToken(codeForm(f.signIn(alice), "claims", cp1)); a.ExpiresIn != 60 {
		t.Errorf("expires_in %d", a.ExpiresIn)
	}
}

func TestVerifyAccessToken(t *testing.T) {
	f, other := start(t, nil), start(t, nil)
	token := f.mustToken(codeForm(f.signIn(alice))).AccessToken
	if _, err := other.VerifyAccessToken(token); err == nil {
		t.Error("another emulator took the token")
	}
	for _, bad := range []string{"", "a.b.c", token + "x", token[:len(token)-8] + "AAAAAAAA"} {
		if _, err := f.VerifyAccessToken(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
	f.RotateKeys()
	if _, err := f.VerifyAccessToken(token); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	f.Advance(time.Hour - 2*time.Second)
	if _, err := f.VerifyAccessToken(token); err != nil {
		t.Error(err)
	}
	f.Advance(2 * time.Second)
	if _, err := f.VerifyAccessToken(token); err == nil {
		t.Error("an expired token passed")
	}
	f.Advance(-3 * time.Hour)
	if _, err := f.VerifyAccessToken(token); err == nil {
		t.Error("a token from the future passed")
	}
}
