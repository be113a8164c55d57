package authcode_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
)

// recorder answers every token request with the same token and remembers where it was sent.
type recorder struct{ urls []string }

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	r.urls = append(r.urls, req.URL.String())
	body := `{"token_type":"Bearer","access_token":"at","refresh_token":"rt","expires_in":3600}`
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: readCloser(body), Request: req}, nil
}

func TestTheTenantOfACall(t *testing.T) { // B21, B32, B36 to B47: azidentity's table
	const home, a, b = "home-tenant", "tenant-a", "tenant-b"
	for _, test := range []struct {
		home, requested string
		additional      []string
		want            string // "": an error before any request
		names           string // what the error names
	}{
		{home: home, want: home},
		{home: home, requested: home, want: home},
		{home: home, requested: strings.ToUpper(home), want: home},
		{home: home, requested: a, names: "AdditionallyAllowedTenants"},
		{home: home, additional: []string{a, b}, want: home},
		{home: home, requested: a, additional: []string{a, b}, want: a},
		{home: home, requested: strings.ToUpper(a), additional: []string{a}, want: strings.ToUpper(a)},
		{home: home, requested: "random", additional: []string{a, b}, names: "AdditionallyAllowedTenants"},
		{home: home, requested: "random", additional: []string{"*"}, want: "random"},
		{home: home, requested: "random", additional: []string{a, "*", b}, want: "random"},
		{home: home, requested: "a/b", additional: []string{"*"}, names: "tenant ID"},
		{home: home, requested: "..", additional: []string{"*"}, names: "tenant ID"},
		{home: "organizations", requested: a, want: a},
		{home: "organizations", requested: a, additional: []string{b}, names: "AdditionallyAllowedTenants"},
		{home: "common", requested: a, names: "AdditionallyAllowedTenants"},
		{home: "adfs", want: "adfs"},
		{home: "adfs", requested: "adfs", want: "adfs"},
		{home: "adfs", requested: a, additional: []string{"*"}, names: "AD FS"},
	} {
		t.Run(test.home+" asked for "+test.requested+" with "+strings.Join(test.additional, ","), func(t *testing.T) {
			sent := &recorder{}
			c, err := authcode.NewAuthorizationCodeCredential(test.home, "client", "code", redirectURI, &authcode.AuthorizationCodeCredentialOptions{
				AdditionallyAllowedTenants: test.additional,
				ClientOptions:              azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: "https://login.example"}, Transport: sent},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"scope"}, TenantID: test.requested})
			if test.want == "" {
				if err == nil || !strings.Contains(err.Error(), test.names) || len(sent.urls) > 0 {
					t.Fatalf("got %v after %d requests, want an error naming %s", err, len(sent.urls), test.names)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			last := sent.urls[len(sent.urls)-1]
			want := "https://login.example/" + test.want + "/oauth2/v2.0/token"
			if test.home == "adfs" {
				want = "https://login.example/adfs/oauth2/token"
			}
			if last != want {
				t.Errorf("sent to %s, want %s", last, want)
			}
			if first := sent.urls[0]; !strings.Contains(first, "/"+test.home+"/") {
				t.Errorf("the code went to %s, not to its own tenant", first)
			}
		})
	}
}

func TestTenantsTakeTurns(t *testing.T) { // B33
	e := newEntra(t, nil)
	c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{AdditionallyAllowedTenants: []string{"*"}})
	home := mustToken(t, c, tokenFor(graphScope))
	guest := mustToken(t, c, policy.TokenRequestOptions{Scopes: []string{graphScope}, TenantID: "fabrikam.example"})
	if home == guest {
		t.Error("two tenants got one token")
	}
	if mustToken(t, c, tokenFor(graphScope)) != home {
		t.Error("the home tenant's token changed")
	}
	if mustToken(t, c, policy.TokenRequestOptions{Scopes: []string{graphScope}, TenantID: e.tenant.ID}) != home {
		t.Error("naming the home tenant gives another token")
	}
	e.wantRequests(1, 1)
}

func TestTheAuthority(t *testing.T) { // B4, B5
	for name, test := range map[string]struct {
		cloud cloud.Configuration
		env   string
		want  string
	}{
		"options":           {cloud.Configuration{ActiveDirectoryAuthorityHost: "https://login.one.example/"}, "https://login.two.example", "login.one.example"},
		"environment":       {cloud.Configuration{}, "https://login.two.example", "login.two.example"},
		"default":           {cloud.Configuration{}, "", "login.microsoftonline.com"},
		"US government":     {cloud.AzureGovernment, "", "login.microsoftonline.us"},
		"China":             {cloud.AzureChina, "", "login.chinacloudapi.cn"},
		"not https":         {cloud.Configuration{}, "http://login.two.example", ""},
		"services, no host": {cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{"x": {}}}, "https://login.two.example", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AZURE_AUTHORITY_HOST", test.env)
			sent := &recorder{}
			c, err := authcode.NewAuthorizationCodeCredential("tenant", "client", "code", redirectURI, &authcode.AuthorizationCodeCredentialOptions{
				ClientOptions: azcore.ClientOptions{Cloud: test.cloud, Transport: sent},
			})
			if test.want == "" {
				if err == nil || c != nil {
					t.Fatal("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			mustToken(t, c, tokenFor("scope"))
			if want := "https://" + test.want + "/tenant/oauth2/v2.0/token"; sent.urls[0] != want {
				t.Errorf("sent to %s, want %s", sent.urls[0], want)
			}
		})
	}
}
