package bench

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

const (
	clientID     = "11111111-2222-3333-4444-555555555555"
	clientSecret = "k8Q~bench.secret.of.forty.characters.0123"
	graphScope   = "https://graph.microsoft.com/User.Read"
	redirectURI  = "https://app.example.com/auth/callback"
	tenantID     = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
)

// The sizes of what Entra ID issues; an answer with all of it has about 4.3 KB.
const (
	accessBytes  = 1800
	codeBytes    = 1000
	idBytes      = 1000
	refreshBytes = 1200
)

// objectID gives the GUID of a user.
func objectID(user int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", user) }

func accountID(user int) string { return objectID(user) + "." + tenantID }

// tokenText is a token of a user: text of the right length that begins with whose it is.
func tokenText(kind string, user, length int) string {
	const filler = "eyJ0eXAiOiJKV1QiLCJub25jZSI6IkFRQUJBQUFBQUFEWHpaM2lmci1HUmJEVDQ1ek5TRUZFIiwiYWxnIjoiUlMyNTYifQ"
	var b strings.Builder
	b.Grow(length)
	b.WriteString(kind)
	b.WriteString(strconv.Itoa(user))
	b.WriteByte('.')
	for b.Len() < length {
		b.WriteString(filler[:min(len(filler), length-b.Len())])
	}
	return b.String()
}

// userOf reads a user out of what tokenText made.
func userOf(kind, text string) (int, error) {
	rest, ok := strings.CutPrefix(text, kind)
	number, _, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 {
		return 0, fmt.Errorf("no user in %.20q", text)
	}
	return strconv.Atoi(number)
}

// clientInfo says whose an answer is, as Entra ID does for whoever asks for it.
func clientInfo(user int) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"uid":%q,"utid":%q}`, objectID(user), tenantID))
}

// tokenAnswer is a successful answer of the token endpoint.
type tokenAnswer struct {
	access, refresh, id  string // id "": none
	expiresIn, refreshIn int    // seconds; refreshIn 0: none
	user                 int
}

func (a tokenAnswer) json() []byte {
	b := make([]byte, 0, len(a.access)+len(a.refresh)+len(a.id)+512)
	b = append(b, `{"token_type":"Bearer","scope":"openid profile offline_access `+graphScope+`","expires_in":`...)
	b = strconv.AppendInt(b, int64(a.expiresIn), 10)
	b = append(b, `,"ext_expires_in":`...)
	b = strconv.AppendInt(b, int64(a.expiresIn), 10)
	if a.refreshIn > 0 {
		b = append(b, `,"refresh_in":`...)
		b = strconv.AppendInt(b, int64(a.refreshIn), 10)
	}
	for _, member := range [][2]string{{"access_token", a.access}, {"refresh_token", a.refresh}, {"id_token", a.id}, {"client_info", clientInfo(a.user)}} {
		if member[1] != "" {
			b = append(b, `,"`+member[0]+`":"`...)
			b = append(b, member[1]...)
			b = append(b, '"')
		}
	}
	return append(b, '}')
}

// discovery is the metadata of the tenant at a host that signs with one algorithm.
func discovery(host, algorithm string) []byte {
	base := "https://" + host + "/" + tenantID
	return fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q,"token_endpoint":%q,"authorization_endpoint":%q,"id_token_signing_alg_values_supported":[%q]}`,
		issuerAt(host), base+"/discovery/v2.0/keys", base+"/oauth2/v2.0/token", base+"/oauth2/v2.0/authorize", algorithm)
}

func issuerAt(host string) string { return "https://" + host + "/" + tenantID + "/v2.0" }
