package entratest

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"
)

const (
	accessTokenLifetime = time.Hour
	caeTokenLifetime    = 28 * time.Hour // of clients that can be told of a revocation
	idTokenLifetime     = time.Hour
)

// issue is what a token request has earned.
type issue struct {
	client     client
	user       *User
	tenantID   string // whose tokens these are
	grant      *grant
	scopes     scopes
	resource   *Resource
	audience   string // the resource as the client wrote it; empty: it asked for none
	nonce      string
	acrs       []string
	cae        bool
	clientInfo bool
	refresh    refreshToken // the next one
	sequence   uint64
}

// tokenAnswer is a successful answer, RFC 6749 section 5.1, in Entra's order.
type tokenAnswer struct {
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope"`
	ExpiresIn    int64  `json:"expires_in"`
	ExtExpiresIn int64  `json:"ext_expires_in"`
	RefreshIn    int64  `json:"refresh_in,omitempty"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

// mint makes the tokens. It holds no lock: signatures take a millisecond each.
func (e *Emulator) mint(x *exchange, i *issue) (*tokenAnswer, error) {
	lifetime := accessTokenLifetime
	if i.cae {
		lifetime = caeTokenLifetime
	}
	lifetime = cmp.Or(e.options.AccessTokenLifetime, lifetime)
	permissions := i.scopes.permissions()
	key := e.keys.current.Load()
	access, err := key.sign(e.accessClaims(x, i, permissions, lifetime))
	if err != nil {
		return nil, err
	}
	a := &tokenAnswer{
		TokenType:    "Bearer",
		Scope:        i.scopes.granted(i.resource, permissions),
		ExpiresIn:    int64(lifetime / time.Second),
		ExtExpiresIn: int64(lifetime / time.Second),
		RefreshIn:    int64(e.options.RefreshIn / time.Second),
		AccessToken:  access,
	}
	if i.scopes.reserved.openid {
		if a.IDToken, err = key.sign(e.idClaims(x, i)); err != nil {
			return nil, err
		}
	}
	if i.scopes.reserved.offline {
		next := i.refresh
		next.Issued, next.Grant = x.now.Unix(), *i.grant
		next.Grant.Sequence = i.sequence
		a.RefreshToken = e.seal(sealedRefresh, next)
	}
	if i.clientInfo {
		a.ClientInfo = i.user.clientInfo()
	}
	return a, nil
}

// accessClaims are those of "Access tokens in the Microsoft identity platform", version 1 or 2 by the resource.
func (e *Emulator) accessClaims(x *exchange, i *issue, permissions []string, lifetime time.Duration) map[string]any {
	oid, _ := i.user.objectID(i.tenantID)
	// Only reserved scopes were asked for: the token is Graph's, to read the profile with.
	scp := cmp.Or(strings.Join(permissions, " "), "openid profile email")
	claims := map[string]any{
		"iat": x.now.Unix(), "nbf": x.now.Unix(), "exp": x.now.Unix() + int64(lifetime/time.Second),
		"oid": oid, "tid": i.tenantID, "sub": pairwise(i.resource.AppID, i.tenantID, oid), "sid": i.grant.Session,
		"name": i.user.Name, "scp": scp, "uti": newUTI(i.sequence),
	}
	if i.resource.TokenVersion == 2 {
		claims["ver"] = "2.0"
		claims["iss"] = e.issuer(i.tenantID)
		claims["aud"] = i.resource.AppID
		claims["azp"], claims["azpacr"] = i.client.app.ClientID, i.client.method
		claims["preferred_username"] = i.user.Username
	} else {
		claims["ver"] = "1.0"
		claims["iss"] = "https://sts.windows.net/" + i.tenantID + "/"
		claims["aud"] = cmp.Or(i.audience, i.resource.AppID)
		claims["appid"], claims["appidacr"] = i.client.app.ClientID, i.client.method
		claims["upn"], claims["unique_name"] = i.user.Username, i.user.Username
		claims["acr"], claims["amr"] = "1", i.grant.amr()
	}
	if len(i.acrs) > 0 {
		claims["acrs"] = i.acrs
	}
	if i.cae {
		claims["xms_cc"], claims["xms_ssm"] = []string{"CP1"}, "1"
	}
	return claims
}

// idClaims are those of "ID tokens in the Microsoft identity platform", version 2.0.
func (e *Emulator) idClaims(x *exchange, i *issue) map[string]any {
	oid, _ := i.user.objectID(i.tenantID)
	claims := map[string]any{
		"ver": "2.0", "iss": e.issuer(i.tenantID), "aud": i.client.app.ClientID, "tid": i.tenantID,
		"sub": pairwise(i.client.app.ClientID, i.tenantID, oid),
		"iat": x.now.Unix(), "nbf": x.now.Unix(), "exp": x.now.Add(idTokenLifetime).Unix(),
		"auth_time": i.grant.AuthTime, "sid": i.grant.Session, "uti": newUTI(i.sequence),
	}
	if i.nonce != "" {
		claims["nonce"] = i.nonce
	}
	if i.scopes.reserved.profile {
		claims["oid"], claims["name"], claims["preferred_username"] = oid, i.user.Name, i.user.Username
	}
	if i.scopes.reserved.email {
		claims["email"] = i.user.Username
	}
	if len(i.acrs) > 0 {
		claims["acrs"] = i.acrs
	}
	return claims
}

// issuer is the iss of version 2.0 tokens.
func (e *Emulator) issuer(tenantID string) string { return e.origin + "/" + tenantID + "/v2.0" }

// clientInfo is the client_info of answers: who the user is at home, in base64url JSON.
func (u *User) clientInfo() string {
	info, _ := json.Marshal(map[string]string{"uid": u.ObjectID, "utid": u.TenantID}) // strings always marshal
	return base64.RawURLEncoding.EncodeToString(info)
}

// pairwise is a subject that another app cannot match with its own, OpenID Connect Core section 8.1.
func pairwise(app, tenantID, objectID string) string {
	digest := sha256.Sum256([]byte(app + "\x00" + tenantID + "\x00" + objectID))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// newUTI makes the token's own ID, which to this emulator says what the token came before and after.
func newUTI(sequence uint64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], sequence)
	rand.Read(b[8:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
