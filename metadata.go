package authcode

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// metadata is what is read of an OpenID Connect discovery document (OpenID Connect Discovery 1.0 section 3).
type metadata struct {
	algorithms     []jose.SignatureAlgorithm // of ID tokens, those we accept among them
	issuer         string                    // may be a template with {tenantid}
	jwksURL        string
	issInCallbacks bool // RFC 9207 section 3: callbacks must have iss
}

const tenantTemplate = "{tenantid}"

// parseMetadata reads the document of a tenant at a host. It came over TLS from the configured authority, and may still name
// nothing elsewhere: its issuer and keys must be of that authority.
func (s *site) parseMetadata(body []byte, tenantID string) (metadata, error) {
	members, err := parseObject(body)
	if err != nil {
		return metadata{}, err
	}
	var m metadata
	if m.issuer, err = members.text("issuer"); err != nil {
		return metadata{}, err
	}
	if m.jwksURL, err = members.text("jwks_uri"); err != nil {
		return metadata{}, err
	}
	m.issInCallbacks = string(members["authorization_response_iss_parameter_supported"]) == "true"
	if err := s.checkOwnURL(strings.ReplaceAll(m.issuer, tenantTemplate, "tenantid")); err != nil {
		return metadata{}, fmt.Errorf("its issuer %s: %w", quoted(m.issuer), err)
	}
	if err := checkIssuerTenant(m.issuer, tenantID); err != nil {
		return metadata{}, err
	}
	if err := s.checkOwnURL(m.jwksURL); err != nil {
		return metadata{}, fmt.Errorf("its jwks_uri %s: %w", quoted(m.jwksURL), err)
	}
	if m.algorithms, err = signingAlgorithms(members); err != nil {
		return metadata{}, err
	}
	return m, checkChallengeMethods(members)
}

// checkIssuerTenant wants the issuer of the tenant that was asked: a template stands where any can answer, and nowhere else.
func checkIssuerTenant(issuer, tenantID string) error {
	switch {
	case strings.Contains(issuer, tenantTemplate) != isMultiTenant(tenantID):
		return fmt.Errorf("its issuer %s is not one for the tenant %s", quoted(issuer), quoted(tenantID))
	case guidPattern.MatchString(tenantID) && !strings.Contains(strings.ToLower(issuer), strings.ToLower(tenantID)):
		return fmt.Errorf("its issuer %s is another tenant's than %s", quoted(issuer), quoted(tenantID))
	}
	return nil
}

// signingAlgorithms keeps ID tokens to what the server says it signs with; RS256 if it says nothing, which every server must
// know (OpenID Connect Discovery 1.0 section 3).
func signingAlgorithms(members jsonObject) ([]jose.SignatureAlgorithm, error) {
	const name = "id_token_signing_alg_values_supported"
	if !members.has(name) {
		return []jose.SignatureAlgorithm{jose.RS256}, nil
	}
	var offered []string
	if err := json.Unmarshal(members[name], &offered); err != nil {
		return nil, fmt.Errorf("its %s is no list", name)
	}
	var accepted []jose.SignatureAlgorithm
	for _, algorithm := range idTokenAlgorithms {
		if slices.Contains(offered, string(algorithm)) {
			accepted = append(accepted, algorithm)
		}
	}
	if accepted == nil {
		return nil, fmt.Errorf("it signs ID tokens with none of %v", idTokenAlgorithms)
	}
	return accepted, nil
}

// checkChallengeMethods refuses a server that says it knows PKCE but not S256 (RFC 9700 section 2.1.1). Entra says nothing.
func checkChallengeMethods(members jsonObject) error {
	const name = "code_challenge_methods_supported"
	if members.has(name) && !strings.Contains(string(members[name]), `"S256"`) {
		return errors.New("it offers PKCE only without S256, and a flow is never sent without it")
	}
	return nil
}

func (s *site) checkOwnURL(raw string) error {
	u, err := checkServerURL(raw, false)
	if err != nil {
		return err
	}
	authority, err := url.Parse(s.host)
	if err != nil {
		return err
	}
	if !sameAuthority(strings.ToLower(u.Host), strings.ToLower(authority.Host)) {
		return fmt.Errorf("it is not at the authority %s", authority.Host)
	}
	return nil
}

// sameAuthority knows that some clouds answer under two names
// (https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud), and that External ID's tenants sit under
// a host each (https://learn.microsoft.com/entra/external-id/customers/concept-supported-features-customers).
func sameAuthority(host, authority string) bool {
	if host == authority {
		return true
	}
	for _, names := range [][]string{
		{"login.chinacloudapi.cn", "login.partner.microsoftonline.cn"},
		{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com"},
		{"login.microsoftonline.us", "login.usgovcloudapi.net"},
	} {
		if containsFold(names, host) && containsFold(names, authority) {
			return true
		}
	}
	const externalID = ".ciamlogin.com"
	return strings.HasSuffix(host, externalID) && strings.HasSuffix(authority, externalID)
}
