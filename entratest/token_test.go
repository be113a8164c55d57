package entratest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

func TestCodeGrant(t *testing.T) {
	f := start(t, nil)
	a := f.mustToken(codeForm(f.signIn(alice), "scope", graph))
	if a.TokenType != "Bearer" || a.ExpiresIn != 3600 || a.ExtExpiresIn != 3600 || a.RefreshIn != 0 {
		t.Errorf("answer: %+v", a)
	}
	if a.Scope != "openid profile User.Read" {
		t.Errorf("scope: %q", a.Scope)
	}
	if a.RefreshToken == "" || a.IDToken == "" {
		t.Error("no refresh or ID token")
	}
	var info struct{ UID, UTID string }
	data, err := base64.RawURLEncoding.DecodeString(a.ClientInfo)
	if err != nil || json.Unmarshal(data, &info) != nil {
		t.Fatalf("client_info %q: %v", a.ClientInfo, err)
	}
	user := directory.User("alice")
	if info.UID+"."+info.UTID != user.HomeAccountID() {
		t.Errorf("client_info %+v", info)
	}
	access, err := f.VerifyAccessToken(a.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"iss": "https://sts.windows.net/" + contoso + "/", "aud": "00000003-0000-0000-c000-000000000000", "ver": "1.0",
		"appid": web.ClientID, "appidacr": "1", "scp": "User.Read", "oid": user.ObjectID, "tid": contoso, "upn": alice,
	} {
		if access[name] != want {
			t.Errorf("access token: %s is %v, want %v", name, access[name], want)
		}
	}
	id := claimsOf(t, a.IDToken)
	for name, want := range map[string]any{
		"iss": f.URL() + "/" + contoso + "/v2.0", "aud": web.ClientID, "ver": "2.0", "nonce": "n-1", "tid": contoso,
		"oid": user.ObjectID, "preferred_username": alice, "name": user.Name, "sid": access["sid"],
	} {
		if id[name] != want {
			t.Errorf("ID token: %s is %v, want %v", name, id[name], want)
		}
	}
	for _, name := range []string{"sub", "iat", "nbf", "exp", "auth_time", "uti"} {
		if id[name] == nil {
			t.Errorf("ID token: no %s", name)
		}
	}
	if _, err := f.VerifyAccessToken(a.IDToken); err == nil {
		t.Error("an ID token passed as an access token")
	}
}

func TestTokensByResource(t *testing.T) {
	tests := []struct{ scope, granted, audience, version string }{
		{"User.Read Mail.Read", "openid profile Mail.Read User.Read", "00000003-0000-0000-c000-000000000000", "1.0"},
		{"https://graph.microsoft.com/.default", "openid profile User.Read https://graph.microsoft.com/.default", "https://graph.microsoft.com", "1.0"},
		{storage, "https://storage.azure.com/user_impersonation https://storage.azure.com/.default", "https://storage.azure.com", "1.0"},
		{"https://storage.azure.com/user_impersonation", "https://storage.azure.com/user_impersonation", "https://storage.azure.com", "1.0"},
		{"https://management.core.windows.net//.default", "https://management.core.windows.net/user_impersonation https://management.core.windows.net/.default", "https://management.core.windows.net/", "1.0"},
		{"api://orders/orders.read", "api://orders/Orders.Read", directory.Resource("api://orders").AppID, "2.0"},
		{"api://orders/.default", "api://orders/Orders.Admin api://orders/Orders.Read api://orders/Orders.Write api://orders/.default", directory.Resource("api://orders").AppID, "2.0"},
		{directory.Resource("api://orders").AppID + "/Orders.Write", "api://orders/Orders.Write", directory.Resource("api://orders").AppID, "2.0"},
		{"openid", "openid profile", "00000003-0000-0000-c000-000000000000", "1.0"},
	}
	f := start(t, nil)
	refresh := f.mustToken(codeForm(f.signIn(alice, "scope", "openid profile offline_access"))).RefreshToken
	for _, test := range tests {
		t.Run(test.scope, func(t *testing.T) {
			f := f.in(t)
			a := f.mustToken(refreshForm(refresh, "scope", test.scope))
			if a.Scope != test.granted {
				t.Errorf("scope %q, want %q", a.Scope, test.granted)
			}
			claims, err := f.VerifyAccessToken(a.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			if claims["aud"] != test.audience || claims["ver"] != test.version {
				t.Errorf("aud %v ver %v", claims["aud"], claims["ver"])
			}
			if a.RefreshToken == "" || a.IDToken == "" || a.ClientInfo == "" {
				t.Error("a refresh answers with everything the sign-in asked for")
			}
		})
	}
}

func TestWhatIsAnsweredFollowsTheScopes(t *testing.T) {
	f := start(t, &entratest.Options{RefreshIn: 90 * time.Second, AccessTokenLifetime: 2 * time.Minute})
	bare := f.mustToken(codeForm(f.signIn(alice, "scope", "User.Read"), "client_info", ""))
	if bare.IDToken != "" || bare.RefreshToken != "" || bare.ClientInfo != "" || bare.Scope != "User.Read" {
		t.Errorf("%+v", bare)
	}
	if bare.RefreshIn != 90 || bare.ExpiresIn != 120 {
		t.Errorf("refresh_in %d expires_in %d", bare.RefreshIn, bare.ExpiresIn)
	}
	id := claimsOf(t, f.mustToken(codeForm(f.signIn(alice, "scope", "openid email", "nonce", ""))).IDToken)
	if id["email"] != alice || id["oid"] != nil || id["name"] != nil || id["nonce"] != nil {
		t.Errorf("without profile: %v", id)
	}
	if later := f.mustToken(codeForm(f.signIn(alice, "scope", "User.Read"), "scope", graph)); later.IDToken == "" || later.RefreshToken == "" {
		t.Error("the token request may ask for more OpenID scopes")
	}
}

func TestTokenRequestRefused(t *testing.T) {
	type change []string
	tests := []struct {
		name   string
		change change // of a good code form
		code   string
		number int
	}{
		{"no grant type", change{"grant_type", ""}, "invalid_request", 900144},
		{"other grant type", change{"grant_type", "password"}, "unsupported_grant_type", 70003},
		{"no client", change{"client_id", ""}, "invalid_request", 900144},
		{"unknown client", change{"client_id", "11111111-2222-4333-8444-555555555555"}, "unauthorized_client", 700016},
		{"no code", change{"code", ""}, "invalid_request", 900144},
		{"malformed code", change{"code", "1.AAAA"}, "invalid_grant", 9002313},
		{"no redirect URI", change{"redirect_uri", ""}, "invalid_request", 900144},
		{"other redirect URI", change{"redirect_uri", callback + "/"}, "invalid_client", 500112},
		{"no verifier", change{"code_verifier", ""}, "invalid_grant", 501481},
		{"wrong verifier", change{"code_verifier", strings.Repeat("x", 43)}, "invalid_grant", 501481},
		{"two resources", change{"scope", storage + " " + arm}, "invalid_scope", 28000},
		{"default and a name", change{"scope", storage + " https://storage.azure.com/user_impersonation"}, "invalid_scope", 70011},
		{"unknown resource", change{"scope", "https://nowhere.example/.default"}, "invalid_resource", 500011},
		{"unknown permission", change{"scope", "api://orders/Delete"}, "invalid_scope", 70011},
		{"quote in a scope", change{"scope", `a"b`}, "invalid_scope", 70011},
		{"claims not JSON", change{"claims", "{"}, "invalid_request", 90023},
		{"claims null", change{"claims", "null"}, "invalid_request", 90023},
	}
	f := start(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			f.mustRefuse(codeForm(f.signIn(alice), test.change...), test.code, test.number)
		})
	}
}

func TestTokenRequestShape(t *testing.T) {
	f := start(t, nil)
	form := codeForm(f.signIn(alice)).Encode()
	tests := []struct {
		name, method, contentType, body string
		status                          int
		number                          int
	}{
		{"GET", http.MethodGet, "", "", 405, 900561},
		{"PUT", http.MethodPut, "application/x-www-form-urlencoded", form, 405, 900561},
		{"JSON", http.MethodPost, "application/json", `{"grant_type":"refresh_token"}`, 400, 900144},
		{"no type", http.MethodPost, "", form, 400, 900144},
		{"too big", http.MethodPost, "application/x-www-form-urlencoded", "a=" + strings.Repeat("x", 1<<20), 413, 9002313},
		{"not a form", http.MethodPost, "application/x-www-form-urlencoded", "a=%zz", 400, 9002313},
		{"duplicate", http.MethodPost, "application/x-www-form-urlencoded", form + "&scope=a&scope=a", 400, 9000411},
		{"charset", http.MethodPost, "application/x-www-form-urlencoded; charset=utf-8", form, 200, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			r, err := http.NewRequest(test.method, f.tokenURL(), strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if test.contentType != "" {
				r.Header.Set("Content-Type", test.contentType)
			}
			a := f.sendToken(r)
			if a.Status != test.status || (test.number != 0 && a.Codes[0] != test.number) {
				t.Errorf("got %d %v %s", a.Status, a.Codes, a.Description)
			}
		})
	}
}

func TestErrorAnswer(t *testing.T) {
	f := start(t, nil)
	const correlation = "0c4a3f2e-1111-4222-8333-944455566677"
	r := f.tokenRequest(codeForm("nonsense"))
	r.Header.Set("client-request-id", correlation)
	response, body := f.send(r)
	if got := response.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	if response.Header.Get("Cache-Control") == "" || response.Header.Get("client-request-id") != correlation {
		t.Errorf("headers %v", response.Header)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$`).MatchString(a.Timestamp) {
		t.Errorf("timestamp %q", a.Timestamp)
	}
	want := "AADSTS9002313: Invalid request. Request is malformed or invalid. Trace ID: " + a.TraceID +
		" Correlation ID: " + correlation + " Timestamp: " + a.Timestamp
	if a.Description != want || a.CorrelationID != correlation || a.URI != f.URL()+"/error?code=9002313" {
		t.Errorf("%+v", a)
	}
	if keys := regexp.MustCompile(`"(\w+)":`).FindAllSubmatch(body, -1); string(bytes.Join(collect(keys), []byte(" "))) !=
		"error error_description error_codes timestamp trace_id correlation_id error_uri" {
		t.Errorf("members of %s", body)
	}
	r = f.tokenRequest(codeForm("nonsense"))
	r.Header.Set("client-request-id", "not a GUID")
	if a := f.sendToken(r); a.CorrelationID == "not a GUID" || len(a.CorrelationID) != 36 {
		t.Errorf("correlation %q", a.CorrelationID)
	}
}

func collect(matches [][][]byte) (all [][]byte) {
	for _, m := range matches {
		all = append(all, m[1])
	}
	return all
}

func TestCodeOnce(t *testing.T) {
	f := start(t, nil)
	code := f.signIn(alice)
	f.mustToken(codeForm(code))
	f.mustRefuse(codeForm(code), "invalid_grant", 54005)

	t.Run("of many at once, one", func(t *testing.T) {
		form := codeForm(f.signIn(alice))
		var good, spent atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				switch a := f.token(form); {
				case a.Status == http.StatusOK:
					good.Add(1)
				case a.Codes[0] == 54005:
					spent.Add(1)
				}
			})
		}
		all.Wait()
		if good.Load() != 1 || spent.Load() != 19 {
			t.Errorf("%d good, %d spent", good.Load(), spent.Load())
		}
	})
	t.Run("a wrong verifier spends it", func(t *testing.T) {
		code := f.signIn(alice)
		f.mustRefuse(codeForm(code, "code_verifier", strings.Repeat("y", 50)), "invalid_grant", 501481)
		f.mustRefuse(codeForm(code), "invalid_grant", 54005)
	})
	t.Run("a wrong client does not", func(t *testing.T) {
		code := f.signIn(alice)
		f.mustRefuse(codeForm(code, "client_id", native.ClientID, "client_secret", ""), "invalid_grant", 70000)
		f.mustRefuse(codeForm(code, "client_secret", "wrong"), "invalid_client", 7000215)
		f.mustToken(codeForm(code))
	})
	t.Run("ten minutes", func(t *testing.T) {
		f := start(t, nil)
		young, old := f.signIn(alice), f.signIn(alice)
		f.Advance(10*time.Minute - 2*time.Second)
		f.mustToken(codeForm(young))
		f.Advance(2 * time.Second)
		f.mustRefuse(codeForm(old), "invalid_grant", 70008)
		f.mustRefuse(codeForm(young), "invalid_grant", 70008)
	})
}

func TestCodeAndTenant(t *testing.T) {
	f := start(t, nil)
	f.at(fabrikam).mustRefuse(codeForm(f.signIn(alice)), "invalid_grant", 700005)
	f.at("nowhere.example").mustRefuse(codeForm(f.signIn(alice)), "invalid_request", 90002)
	f.at("contoso.example").mustToken(codeForm(f.signIn(alice)))
	f.at("common").mustToken(codeForm(f.at("common").signIn(carol)))
	f.at("organizations").mustToken(codeForm(f.at("organizations").signIn(alice)))
	a := f.at(contoso).mustToken(codeForm(f.at("common").signIn(alice)))
	if id := claimsOf(t, a.IDToken); id["tid"] != contoso || id["iss"] != f.URL()+"/"+contoso+"/v2.0" {
		t.Errorf("ID token %v", id)
	}
}

func TestGuest(t *testing.T) {
	f := start(t, nil)
	home, guest := f.mustToken(codeForm(f.signIn(alice))), f.at(fabrikam).mustToken(codeForm(f.at(fabrikam).signIn(alice)))
	if home.ClientInfo != guest.ClientInfo {
		t.Error("a guest's client_info is not that of home")
	}
	h, g := claimsOf(t, home.IDToken), claimsOf(t, guest.IDToken)
	if g["tid"] != fabrikam || g["oid"] == h["oid"] || g["sub"] == h["sub"] {
		t.Errorf("home %v, guest %v", h, g)
	}
	// A refresh token of one tenant serves the other.
	crossed := f.at(fabrikam).mustToken(refreshForm(home.RefreshToken, "scope", storage))
	if c := claimsOf(t, crossed.AccessToken); c["tid"] != fabrikam || c["oid"] != g["oid"] {
		t.Errorf("crossed %v", c)
	}
	bobs := f.mustToken(codeForm(f.signIn(bob))).RefreshToken
	f.at(fabrikam).mustRefuse(refreshForm(bobs), "invalid_grant", 50020)
	if common := f.at("common").mustToken(refreshForm(bobs)); claimsOf(t, common.AccessToken)["tid"] != contoso {
		t.Error("common does not stand for the tenant of the sign-in")
	}
}

func TestSingleTenantApp(t *testing.T) {
	d := entratest.DefaultDirectory()
	d.Apps[0].MultiTenant = false
	f := start(t, &entratest.Options{Directory: d})
	f.mustToken(codeForm(f.signIn(alice)))
	f.at(fabrikam).mustRefuse(codeForm("x"), "unauthorized_client", 700016)
	f.at("common").mustRefuse(codeForm("x"), "invalid_request", 50194)
}

func TestSeveralResourcesAtAuthorize(t *testing.T) {
	f := start(t, nil)
	both := "openid profile offline_access " + storage + " " + arm
	f.mustRefuse(codeForm(f.signIn(alice, "scope", both)), "invalid_request", 28003)
	a := f.mustToken(codeForm(f.signIn(alice, "scope", both), "scope", storage))
	f.mustToken(refreshForm(a.RefreshToken, "scope", arm))
}

func TestRefreshTokenLife(t *testing.T) {
	f := start(t, nil)
	first := f.mustToken(codeForm(f.signIn(alice))).RefreshToken
	f.Advance(89 * 24 * time.Hour)
	second := f.mustToken(refreshForm(first)).RefreshToken
	if second == first {
		t.Fatal("a refresh answers with a new refresh token")
	}
	f.Advance(2 * 24 * time.Hour)
	f.mustRefuse(refreshForm(first), "invalid_grant", 700082)
	f.mustToken(refreshForm(second))
	f.mustRefuse(refreshForm("1.QUJD"), "invalid_grant", 9002313)
	f.mustRefuse(refreshForm(second, "refresh_token", ""), "invalid_request", 900144)
	f.mustRefuse(refreshForm(second, "client_id", native.ClientID, "client_secret", ""), "invalid_grant", 70000)
	f.mustRefuse(refreshForm(f.signIn(alice)), "invalid_grant", 9002313) // a code is no refresh token
	f.mustRefuse(codeForm(second), "invalid_grant", 9002313)
}

func TestRotation(t *testing.T) {
	tests := []struct {
		name             string
		rotation         entratest.Rotation
		again, afterward bool // whether the used token works again, and whether the newest does after that
	}{
		{"keep", entratest.RotationKeep, true, true},
		{"refuse", entratest.RotationRefuse, false, true},
		{"revoke family", entratest.RotationRevokeFamily, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, &entratest.Options{Rotation: test.rotation})
			first := f.mustToken(codeForm(f.signIn(alice))).RefreshToken
			other := f.mustToken(codeForm(f.signIn(alice))).RefreshToken
			second := f.mustToken(refreshForm(first)).RefreshToken
			third := f.mustToken(refreshForm(second)).RefreshToken
			check := func(token string, good bool) {
				t.Helper()
				if good {
					f.mustToken(refreshForm(token))
				} else {
					f.mustRefuse(refreshForm(token), "invalid_grant", 70000)
				}
			}
			check(first, test.again)
			check(third, test.afterward)
			check(other, true) // another sign-in is another family
		})
	}
	t.Run("a refused request does not rotate", func(t *testing.T) {
		f := start(t, &entratest.Options{Rotation: entratest.RotationRevokeFamily})
		first := f.mustToken(codeForm(f.signIn(alice))).RefreshToken
		f.mustRefuse(refreshForm(first, "scope", "https://nowhere.example/x"), "invalid_resource", 500011)
		f.mustToken(refreshForm(first))
	})
	t.Run("of many at once, one", func(t *testing.T) {
		f := start(t, &entratest.Options{Rotation: entratest.RotationRefuse})
		form := refreshForm(f.mustToken(codeForm(f.signIn(alice))).RefreshToken)
		var good atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if f.token(form).Status == http.StatusOK {
					good.Add(1)
				}
			})
		}
		all.Wait()
		if good.Load() != 1 {
			t.Errorf("%d good", good.Load())
		}
	})
}

func TestPublicApp(t *testing.T) {
	f := start(t, nil)
	signIn := func() url.Values {
		code := f.signIn(alice, "client_id", native.ClientID, "redirect_uri", "http://localhost:54321")
		return codeForm(code, "client_id", native.ClientID, "redirect_uri", "http://localhost:54321", "client_secret", "")
	}
	a := f.mustToken(signIn())
	if claimsOf(t, a.AccessToken)["appidacr"] != "0" {
		t.Error("appidacr of a public app")
	}
	f.mustToken(refreshForm(a.RefreshToken, "client_id", native.ClientID, "client_secret", ""))
	f.mustRefuse(with(signIn(), "client_secret", "x"), "invalid_client", 700025)
	f.mustRefuse(with(signIn(), "client_assertion", "x"), "invalid_client", 700025)
	f.mustRefuse(with(signIn(), "redirect_uri", "http://localhost:54322"), "invalid_client", 500112)
}

func TestSPA(t *testing.T) {
	d := entratest.DefaultDirectory()
	spa := entratest.App{Name: "other spa", ClientID: "59a00000-1111-4222-8333-944455566677", TenantID: contoso,
		Type: entratest.SPA, RedirectURIs: []string{"https://spa.example/"}}
	d.Apps = append(d.Apps, spa)
	f := start(t, &entratest.Options{Directory: d})
	form := func() url.Values {
		code := f.signIn(alice, "client_id", spa.ClientID, "redirect_uri", "https://spa.example/")
		return codeForm(code, "client_id", spa.ClientID, "redirect_uri", "https://spa.example/", "client_secret", "")
	}
	f.mustRefuse(form(), "invalid_request", 9002327)
	fromBrowser := func(form url.Values) (answer, string) {
		r := f.tokenRequest(form)
		r.Header.Set("Origin", "https://spa.example")
		response, body := f.send(r)
		a := answer{Status: response.StatusCode}
		if err := json.Unmarshal(body, &a); err != nil {
			t.Fatal(err)
		}
		return a, response.Header.Get("Access-Control-Allow-Origin")
	}
	a, allowed := fromBrowser(form())
	if a.Status != 200 || allowed != "https://spa.example" {
		t.Fatalf("%+v %q", a, allowed)
	}
	f.Advance(23 * time.Hour)
	refresh := func(token string) url.Values {
		return refreshForm(token, "client_id", spa.ClientID, "client_secret", "")
	}
	b, _ := fromBrowser(refresh(a.RefreshToken))
	if b.Status != 200 {
		t.Fatalf("%+v", b)
	}
	f.Advance(2 * time.Hour) // refreshing does not extend it
	if c, _ := fromBrowser(refresh(b.RefreshToken)); c.Status != 400 || c.Codes[0] != 700084 {
		t.Errorf("%+v", c)
	}
	if c, _ := fromBrowser(codeForm("x")); c.Codes[0] != 9002326 {
		t.Errorf("a web app from a browser: %+v", c)
	}
	r, _ := http.NewRequest(http.MethodOptions, f.tokenURL(), nil)
	r.Header.Set("Origin", "https://spa.example")
	if response, _ := f.send(r); response.StatusCode != 204 || response.Header.Get("Access-Control-Allow-Methods") == "" {
		t.Errorf("preflight %d %v", response.StatusCode, response.Header)
	}
	_, err := f.Authorize(t.Context(), f.authorizeURL("client_id", spa.ClientID, "redirect_uri", "https://spa.example/",
		"code_challenge", "", "code_challenge_method", ""), alice)
	if err != nil {
		t.Error(err) // the error goes to the app
	}
	if q := f.Requests(); q[len(q)-1].AADSTS != 9002325 {
		t.Errorf("without PKCE: %+v", q[len(q)-1])
	}
}
