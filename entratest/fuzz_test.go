package entratest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/authcode-go/authcode/entratest"
)

// Whatever is posted to the token endpoint, there is an answer: tokens, or an OAuth error.
func FuzzToken(f *testing.F) {
	// Fuzzing runs in several processes, each with an emulator of its own: CODE and REFRESH stand for good ones.
	i := newIssuer(publicKey("k1", testKey()))
	x := start(f, &entratest.Options{LogSize: 1, Directory: federation(), HTTPClient: &http.Client{Transport: i}})
	refresh := x.mustToken(codeForm(x.signIn(alice))).RefreshToken
	user, app := x.ordersToken(alice), x.mustToken(appForm("api://orders/.default")).AccessToken
	federated := podToken(f, testKey(), jose.RS256)
	f.Add(contoso, "application/x-www-form-urlencoded", "", codeForm("CODE").Encode())
	f.Add("common", "application/x-www-form-urlencoded", "", refreshForm("REFRESH", "scope", storage, "claims", both).Encode())
	f.Add(fabrikam, "application/x-www-form-urlencoded", "Basic eDp5", refreshForm("REFRESH", "client_id", "").Encode())
	f.Add("contoso.example", "application/json", "Bearer x", `{"grant_type":"x"}`)
	f.Add("", "application/x-www-form-urlencoded", "Basic", codeForm("1.AAAA", "client_secret", "", "client_assertion", "a.b.c",
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer").Encode())
	f.Add("x", "application/x-www-form-urlencoded", "", codeForm("", "scope", "a//b api://orders/ //.default", "client_info", "yes").Encode()+"&a=1&a=2")
	f.Add(contoso, "application/x-www-form-urlencoded", "", appForm(graphDefault, "claims", cp1).Encode())
	f.Add("common", "application/x-www-form-urlencoded", "", appForm("a b api://orders/.default").Encode())
	f.Add(contoso, "application/x-www-form-urlencoded", "", oboForm("USER", "scope", "openid offline_access "+storage).Encode())
	f.Add(contoso, "application/x-www-form-urlencoded", "", oboForm("APP", "claims", both, "requested_token_type", "x").Encode())
	f.Add(fabrikam, "application/x-www-form-urlencoded", "", oboForm("eyJhbGciOiJSUzI1NiJ9.e30.AAAA").Encode())
	f.Add(contoso, "application/x-www-form-urlencoded", "", federatedForm("FEDERATED").Encode())
	f.Add(contoso, "application/x-www-form-urlencoded", "", federatedForm("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL3gifQ.AAAA").Encode())
	f.Fuzz(func(t *testing.T, tenant, contentType, authorization, body string) {
		if strings.Contains(body, "CODE") {
			body = strings.ReplaceAll(body, "CODE", x.in(t).signIn(alice))
		}
		body = strings.NewReplacer("REFRESH", refresh, "USER", user, "APP", app, "FEDERATED", federated).Replace(body)
		u := must(url.Parse(x.URL()))
		u.Path = "/" + tenant + "/oauth2/v2.0/token"
		r := &http.Request{Method: http.MethodPost, URL: u, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{
			"Content-Type": {contentType}, "Authorization": {authorization},
		}}
		response, err := x.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if x.Requests()[0].Endpoint != "token" {
			return // the tenant had a slash in it
		}
		var a answer
		if err := json.Unmarshal(data, &a); err != nil {
			t.Fatalf("%v in %q", err, data)
		}
		switch {
		case response.StatusCode == http.StatusOK && a.AccessToken != "" && a.Error == "":
		case response.StatusCode >= 400 && response.StatusCode < 500 && a.Error != "" && a.AccessToken == "" && len(a.Codes) == 1:
		default:
			t.Fatalf("%d %s", response.StatusCode, data)
		}
	})
}

// Whatever is asked of the authorize endpoint, and posted to its pages, there is a page, or a redirect to a registered
// URI. A body has a line for each page in turn, where FLOW stands for the page's state.
func FuzzAuthorize(f *testing.F) {
	x := start(f, &entratest.Options{LogSize: -1})
	f.Add(contoso, http.MethodGet, authorizeQuery("emulator_user", alice).Encode(), "", "")
	f.Add("common", http.MethodGet, authorizeQuery("prompt", "none", "response_mode", "fragment").Encode(), "ESTSAUTH=1.AAAA", "")
	f.Add(contoso, http.MethodPost, authorizeQuery("response_mode", "form_post").Encode(), "", "flowToken=FLOW&emulator_user="+alice)
	f.Add(fabrikam, http.MethodPost, authorizeQuery("claims", step).Encode(), "esctx=x", "flowToken=1.AAAA&loginfmt=x&passwd=y")
	f.Add("x", http.MethodGet, authorizeQuery("client_id", native.ClientID, "redirect_uri", "http://localhost:1?a=b").Encode(), "", "")
	f.Add("", http.MethodGet, authorizeQuery("scope", "a b \"", "code_challenge", "x").Encode(), "", "")
	f.Add(contoso, http.MethodPost, "", "", authorizeQuery().Encode())
	f.Add(contoso, http.MethodPost, authorizeQuery("domain_hint", "consumers", "sid", "x", "login_hint", "\x00").Encode(), "", "flowToken=FLOW&cancel=1")
	f.Add(contoso, http.MethodPost, authorizeQuery(consentApp("prompt", "consent login", "scope", approver+" openid")...).Encode(), "",
		"flowToken=FLOW&loginfmt="+mfa+"\nflowToken=FLOW&passwd=password\nflowToken=FLOW&otc=123456\nflowToken=FLOW&another=1\n"+
			"flowToken=FLOW&emulator_user=bob@contoso.example\nflowToken=FLOW&consentForOrganization=1")
	f.Add("organizations", http.MethodPost, authorizeQuery("login_hint", expired).Encode(), "",
		"flowToken=FLOW&passwd=password\nflowToken=FLOW&currentPassword=password&newPassword=password&confirmNewPassword=")
	f.Fuzz(func(t *testing.T, tenant, method, query, cookie, body string) {
		w := x.in(t).walker()
		u := must(url.Parse(x.URL()))
		u.Path, u.RawQuery = "/"+tenant+"/oauth2/v2.0/authorize", query
		if strings.Contains(body, "FLOW") {
			w.request(http.MethodGet, u, "", "")
		}
		for line := range strings.SplitSeq(body, "\n") {
			if field := walkedHidden.FindStringSubmatch(w.page); field != nil && field[1] == "flowToken" {
				line = strings.ReplaceAll(line, "FLOW", field[2])
			}
			w.request(method, u, cookie, line)
			switch {
			case w.status == http.StatusFound && registered(w.header.Get("Location")):
			case w.status == http.StatusSeeOther && strings.HasPrefix(w.header.Get("Location"), "authorize?"):
			case w.header.Get("Location") == "" && (w.status == 200 || w.status >= 400 && w.status < 500) &&
				(method == http.MethodHead || strings.HasSuffix(strings.TrimSpace(w.page), "</html>")):
			default:
				t.Fatalf("%d %q %s", w.status, w.header.Get("Location"), w.page)
			}
		}
	})
}

// Whatever is asked of the endpoints without a tenant, and of those for devices, there is an answer that blames the
// client at most.
func FuzzOtherEndpoints(f *testing.F) {
	x := start(f, &entratest.Options{LogSize: -1})
	d := x.device()
	token := x.mustToken(codeForm(x.signIn(alice))).AccessToken
	f.Add("/devicelogin", http.MethodPost, "otc="+d.UserCode, "", "emulator_user="+alice)
	f.Add("/devicelogin", http.MethodGet, "otc=%00%FF&emulator_user=x", "", "")
	f.Add("/common/oauth2/v2.0/devicecode", http.MethodPost, "", "", deviceRequest("claims", "{}").Encode())
	f.Add("/common/discovery/instance", http.MethodGet, "api-version=1.1&authorization_endpoint=https://[::1/%zz", "", "")
	f.Add("/oidc/userinfo", http.MethodGet, "", "Bearer "+token, "")
	f.Add("/oidc/userinfo", http.MethodPost, "", "Bearer a.b.c", "x=%zz")
	f.Add("/oidc/userinfo", http.MethodPost, "", "Bearer eyJhbGciOiJub25lIn0.e30.", "")
	f.Add("/common/oauth2/v2.0/logout", http.MethodPost, "", "", "logout_hint=W10&emulator_sid=%00&post_logout_redirect_uri=:&state=")
	f.Add("//.well-known/openid-configuration", http.MethodOptions, "", "", "")
	f.Fuzz(func(t *testing.T, path, method, query, authorization, body string) {
		u := must(url.Parse(x.URL()))
		u.Path, u.RawQuery = path, query
		r := &http.Request{Method: method, URL: u, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {authorization},
		}}
		response, err := x.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode >= 500 || strings.Contains(response.Header.Get("Location"), "evil") {
			t.Fatalf("%d %v", response.StatusCode, response.Header)
		}
	})
}

// request sends anything; the browser's own cookies are sent too.
func (w *walker) request(method string, u *url.URL, cookie, body string) {
	r := &http.Request{Method: method, URL: u, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"},
	}}
	for _, c := range w.client.Jar.Cookies(u) {
		r.AddCookie(c)
	}
	if cookie != "" {
		r.Header.Add("Cookie", cookie)
	}
	response, err := w.client.Transport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.client.Jar.SetCookies(u, response.Cookies())
	w.page, w.status, w.header = string(must(io.ReadAll(response.Body))), response.StatusCode, response.Header
}

// registered reports whether a browser that follows a Location ends up at one of the directory's apps.
func registered(location string) bool {
	u, err := url.Parse(location)
	if err != nil {
		return false
	}
	for _, app := range []entratest.App{web, native, directory.App("spa"), directory.App("consent")} {
		for _, redirect := range app.RedirectURIs {
			r := must(url.Parse(redirect))
			if r.Scheme == u.Scheme && r.Hostname() == u.Hostname() && u.User == nil {
				return true
			}
		}
	}
	return false
}
