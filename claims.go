package authcode

import (
	"encoding/json"
	"errors"
	"fmt"
)

// capabilityClaims says that the client understands claims challenges, which makes Entra issue long-lived tokens that
// can be revoked (https://learn.microsoft.com/entra/identity-platform/claims-challenge#how-to-communicate-client-capabilities-to-microsoft-entra-id).
const capabilityClaims = `{"access_token":{"xms_cc":{"values":["cp1"]}}}`

// checkClaims wants the claims request parameter to be what OpenID Connect Core 1.0 section 5.5 says it is.
func checkClaims(claims string) error {
	if claims == "" {
		return nil
	}
	if len(claims) > maxClaimsBytes {
		return fmt.Errorf("the claims have %d bytes, more than %d", len(claims), maxClaimsBytes)
	}
	if _, err := parseObject([]byte(claims)); err != nil {
		return fmt.Errorf("invalid claims: %w; give the challenge's JSON, base64-decoded", err)
	}
	return nil
}

// claimsToSend merges the claims of a call with the client's capability.
func claimsToSend(claims string, cae bool) (string, error) {
	switch {
	case !cae:
		return claims, nil
	case claims == "":
		return capabilityClaims, nil
	}
	all, err := parseObject([]byte(claims))
	if err != nil {
		return "", err
	}
	accessToken := jsonObject{}
	if all.has("access_token") {
		if accessToken, err = parseObject(all["access_token"]); err != nil {
			return "", errors.New("invalid claims: their access_token is not an object")
		}
	}
	accessToken["xms_cc"] = json.RawMessage(`{"values":["cp1"]}`)
	if all["access_token"], err = json.Marshal(accessToken); err != nil {
		return "", err
	}
	merged, err := json.Marshal(all)
	return string(merged), err
}
