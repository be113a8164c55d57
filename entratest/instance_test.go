package entratest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

// document fetches a JSON document.
func (f *fixture) document(target string, status int) (map[string]any, http.Header) {
	f.t.Helper()
	response, body := f.get(target)
	var document map[string]any
	if err := json.Unmarshal([]byte(body), &document); err != nil || response.StatusCode != status {
		f.t.Fatalf("%s: %d %v: %s", target, response.StatusCode, err, body)
	}
	return document, response.Header
}

func TestInstanceDiscovery(t *testing.T) {
	f := start(t, &entratest.Options{Origin: "https://login.example:8443"})
	const host = "login.example:8443"
	tests := []struct {
		name, version, parameter, value, document string
	}{
		{"version 2.0", "1.1", "authorization_endpoint", "https://login.example:8443/common/oauth2/v2.0/authorize", "/common/v2.0/"},
		{"other case", "1.1", "authorization_endpoint", "https://LOGIN.example:8443/Contoso.example/OAuth2/v2.0/authorize", "/Contoso.example/v2.0/"},
		{"version 1.0", "1.1", "authorization_endpoint", "https://login.example:8443/common/oauth2/authorize", "/common/"},
		{"issuer", "1.1", "issuer", "https://login.example:8443/" + contoso + "/", "/" + contoso + "/"},
		{"old clients", "1.0", "authorization_endpoint", "https://login.example:8443/common/oauth2/v2.0/authorize", "/common/v2.0/"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			answer, header := f.document(f.URL()+"/common/discovery/instance?"+url.Values{
				"api-version": {test.version}, test.parameter: {test.value},
			}.Encode(), 200)
			want := f.URL() + test.document + ".well-known/openid-configuration"
			if answer["tenant_discovery_endpoint"] != want {
				t.Errorf("%v, want %s", answer["tenant_discovery_endpoint"], want)
			}
			f.document(want, 200)
			if header.Get("Access-Control-Allow-Origin") != "*" || header.Get("Cache-Control") != "max-age=86400, private" {
				t.Errorf("header %v", header)
			}
			if test.version == "1.0" {
				if len(answer) != 1 {
					t.Errorf("%v: the rest came with version 1.1", answer)
				}
				return
			}
			metadata := answer["metadata"].([]any)
			entry := metadata[0].(map[string]any)
			if answer["api-version"] != "1.1" || len(metadata) != 1 || entry["preferred_network"] != host ||
				entry["preferred_cache"] != host || !slices.Equal(entry["aliases"].([]any), []any{any(host)}) {
				t.Errorf("%v", answer)
			}
		})
	}
}

func TestInstanceDiscoveryRefuses(t *testing.T) {
	f := start(t, &entratest.Options{Origin: "https://login.example"})
	const good = "https://login.example/common/oauth2/v2.0/authorize"
	tests := []struct {
		name, query, code string
		number            int
	}{
		{"another host", "api-version=1.1&authorization_endpoint=https://evil.example/common/oauth2/v2.0/authorize", "invalid_instance", 50049},
		{"another port", "api-version=1.1&authorization_endpoint=https://login.example:444/common/oauth2/v2.0/authorize", "invalid_instance", 50049},
		{"no version", "authorization_endpoint=" + good, "invalid_request", 500501},
		{"a new version", "api-version=9.9&authorization_endpoint=" + good, "invalid_request", 500501},
		{"neither", "api-version=1.1", "invalid_request", 500502},
		{"both", "api-version=1.1&issuer=https://login.example/x/&authorization_endpoint=" + good, "invalid_request", 500502},
		{"not https", "api-version=1.1&authorization_endpoint=http://login.example/common/oauth2/v2.0/authorize", "invalid_request", 50050},
		{"no URL", "api-version=1.1&authorization_endpoint=%25zz", "invalid_request", 50050},
		{"no tenant", "api-version=1.1&issuer=https://login.example/", "invalid_request", 50050},
		{"unreadable", "api-version=%zz", "invalid_request", 9002313},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			response, body := f.get(f.URL() + "/common/discovery/instance?" + test.query)
			a := answer{Status: response.StatusCode}
			if err := json.Unmarshal([]byte(body), &a); err != nil {
				t.Fatal(err)
			}
			checkRefusal(t, a, test.code, test.number)
		})
	}
	if response, _ := f.get(f.URL() + "/" + contoso + "/discovery/instance?api-version=1.1&authorization_endpoint=" + good); response.StatusCode != 404 {
		t.Errorf("below a tenant: %d", response.StatusCode)
	}
	if response, _ := f.post(f.URL()+"/common/discovery/instance", nil); response.StatusCode != 405 {
		t.Errorf("POST: %d", response.StatusCode)
	}
	if last := f.Requests()[len(f.Requests())-1]; last.Endpoint != "instance" || last.TenantID != "" {
		t.Errorf("log %q %q", last.Endpoint, last.TenantID)
	}
}

// Every member Entra's document has is there, but for those of what the emulator does not do.
func TestDiscoveryMembers(t *testing.T) {
	f := start(t, nil)
	members := strings.Fields(`authorization_endpoint claims_supported cloud_graph_host_name cloud_instance_name
		device_authorization_endpoint end_session_endpoint frontchannel_logout_supported http_logout_supported
		id_token_signing_alg_values_supported issuer jwks_uri msgraph_host rbac_url request_uri_parameter_supported
		response_modes_supported response_types_supported scopes_supported subject_types_supported tenant_region_scope
		token_endpoint token_endpoint_auth_methods_supported userinfo_endpoint`)
	tests := []struct {
		path, segment, issuer, keys string
		region                      any
	}{
		{"common/v2.0", "common", f.URL() + "/{tenantid}/v2.0", "/common/discovery/v2.0/keys", nil},
		{"organizations/v2.0", "organizations", f.URL() + "/{tenantid}/v2.0", "/organizations/discovery/v2.0/keys", nil},
		{"consumers/v2.0", "consumers", f.URL() + "/" + entratest.ConsumersTenantID + "/v2.0", "/consumers/discovery/v2.0/keys", nil},
		{"contoso.example/v2.0", contoso, f.URL() + "/" + contoso + "/v2.0", "/" + contoso + "/discovery/v2.0/keys", "WW"},
		{strings.ToUpper(contoso) + "/v2.0", contoso, f.URL() + "/" + contoso + "/v2.0", "/" + contoso + "/discovery/v2.0/keys", "WW"},
		{"common", "common", "https://sts.windows.net/{tenantid}/", "/common/discovery/keys", nil},
		{"contoso.example", contoso, "https://sts.windows.net/" + contoso + "/", "/common/discovery/keys", "WW"},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			f := f.in(t)
			document, header := f.document(f.URL()+"/"+test.path+"/.well-known/openid-configuration", 200)
			for _, name := range members {
				if _, there := document[name]; !there {
					t.Errorf("no %s", name)
				}
			}
			base := f.URL() + "/" + test.segment
			for name, want := range map[string]any{
				"issuer":                        test.issuer,
				"jwks_uri":                      f.URL() + test.keys,
				"authorization_endpoint":        base + "/oauth2/v2.0/authorize",
				"token_endpoint":                base + "/oauth2/v2.0/token",
				"device_authorization_endpoint": base + "/oauth2/v2.0/devicecode",
				"end_session_endpoint":          base + "/oauth2/v2.0/logout",
				"userinfo_endpoint":             f.URL() + "/oidc/userinfo",
				"tenant_region_scope":           test.region,
			} {
				if document[name] != want {
					t.Errorf("%s is %v, want %v", name, document[name], want)
				}
			}
			if header.Get("Access-Control-Allow-Origin") != "*" || header.Get("Cache-Control") != "max-age=86400, private" {
				t.Errorf("header %v", header)
			}
			f.document(document["jwks_uri"].(string), 200)
		})
	}
	preflight, _ := f.send(must(http.NewRequest(http.MethodOptions, f.URL()+"/common/v2.0/.well-known/openid-configuration", nil)))
	if preflight.StatusCode != 204 || preflight.Header.Get("Access-Control-Allow-Methods") != "GET, OPTIONS" {
		t.Errorf("preflight: %d %v", preflight.StatusCode, preflight.Header)
	}
}
