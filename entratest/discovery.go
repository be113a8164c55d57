package entratest

import (
	"net/http"
	"strings"
)

// tenantTemplate stands for the tenant in documents that hold for many.
const tenantTemplate = "{tenantid}"

// discovery is the OpenID Provider metadata, OpenID Connect Discovery section 4, as Entra fills it in: at common and
// organizations the issuer is a template, and code_challenge_methods_supported is missing, as it is at Entra. Unlike
// Entra's, userinfo_endpoint is the emulator's own, and there is no kerberos_endpoint.
//
// The version 1.0 document says who issues version 1 access tokens, and with which keys; its endpoints are those of
// version 2.0, the only ones there are.
func (e *Emulator) discovery(x *exchange) *reply {
	if answer := e.document(x); answer != nil {
		return answer
	}
	base := e.origin + "/" + x.authority.documented()
	document := map[string]any{
		"issuer":                                e.issuer(x.authority.issuerTenant()),
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"device_authorization_endpoint":         base + "/oauth2/v2.0/devicecode",
		"end_session_endpoint":                  base + "/oauth2/v2.0/logout",
		"userinfo_endpoint":                     e.origin + userInfoPath,
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"claims_supported": []string{
			"sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host", "aud",
			"exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email",
		},
		"request_uri_parameter_supported": false,
		"http_logout_supported":           true,
		"frontchannel_logout_supported":   true,
		"tenant_region_scope":             x.authority.region(),
		"cloud_instance_name":             "microsoftonline.com",
		"cloud_graph_host_name":           "graph.windows.net",
		"msgraph_host":                    "graph.microsoft.com",
		"rbac_url":                        "https://pas.windows.net",
	}
	if x.version1 {
		document["issuer"] = issuerVersion1(x.authority.issuerTenant())
		document["jwks_uri"] = e.origin + "/common/discovery/keys"
		document["microsoft_multi_refresh_token"] = true
	}
	return e.public(x, document)
}

// jwks is the key set, RFC 7517 section 5, with Entra's issuer member in each key of version 2.0.
func (e *Emulator) jwks(x *exchange) *reply {
	if answer := e.document(x); answer != nil {
		return answer
	}
	var keys []map[string]any
	for _, k := range *e.keys.published.Load() {
		key := k.published()
		if !x.version1 {
			key["issuer"] = e.issuer(x.authority.issuerTenant())
		}
		keys = append(keys, key)
	}
	return e.public(x, map[string]any{"keys": keys})
}

func (a authority) issuerTenant() string {
	if a.tenant == nil {
		return tenantTemplate
	}
	return a.tenant.ID
}

// documented is the authority in the URLs of its documents: as [authority.segment], but consumers stays consumers.
func (a authority) documented() string {
	if strings.EqualFold(a.alias, "consumers") {
		return "consumers"
	}
	return a.segment()
}

// region is where a tenant's data is, which is not known of a door to many.
func (a authority) region() any {
	if a.tenant == nil || a.tenant.ID == ConsumersTenantID {
		return nil
	}
	return "WW"
}

// issuerVersion1 is the iss of version 1.0 tokens.
func issuerVersion1(tenantID string) string { return "https://sts.windows.net/" + tenantID + "/" }

// document answers what is not a GET of a tenant's document; nil: it is one.
func (e *Emulator) document(x *exchange) *reply {
	if answer := e.onlyGET(x); answer != nil {
		return answer
	}
	if !x.known {
		return e.refusal(x, refuse("invalid_tenant", 90002, x.authority.alias))
	}
	return nil
}

// onlyGET answers other methods, a browser's preflight among them.
func (e *Emulator) onlyGET(x *exchange) *reply {
	switch m := x.request.Method; m {
	case http.MethodGet, http.MethodHead:
		return nil
	case http.MethodOptions:
		return crossOrigin(x, preflight(x), "GET, OPTIONS")
	default:
		refusal := refuse("invalid_request", 900561, "GET, OPTIONS", m)
		refusal.status = http.StatusMethodNotAllowed
		r := e.refusal(x, refusal)
		r.set("Allow", "GET, HEAD, OPTIONS")
		return r
	}
}

// crossOrigin lets pages of every origin read an answer. They have nothing to send that would be the user's alone.
func crossOrigin(x *exchange, r *reply, methods string) *reply {
	r.set("Access-Control-Allow-Origin", "*")
	r.set("Access-Control-Allow-Methods", methods)
	return r
}

// public is a document anybody may read and keep for a while.
func (e *Emulator) public(x *exchange, document any) *reply {
	r := e.json(x, http.StatusOK, document)
	r.set("Cache-Control", "max-age=86400, private")
	r.header.Del("Pragma")
	return crossOrigin(x, r, "GET, OPTIONS")
}
