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
	user       *User  // nil: the token is the app's own
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
	Scope        string `json:"scope,omitempty"` // of users' tokens always there
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
	if i.user == nil {
		return e.mintForApp(x, i)
	}
	lifetime := accessTokenLifetime
	if i.cae {
		lifetime = caeTokenLifetime
	}
	lifetime = cmp.Or(e.options.AccessTokenLifetime, lifetime)
	next := i.refresh
	next.Issued, next.Grant = x.now.Unix(), *i.grant
	next.Grant.Sequence = i.sequence
	permissions := i.scopes.permissions()
	key := e.keys.current.Load()
	access, err := key.sign(e.accessClaims(x, i, next.Grant, permissions, lifetime))
	if err != nil {
		return nil, err
	}
	a := e.newAnswer(access, lifetime)
	a.Scope = i.scopes.granted(i.resource, permissions)
	if i.scopes.reserved.openid {
		if a.IDToken, err = key.sign(e.idClaims(x, i)); err != nil {
			return nil, err
		}
	}
	if i.scopes.reserved.offline {
		a.RefreshToken = e.seal(sealedRefresh, next)
	}
	if i.clientInfo {
		a.ClientInfo = i.user.clientInfo()
	}
	return a, nil
}

// newAnswer is what every successful answer has.
func (e *Emulator) newAnswer(access string, lifetime time.Duration) *tokenAnswer {
	return &tokenAnswer{
		TokenType:    "Bearer",
		ExpiresIn:    int64(lifetime / time.Second),
		ExtExpiresIn: int64(lifetime / time.Second),
		RefreshIn:    int64(e.options.RefreshIn / time.Second),
		AccessToken:  access,
	}
}

// commonClaims are those every access token has: version 1 or 2 by the resource.
func (e *Emulator) commonClaims(x *exchange, i *issue, lifetime time.Duration) map[string]any {
	claims := map[string]any{
		"iat": x.now.Unix(), "nbf": x.now.Unix(), "exp": x.now.Unix() + int64(lifetime/time.Second),
		"tid": i.tenantID, "uti": newUTI(i.sequence),
	}
	if i.resource.TokenVersion == 2 {
		claims["ver"] = "2.0"
		claims["iss"] = e.issuer(i.tenantID)
		claims["aud"] = i.resource.AppID
		claims["azp"], claims["azpacr"] = i.client.app.ClientID, i.client.method
	} else {
		claims["ver"] = "1.0"
		claims["iss"] = "https://sts.windows.net/" + i.tenantID + "/"
		claims["aud"] = cmp.Or(i.audience, i.resource.AppID)
		claims["appid"], claims["appidacr"] = i.client.app.ClientID, i.client.method
	}
	if i.cae {
		claims["xms_cc"], claims["xms_ssm"] = []string{"CP1"}, "1"
	}
	return claims
}

// accessClaims are those of "Access tokens in the Microsoft identity platform". The origin is what an exchange on
// behalf of the user starts from; only tokens that can be exchanged carry it.
func (e *Emulator) accessClaims(x *exchange, i *issue, origin grant, permissions []string, lifetime time.Duration) map[string]any {
	oid, _ := i.user.objectID(i.tenantID)
	claims := e.commonClaims(x, i, lifetime)
	claims["oid"], claims["sub"] = oid, pairwise(i.resource.AppID, i.tenantID, oid)
	claims["sid"], claims["name"] = i.grant.Session, i.user.Name
	// Only reserved scopes were asked for: the token is Graph's, to read the profile with.
	claims["scp"] = cmp.Or(strings.Join(permissions, " "), "openid profile email")
	if i.resource.TokenVersion == 2 {
		claims["preferred_username"] = i.user.Username
	} else {
		claims["upn"], claims["unique_name"] = i.user.Username, i.user.Username
		claims["acr"], claims["amr"] = "1", i.grant.amr()
	}
	if x.directory.app(i.resource.AppID) != nil {
		claims["aio"] = e.seal(sealedOrigin, origin)
	}
	i.addUserClaims(claims)
	return claims
}

// addUserClaims adds the claims that access and ID tokens share, where there is something to say.
func (i *issue) addUserClaims(claims map[string]any) {
	if len(i.user.Groups) > 0 {
		claims["groups"] = i.user.Groups
	}
	if len(i.user.Roles) > 0 {
		claims["roles"] = i.user.Roles
	}
	if len(i.acrs) > 0 {
		claims["acrs"] = i.acrs
	}
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
		claims["login_hint"] = loginHint(i.user, i.tenantID)
	}
	if i.scopes.reserved.email {
		claims["email"] = i.user.Username
	}
	i.addUserClaims(claims)
	return claims
}

// loginHint is the optional claim of that name, which an app hands back as logout_hint (or login_hint): opaque to the
// app, it names the user in a tenant. [directoryIndex.claimed] reads it.
func loginHint(user *User, tenantID string) string {
	oid, _ := user.objectID(tenantID)
	return base64.RawURLEncoding.EncodeToString([]byte(oid + " " + user.Username))
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
