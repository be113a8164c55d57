package entratest

import (
	"net/url"
	"strings"
)

// instancePath is where clients ask whether a host may be trusted to be Entra; at Entra, too, below common alone.
const instancePath = "/common/discovery/instance"

// instance is instance discovery: a client names an authorization endpoint, or an issuer, and learns the tenant's
// discovery document and the names of the host. The emulator is an instance of its own, with one name: its own.
// Clients ask hosts they do not know at login.microsoftonline.com; they come here when the emulator has that name, or
// its host is among their known authorities.
func (e *Emulator) instance(x *exchange) *reply {
	if answer := e.onlyGET(x); answer != nil {
		return answer
	}
	version, tenantDocument, refusal := e.readInstance(x)
	if refusal != nil {
		return crossOrigin(x, e.refusal(x, refusal), "GET, OPTIONS")
	}
	answer := map[string]any{"tenant_discovery_endpoint": tenantDocument}
	if version == "1.1" {
		_, host, _ := strings.Cut(e.origin, "://")
		answer["api-version"] = version
		answer["metadata"] = []map[string]any{{
			"preferred_network": host,
			"preferred_cache":   host,
			"aliases":           []string{host},
		}}
	}
	return e.public(x, answer)
}

// readInstance reads the request and finds the discovery document of the tenant it names: that of version 2.0 for an
// authorization endpoint of version 2.0, and of version 1.0 for anything else.
func (e *Emulator) readInstance(x *exchange) (version, tenantDocument string, refusal *oauthError) {
	q := x.query
	version = q.Get("api-version")
	parameter := "authorization_endpoint"
	if q.Has("issuer") {
		parameter = "issuer"
	}
	switch {
	case x.unreadable != nil:
		return "", "", x.unreadable
	case version != "1.0" && version != "1.1":
		return "", "", refuse("invalid_request", 500501)
	case q.Has("issuer") == q.Has("authorization_endpoint"):
		return "", "", refuse("invalid_request", 500502)
	}
	named, err := url.Parse(q.Get(parameter))
	if err != nil || named.Host == "" || (named.Scheme != "https" && !e.hosts(named)) {
		return "", "", refuse("invalid_request", 50050, parameter)
	}
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(named.EscapedPath(), "/"), "/")
	switch {
	case !e.hosts(named):
		return "", "", refuse("invalid_instance", 50049)
	case tenant == "":
		return "", "", refuse("invalid_request", 50050, parameter)
	}
	if parameter == "authorization_endpoint" && strings.EqualFold(rest, "oauth2/v2.0/authorize") {
		tenant += "/v2.0"
	}
	return version, e.origin + "/" + tenant + "/.well-known/openid-configuration", nil
}
