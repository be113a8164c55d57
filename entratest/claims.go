package entratest

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// maxClaims bounds the claims parameter, in bytes: it travels on inside codes and refresh tokens.
const maxClaims = 8 << 10

// claimsRequest is a claims parameter, OpenID Connect Core section 5.5, with Entra's extensions.
type claimsRequest map[string]any

// parseClaims reads a claims parameter; an empty one asks for nothing.
func parseClaims(text string) (claimsRequest, *oauthError) {
	if text == "" {
		return nil, nil
	}
	var c claimsRequest
	if len(text) > maxClaims || json.Unmarshal([]byte(text), &c) != nil || c == nil {
		return nil, refuse("invalid_request", 90023, "the claims parameter is not a JSON object.")
	}
	return c, nil
}

// accessToken is what is asked about one claim of the access token.
func (c claimsRequest) accessToken(name string) map[string]any {
	all, _ := c["access_token"].(map[string]any)
	one, _ := all[name].(map[string]any)
	return one
}

// cp1 reports whether the client can handle claims challenges: it announces the capability in xms_cc. See "How to use
// Continuous Access Evaluation enabled APIs in your applications".
func (c claimsRequest) cp1() bool {
	values, _ := c.accessToken("xms_cc")["values"].([]any)
	return slices.ContainsFunc(values, func(v any) bool {
		s, _ := v.(string)
		return strings.EqualFold(s, "cp1")
	})
}

// acrs are the authentication contexts asked for, which the token then proves.
func (c claimsRequest) acrs() []string {
	asked := c.accessToken("acrs")
	var all []string
	values, _ := asked["values"].([]any)
	for _, v := range append(values, asked["value"]) {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// withoutCapabilities is what is asked for beyond what the client says about itself.
func (c claimsRequest) withoutCapabilities() claimsRequest {
	rest := maps.Clone(c)
	if all, ok := rest["access_token"].(map[string]any); ok {
		all = maps.Clone(all)
		delete(all, "xms_cc")
		rest["access_token"] = all
		if len(all) == 0 {
			delete(rest, "access_token")
		}
	}
	return rest
}

// includes reports whether everything that part asks for is asked for here: clients merge claims, with a capability
// for instance, so equality would be too much.
func (c claimsRequest) includes(part claimsRequest) bool {
	return includes(map[string]any(c), map[string]any(part))
}

func includes(whole, part any) bool {
	p, ok := part.(map[string]any)
	if !ok {
		return reflect.DeepEqual(whole, part)
	}
	w, ok := whole.(map[string]any)
	if !ok {
		return len(p) == 0
	}
	for name, value := range p {
		if there, ok := w[name]; !ok || !includes(there, value) {
			return false
		}
	}
	return true
}
