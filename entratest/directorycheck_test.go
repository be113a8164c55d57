package entratest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/authcode-go/authcode/entratest"
)

// What a directory must not have is refused by the path of the member, which is all there is to find it by.
func TestDirectoryProblems(t *testing.T) {
	type directory = entratest.Directory
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	federated := func(change func(*entratest.FederatedCredential)) func(*directory) {
		return func(d *directory) {
			c := entratest.FederatedCredential{Issuer: "https://issuer.example", Subject: "repo:x"}
			change(&c)
			d.Apps[0].FederatedCredentials = []entratest.FederatedCredential{c}
		}
	}
	redirect := func(app int, uri string) func(*directory) {
		return func(d *directory) { d.Apps[app].RedirectURIs = []string{uri} }
	}
	const web, native, spa = 0, 1, 2
	for name, test := range map[string]struct {
		change func(*directory)
		want   string // all lines
	}{
		"no tenants":        {func(d *directory) { d.Tenants = nil }, `tenants: there is none: add one, such as {"domain": "contoso.example"}`},
		"tenant ID":         {func(d *directory) { d.Tenants[0].ID = "x" }, `tenants[0].id: "x" is not a GUID, like 9188040d-6c67-4c5b-b112-36a304b66dad`},
		"tenant without ID": {func(d *directory) { d.Tenants[1].ID = "" }, `tenants[1].id: missing: it must be a GUID`},
		"same tenant ID":    {func(d *directory) { d.Tenants[1].ID = strings.ToUpper(d.Tenants[0].ID) }, `tenants[1].id: "C0700000-6D2E-4A1F-B8C3-5E4F3A2B1C0D" is tenants[0].id already: give each its own`},
		"same domain":       {func(d *directory) { d.Tenants[1].Domain = d.Tenants[0].Domain }, `tenants[1].domain: "contoso.example" is tenants[0].domain already: give each its own`},
		"domain":            {func(d *directory) { d.Tenants[0].Domain = "common" }, `tenants[0].domain: "common" is no domain: write one like contoso.example, punycode for other alphabets`},

		"no username":       {func(d *directory) { d.Users[0].Username = "" }, `users[0].username: missing: it must not be empty`},
		"username":          {func(d *directory) { d.Users[0].Username = "alice anders" }, `users[0].username: "alice anders" has a space: remove it`},
		"same username":     {func(d *directory) { d.Users[1].Username = "ALICE@contoso.example" }, `users[1].username: "ALICE@contoso.example" is users[0].username already: give each its own`},
		"control character": {func(d *directory) { d.Users[0].Name = "Alice\x1b[2J" }, `users[0].name: it has the control character U+001B: remove it`},
		"direction":         {func(d *directory) { d.Apps[0].Name = "web\u202egnp.exe" }, `apps[0].name: it has the control character U+202E: remove it`},
		"not UTF-8":         {func(d *directory) { d.Users[0].Name = "\xff" }, `users[0].name: it is not UTF-8`},
		"homeless user":     {func(d *directory) { d.Users[0].TenantID = d.Users[0].ObjectID }, `users[0].tenant_id: no tenant has the ID "a11ce000-5d6e-4f70-8a9b-0c1d2e3f4a5b": add it to tenants, or use one of contoso.example (c0700000-6d2e-4a1f-b8c3-5e4f3a2b1c0d), fabrikam.example (fab00000-3c55-4d8a-9e1b-7f6a2c4d5e90), 9188040d-6c67-4c5b-b112-36a304b66dad`},
		"frequency":         {func(d *directory) { d.Users[0].SignInFrequency = -time.Second }, `users[0].sign_in_frequency: -1s is negative: leave it out if the user never has to sign in again`},
		"group":             {func(d *directory) { d.Users[0].Groups = []string{"admins"} }, `users[0].groups[0]: "admins" is not a GUID, like 9188040d-6c67-4c5b-b112-36a304b66dad`},
		"role":              {func(d *directory) { d.Users[0].Roles = []string{""} }, `users[0].roles[0]: missing: it must not be empty`},
		"same object ID":    {func(d *directory) { d.Users[0].Guests[0].ObjectID = d.Users[0].ObjectID }, `users[0].guests[0].object_id: "a11ce000-5d6e-4f70-8a9b-0c1d2e3f4a5b" is users[0].object_id already: give each its own`},
		"guest at home":     {func(d *directory) { d.Users[0].Guests[0].TenantID = d.Users[0].TenantID }, `users[0].guests[0].tenant_id: it is the user's home, where nobody is a guest: name another tenant, or remove the guest`},
		"guest twice": {func(d *directory) {
			d.Users[0].Guests = append(d.Users[0].Guests, entratest.Guest{TenantID: d.Users[0].Guests[0].TenantID, ObjectID: "a11ce999-0000-4d3e-9f40-5a6b7c8d9e0f"})
		}, `users[0].guests[1].tenant_id: "fab00000-3c55-4d8a-9e1b-7f6a2c4d5e90" is users[0].guests[0].tenant_id already: give each its own`},

		"client ID":      {func(d *directory) { d.Apps[0].ClientID = "web" }, `apps[0].client_id: "web" is not a GUID, like 9188040d-6c67-4c5b-b112-36a304b66dad`},
		"same client ID": {func(d *directory) { d.Apps[1].ClientID = d.Apps[0].ClientID }, `apps[1].client_id: "3eb00000-4f1d-4c8e-a2b7-60d5c4b3a291" is apps[0].client_id already: give each its own`},
		"same app name":  {func(d *directory) { d.Apps[1].Name = "web" }, `apps[1].name: "web" is apps[0].name already: give each its own`},
		"app type":       {func(d *directory) { d.Apps[0].Type = 9 }, `apps[0].type: 9 is unknown: it must be one of confidential, public, spa`},
		"logout URL":     {func(d *directory) { d.Apps[0].FrontChannelLogoutURL = "http://app.example.com/out" }, `apps[0].front_channel_logout_url: http is for localhost and 127.0.0.1: use https`},
		"assigned":       {func(d *directory) { d.Apps[0].Assigned = []string{"dan"} }, `apps[0].assigned[0]: no user has the username "dan": add it to users, or remove it here`},
		"permission":     {func(d *directory) { d.Apps[0].Permissions[0] = "User.Read.All" }, `apps[0].permissions[0]: "User.Read.All" is not the ID of one of the resources, a slash and a name, like https://graph.microsoft.com/User.Read.All`},

		"relative redirect":      {redirect(web, "/callback"), `apps[0].redirect_uris[0]: it is not an absolute URI: write it whole, like https://app.example.com/callback`},
		"empty redirect":         {redirect(web, ""), `apps[0].redirect_uris[0]: missing: it must be a URI, like https://app.example.com/callback`},
		"redirect with fragment": {redirect(web, "https://app.example.com/#"), `apps[0].redirect_uris[0]: it has a fragment: remove the # and what follows`},
		"redirect with space":    {redirect(web, "https://app.example.com/a b"), `apps[0].redirect_uris[0]: it has a space, a backslash or a control character: remove it, or percent-encode it`},
		"redirect by http":       {redirect(web, "http://localhost.example.com/"), `apps[0].redirect_uris[0]: http is for localhost and 127.0.0.1: use https`},
		"redirect to ::1":        {redirect(native, "http://[::1]/"), `apps[1].redirect_uris[0]: Entra takes no IPv6 loopback address: use localhost or 127.0.0.1`},
		"redirect with wildcard": {redirect(web, "https://*.example.com/"), `apps[0].redirect_uris[0]: it has a wildcard: redirect URIs are matched exactly, so write each one out`},
		"redirect with password": {redirect(web, "https://user:pass@example.com/"), `apps[0].redirect_uris[0]: it has user information: remove the @ and what is before it`},
		"redirect without host":  {redirect(web, "https:///callback"), `apps[0].redirect_uris[0]: it has no host: write it whole, like https://app.example.com/callback`},
		"web with own scheme":    {redirect(web, "myapp://auth"), `apps[0].redirect_uris[0]: its scheme is not https: use https, or http with localhost or 127.0.0.1`},
		"SPA with own scheme":    {redirect(spa, "myapp://auth"), `apps[2].redirect_uris[0]: its scheme is not https: use https, or http with localhost or 127.0.0.1`},
		"redirect to script":     {redirect(native, "javascript:alert(1)"), `apps[1].redirect_uris[0]: its scheme is run or opened by the browser itself: use https, or a scheme of the app's own`},
		"public's own scheme":    {redirect(native, "msal9a710000://auth"), ""},
		"redirect twice":         {func(d *directory) { d.Apps[0].RedirectURIs[1] = d.Apps[0].RedirectURIs[0] }, `apps[0].redirect_uris[1]: it is apps[0].redirect_uris[0] already: remove one`},

		"SPA with secret":    {func(d *directory) { d.Apps[2].Secrets = []string{"canary"} }, `apps[2].client_secrets: an app of type spa must not authenticate: remove them, or make its type confidential`},
		"public with secret": {func(d *directory) { d.Apps[1].Secrets = []string{"canary"} }, `apps[1].client_secrets: an app of type public must not authenticate: remove them, or make its type confidential`},
		"public with certificate": {func(d *directory) {
			d.Apps[1].Certificates = []*x509.Certificate{newPair(t, testKey(), time.Now().Add(time.Hour)).certificate}
		}, `apps[1].certificates: an app of type public must not authenticate: remove them, or make its type confidential`},
		"empty secret":      {func(d *directory) { d.Apps[0].Secrets[0] = "" }, `apps[0].client_secrets[0]: it is empty: write a secret, or remove it`},
		"expired and good":  {func(d *directory) { d.Apps[0].ExpiredSecrets = d.Apps[0].Secrets[1:] }, `apps[0].expired_client_secrets[0]: it is client_secrets[1] too: it cannot be both good and expired`},
		"no certificate":    {func(d *directory) { d.Apps[0].Certificates = []*x509.Certificate{nil} }, `apps[0].certificates[0]: there is no certificate: pass a parsed one`},
		"short certificate": {func(d *directory) { d.Apps[0].Certificates = []*x509.Certificate{shortCertificate(t)} }, `apps[0].certificates[0]: its RSA key has 1024 bits: it needs 2048 or more`},
		"issuer":            {federated(func(c *entratest.FederatedCredential) { c.Issuer = "" }), `apps[0].federated_credentials[0].issuer: missing: it must be a URI, like https://app.example.com/callback`},
		"issuer by http":    {federated(func(c *entratest.FederatedCredential) { c.Issuer = "http://issuer.example" }), `apps[0].federated_credentials[0].issuer: http is for localhost and 127.0.0.1: use https`},
		"local issuer":      {federated(func(c *entratest.FederatedCredential) { c.Issuer = "http://[::1]:8080" }), ""},
		"subject":           {federated(func(c *entratest.FederatedCredential) { c.Subject = "" }), `apps[0].federated_credentials[0].subject: missing: it is the sub that the issuer's tokens have`},
		"private key":       {federated(func(c *entratest.FederatedCredential) { c.Keys = []jose.JSONWebKey{{Key: private}} }), `apps[0].federated_credentials[0].keys[0]: it is a private key: remove its private members, such as d`},
		"no key":            {federated(func(c *entratest.FederatedCredential) { c.Keys = make([]jose.JSONWebKey, 1) }), `apps[0].federated_credentials[0].keys[0]: it is not a public JSON Web Key, RFC 7517: kty must be RSA, EC or OKP, with that type's members`},

		"resource ID":      {func(d *directory) { d.Resources[5].ID = "orders" }, `resources[5].id: it is not an absolute URI: write it whole, like https://app.example.com/callback`},
		"no resource ID":   {func(d *directory) { d.Resources[5].ID = "" }, `resources[5].id: missing: it must not be empty`},
		"same resource":    {func(d *directory) { d.Resources[5].ID = "https://Graph.Microsoft.com/" }, `resources[5].id: "https://Graph.Microsoft.com" is resources[0].id already: give each its own`},
		"resource app ID":  {func(d *directory) { d.Resources[0].AppID = "" }, `resources[0].app_id: missing: it must be a GUID`},
		"token version":    {func(d *directory) { d.Resources[0].TokenVersion = 3 }, `resources[0].token_version: 3 is not a version of access tokens: it must be 1 or 2`},
		"scope":            {func(d *directory) { d.Resources[5].Scopes[0] = "Orders Read" }, `resources[5].scopes[0]: "Orders Read" is no scope: printable ASCII without spaces, quotation marks and backslashes, RFC 6749 section 3.3`},
		"admin scope":      {func(d *directory) { d.Resources[5].AdminScopes[0] = "Orders.Burn" }, `resources[5].admin_scopes[0]: "Orders.Burn" is not one of the resource's scopes: add it there, or remove it here`},
		"any admin scope":  {func(d *directory) { d.Resources[5].Scopes = nil }, ""},
		"nothing is wrong": {func(*directory) {}, ""},
		"several": {func(d *directory) { d.Users[0].Username, d.Resources[0].AppID = "", "x" },
			"users[0].username: missing: it must not be empty\n" + `entratest: resources[0].app_id: "x" is not a GUID, like 9188040d-6c67-4c5b-b112-36a304b66dad`},
	} {
		t.Run(name, func(t *testing.T) {
			d := entratest.DefaultDirectory()
			test.change(d)
			got := ""
			if _, err := entratest.NewHandler(&entratest.Options{Directory: d}); err != nil {
				got = err.Error()
			}
			want := test.want
			if want != "" {
				want = "entratest: " + want
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// shortCertificate has a key that a directory refuses. Only its length is real: nothing verifies with it.
func shortCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	certificate := *newPair(t, testKey(), time.Now().Add(time.Hour)).certificate
	certificate.PublicKey = &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	return &certificate
}
