package entratest

import "net/http"

// tenantTemplate stands for the tenant in documents that hold for many.
const tenantTemplate = "{tenantid}"

// discovery is the OpenID Provider metadata, OpenID Connect Discovery section 4, as Entra fills it in: at common and
// organizations the issuer is a template, and code_challenge_methods_supported is missing, as it is at Entra.
func (e *Emulator) discovery(x *exchange) *reply {
	if refusal := e.document(x); refusal != nil {
		return refusal
	}
	base := e.origin + "/" + x.authority.segment()
	return e.public(x, map[string]any{
		"issuer":                                e.issuer(x.authority.issuerTenant()),
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"end_session_endpoint":                  base + "/oauth2/v2.0/logout",
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"claims_supported": []string{
			"sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver",
			"at_hash", "c_hash", "email",
		},
		"request_uri_parameter_supported": false,
		"http_logout_supported":           true,
		"frontchannel_logout_supported":   true,
		"tenant_region_scope":             nil,
		"cloud_instance_name":             "entratest.example",
	})
}

// jwks is the key set, RFC 7517 section 5, with Entra's issuer member in each key.
func (e *Emulator) jwks(x *exchange) *reply {
	if refusal := e.document(x); refusal != nil {
		return refusal
	}
	key := e.keys.current.Load().published(e.issuer(x.authority.issuerTenant()))
	return e.public(x, map[string]any{"keys": []any{key}})
}

func (a authority) issuerTenant() string {
	if a.tenant == nil {
		return tenantTemplate
	}
	return a.tenant.ID
}

// document refuses what is not a plain GET of a tenant's document.
func (e *Emulator) document(x *exchange) *reply {
	if m := x.request.Method; m != http.MethodGet && m != http.MethodHead {
		refusal := refuse("invalid_request", 900561, "GET, HEAD", m)
		refusal.status = http.StatusMethodNotAllowed
		r := e.refusal(x, refusal)
		r.set("Allow", "GET, HEAD")
		return r
	}
	if !x.known {
		return e.refusal(x, refuse("invalid_tenant", 90002, x.authority.alias))
	}
	return nil
}

// public is a document anybody may read and keep for a while.
func (e *Emulator) public(x *exchange, document any) *reply {
	r := e.json(x, http.StatusOK, document)
	r.set("Cache-Control", "max-age=86400, private")
	r.header.Del("Pragma")
	r.set("Access-Control-Allow-Origin", "*")
	return r
}
