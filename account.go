package authcode

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Account is a user of this app.
type Account struct {
	// ID names the user in this app for good: Entra's home account ID (oid.tid of their home directory), else the
	// ID token's oid and tid, else its sub and issuer. Never empty. It is the key for your own tables; an e-mail
	// address or username is not, since both can change hands.
	ID string
	// Name is the user's display name, for a page. Empty: not sent. Do not decide anything on it.
	Name string
	// ObjectID is the user's object ID (oid) in TenantID; a guest has another one than at home. Empty: not sent.
	ObjectID string
	// TenantID is the directory (tid) the user signed in to. Empty: not sent, as by servers other than Entra ID.
	TenantID string
	// Username is preferred_username, or the user principal name of older tokens: for a login hint. It can
	// change.
	Username string

	claims json.RawMessage
}

// Claims decodes the ID token's claims into v, a pointer to a struct or map as for json.Unmarshal: roles, groups,
// e-mail, and what else the app registration adds
// (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference). From App.Redeem and
// App.ImportRefreshToken they were verified; a plain credential took them from the token endpoint over TLS as they
// were (OpenID Connect Core 1.0 section 3.1.3.7, number 6). Without an ID token: an error.
func (a Account) Claims(v any) error {
	if a.claims == nil {
		return errors.New("authcode: the account has no ID token claims: the server sent no ID token")
	}
	if err := json.Unmarshal(a.claims, v); err != nil {
		return fmt.Errorf("authcode: the ID token's claims do not fit %T: %w", v, err)
	}
	return nil
}

// Format prints the exported fields quoted, for every verb: a name is the user's own text, and the claims may hold what a log
// should not.
func (a Account) Format(state fmt.State, verb rune) {
	formatAs(state, verb, fmt.Sprintf("{ID:%q Name:%q ObjectID:%q TenantID:%q Username:%q}", a.ID, a.Name, a.ObjectID, a.TenantID, a.Username))
}

// identity is all an answer says about who it is for, to compare with who the grant is for.
type identity struct {
	home     string // uid.utid of client_info
	oid, tid string
	sub, iss string
}

// sameUser compares by the strongest mark that both have. Where they have none in common nothing speaks against it:
// the refresh token is bound to its user.
func (i identity) sameUser(other identity) bool {
	switch {
	case i.home != "" && other.home != "":
		return sameAccount(i.home, other.home)
	case i.oid != "" && other.oid != "" && strings.EqualFold(i.tid, other.tid):
		return i.oid == other.oid || guidPattern.MatchString(i.oid) && strings.EqualFold(i.oid, other.oid)
	case i.iss != "" && i.iss == other.iss:
		return i.sub == other.sub
	}
	return true
}

var homeAccountPattern = regexp.MustCompile(`^[0-9a-fA-F-]{36}\.[0-9a-fA-F-]{36}$`)

// accountKey is the one way to write an account ID for those who look it up.
func accountKey(accountID string) string {
	if homeAccountPattern.MatchString(accountID) {
		return strings.ToLower(accountID) // GUIDs have no case
	}
	return accountID
}

// sameAccount compares account IDs: Entra's are made of GUIDs, which have no case; a subject of another server has.
func sameAccount(a, b string) bool {
	return a == b || homeAccountPattern.MatchString(a) && strings.EqualFold(a, b)
}

// idClaims are the parts of an ID token this package reads
// (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
type idClaims struct {
	aud            []string
	iss, sub       string
	oid, tid       string
	name, username string
	nonce, azp     string
	members        jsonObject
	raw            json.RawMessage
}

// parseIDToken reads an ID token's claims without verifying anything.
func parseIDToken(idToken string) (*idClaims, error) {
	_, rest, ok1 := strings.Cut(idToken, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || strings.Contains(signature, ".") {
		return nil, errors.New("the ID token is malformed: it is not a signed JWT of three parts")
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return nil, errors.New("the ID token is malformed: its payload is not base64url")
	}
	return parseIDClaims(decoded)
}

func parseIDClaims(payload []byte) (*idClaims, error) {
	members, err := parseObject(payload)
	if err != nil {
		return nil, fmt.Errorf("the ID token is malformed: %w", err)
	}
	c := &idClaims{members: members, raw: payload}
	for _, field := range [...]struct {
		name  string
		value *string
	}{{"azp", &c.azp}, {"iss", &c.iss}, {"nonce", &c.nonce}, {"oid", &c.oid}, {"sub", &c.sub}, {"tid", &c.tid}} {
		if *field.value, err = members.text(field.name); err != nil {
			return nil, fmt.Errorf("the ID token is malformed: %w", err)
		}
	}
	if c.aud, err = audienceOf(members); err != nil {
		return nil, err
	}
	c.name, _ = members.text("name")
	for _, name := range []string{"preferred_username", "upn", "unique_name", "email"} {
		if c.username, _ = members.text(name); c.username != "" {
			break
		}
	}
	return c, nil
}

// audienceOf reads a string or a list of strings (RFC 7519 section 4.1.3).
func audienceOf(members jsonObject) ([]string, error) {
	if one, err := members.text("aud"); err == nil {
		return nonEmpty(one), nil
	}
	var several []string
	if err := json.Unmarshal(members["aud"], &several); err != nil {
		return nil, errors.New("the ID token is malformed: its audience (aud) is neither a string nor a list of strings")
	}
	return several, nil
}

// whoseAnswer reads who a token answer is for; claims is its ID token's, or nil.
func whoseAnswer(info clientInfo, claims *idClaims) identity {
	var i identity
	if info.known() {
		i.home = info.uid + "." + info.utid
	}
	if claims != nil {
		i.oid, i.tid, i.sub, i.iss = claims.oid, claims.tid, claims.sub, claims.iss
	}
	return i
}

// newAccount gives the account of an answer, and false if the answer does not say whose it is.
func newAccount(info clientInfo, claims *idClaims) (Account, identity, bool) {
	who := whoseAnswer(info, claims)
	var account Account
	if claims != nil {
		account = Account{Name: claims.name, ObjectID: claims.oid, TenantID: claims.tid, Username: claims.username, claims: claims.raw}
	} else if info.known() {
		account = Account{ObjectID: info.uid, TenantID: info.utid}
	}
	switch {
	case who.home != "":
		account.ID = who.home
	case who.oid != "" && who.tid != "":
		account.ID = who.oid + "." + who.tid
	case who.sub != "" && who.iss != "":
		account.ID = who.sub + "@" + who.iss
	}
	return account, who, account.ID != ""
}
