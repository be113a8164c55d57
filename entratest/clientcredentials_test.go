package entratest_test

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

const graphDefault = "https://graph.microsoft.com/.default"

func appForm(scope string, pairs ...string) url.Values {
	return with(url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {web.ClientID},
		"client_secret": {"plain-secret"},
		"scope":         {scope},
	}, pairs...)
}

func TestClientCredentials(t *testing.T) {
	d := entratest.DefaultDirectory()
	d.Apps[0].Permissions = []string{
		"https://graph.microsoft.com/User.Read.All", "https://graph.microsoft.com/Mail.Send",
		"https://graph.microsoft.com/Mail.Send", "api://orders/Orders.Process.All",
	}
	f := start(t, &entratest.Options{Directory: d})
	tests := []struct {
		scope, audience, version, id, method, issuer string
		roles                                        []any
	}{
		{graphDefault, "https://graph.microsoft.com", "1.0", "appid", "appidacr", "https://sts.windows.net/" + contoso + "/", []any{"Mail.Send", "User.Read.All"}},
		{graphDefault + " openid offline_access profile", "https://graph.microsoft.com", "1.0", "appid", "appidacr", "https://sts.windows.net/" + contoso + "/", []any{"Mail.Send", "User.Read.All"}},
		{"api://orders/.default", d.Resource("api://orders").AppID, "2.0", "azp", "azpacr", f.URL() + "/" + contoso + "/v2.0", []any{"Orders.Process.All"}},
		{"https://management.azure.com//.default", "https://management.azure.com/", "1.0", "appid", "appidacr", "https://sts.windows.net/" + contoso + "/", nil},
	}
	var objectID string
	for _, test := range tests {
		t.Run(test.scope, func(t *testing.T) {
			f := f.in(t)
			a := f.mustToken(appForm(test.scope, "client_info", "1"))
			if a.TokenType != "Bearer" || a.ExpiresIn != 3600 || a.ExtExpiresIn != 3600 || a.Scope != "" || a.RefreshToken != "" || a.IDToken != "" || a.ClientInfo != "" {
				t.Errorf("answer: %+v", a)
			}
			claims, err := f.VerifyAccessToken(a.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]any{
				"aud": test.audience, "ver": test.version, test.id: web.ClientID, test.method: "1", "iss": test.issuer,
				"tid": contoso, "idtyp": "app", "sub": claims["oid"],
			} {
				if claims[name] != want {
					t.Errorf("%s is %v, want %v", name, claims[name], want)
				}
			}
			if test.roles == nil && claims["roles"] != nil || test.roles != nil && !reflect.DeepEqual(claims["roles"], any(test.roles)) {
				t.Errorf("roles %v, want %v", claims["roles"], test.roles)
			}
			for _, name := range []string{"scp", "sid", "name", "upn", "preferred_username", "acr", "amr", "xms_cc", "aio"} {
				if claims[name] != nil {
					t.Errorf("%s: %v in an app's token", name, claims[name])
				}
			}
			objectID = fmt.Sprint(claims["oid"])
		})
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(objectID) {
		t.Errorf("oid %q", objectID)
	}
	again := claimsOf(t, start(t, nil).mustToken(appForm(graphDefault)).AccessToken)
	elsewhere := claimsOf(t, f.at(fabrikam).mustToken(appForm(graphDefault)).AccessToken)
	if again["oid"] != objectID || elsewhere["oid"] == objectID || elsewhere["tid"] != fabrikam {
		t.Errorf("a service principal is one per app and tenant: %v, %v and %v", objectID, again["oid"], elsewhere["oid"])
	}
}

func TestClientCredentialsCAE(t *testing.T) {
	d := entratest.DefaultDirectory()
	f := start(t, &entratest.Options{Directory: d, RefreshIn: 12 * time.Hour})
	a := f.mustToken(appForm(graphDefault, "claims", cp1))
	if claims := claimsOf(t, a.AccessToken); a.ExpiresIn != 24*3600 || a.RefreshIn != 12*3600 || claims["xms_ssm"] != "1" {
		t.Errorf("%+v %v", a, claims)
	}
	plain := f.mustToken(appForm(graphDefault)).AccessToken
	if _, err := f.VerifyAccessToken(a.AccessToken); err != nil {
		t.Error(err)
	}
	d.Apps[0].Disabled = true
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	var revoked *entratest.RevokedError
	if _, err := f.VerifyAccessToken(a.AccessToken); !errors.As(err, &revoked) {
		t.Errorf("of a disabled app: %v", err)
	}
	if _, err := f.VerifyAccessToken(plain); err != nil {
		t.Errorf("not a CAE token: %v", err)
	}
	d.Apps = d.Apps[1:]
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	if _, err := f.VerifyAccessToken(a.AccessToken); err == nil || errors.As(err, &revoked) {
		t.Errorf("of an app that is gone: %v", err)
	}
}

func TestClientCredentialsRefused(t *testing.T) {
	tests := []struct {
		name, scope, code string
		number            int
	}{
		{"no scope", "", "invalid_request", 90014},
		{"a permission", "https://graph.microsoft.com/User.Read.All", "invalid_scope", 1002012},
		{"a short permission", "User.Read", "invalid_scope", 1002012},
		{"an unknown permission", "api://orders/Nothing", "invalid_scope", 1002012},
		{"OpenID scopes alone", "openid offline_access profile", "invalid_scope", 1002012},
		{"two resources", storage + " " + arm, "invalid_scope", 28000},
		{"unknown resource", "https://nowhere.example/.default", "invalid_resource", 500011},
	}
	f := start(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f.in(t).mustRefuse(appForm(test.scope), test.code, test.number)
		})
	}
	f.mustToken(appForm(graphDefault + " " + graphDefault))
	f.mustToken(appForm(".default"))
	f.mustRefuse(appForm(graphDefault, "claims", "{"), "invalid_request", 90023)
	f.mustRefuse(appForm(graphDefault, "client_id", native.ClientID, "client_secret", ""), "invalid_client", 7000218)
	f.at("common").mustRefuse(appForm(graphDefault), "invalid_request", 50059)
	f.at("organizations").mustRefuse(appForm(graphDefault), "invalid_request", 50059)
	f.at("consumers").mustRefuse(appForm(graphDefault), "invalid_request", 9001023)
}
