package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/authcode-go/authcode"
)

// User is who a request is from: an account of the app, and the session that says so. It is shared by the requests of a session
// and does not change: a new sign-in or step-up makes a new one.
type User struct {
	// Account is who it is, its Claims those of the last sign-in's ID token. Account.ID is the key for your own tables; where users of
	// several tenants sign in, Account.TenantID and Account.ObjectID tell which directory's user it is. A username or an e-mail
	// address is neither: both can change hands.
	Account authcode.Account

	handler    *Handler // whose user it is: of two in one process neither takes the other's word
	credential *authcode.AuthorizationCodeCredential
	key        sessionKey
	signedIn   time.Time
	claims     userClaims
}

// userClaims are those of an ID token that this package looks at.
// https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
type userClaims struct {
	ACRs       stringOrList    `json:"acrs"`
	ClaimNames json.RawMessage `json:"_claim_names"`
	Groups     []string        `json:"groups"`
	HasGroups  bool            `json:"hasgroups"`
	Issuer     string          `json:"iss"`
	LoginHint  string          `json:"login_hint"`
	Roles      []string        `json:"roles"`
	SessionID  string          `json:"sid"`
}

// stringOrList is a claim that Entra writes as one string or as several.
type stringOrList []string

func (l *stringOrList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = stringOrList{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// newUser reads the claims one by one: one of another shape than Entra's, of a server with its own ideas, is as good as missing.
func (h *Handler) newUser(account authcode.Account, key sessionKey, signedIn time.Time) *User {
	u := &User{handler: h, Account: account, credential: h.app.Credential(account.ID), key: key, signedIn: signedIn}
	var all map[string]json.RawMessage
	if account.Claims(&all) != nil {
		return u
	}
	c := &u.claims
	for name, value := range map[string]any{
		"acrs": &c.ACRs, "_claim_names": &c.ClaimNames, "groups": &c.Groups, "hasgroups": &c.HasGroups, "iss": &c.Issuer,
		"login_hint": &c.LoginHint, "roles": &c.Roles, "sid": &c.SessionID,
	} {
		if raw, ok := all[name]; ok {
			_ = json.Unmarshal(raw, value)
		}
	}
	return u
}

// Claims decodes the ID token's claims into v, as Account.Claims does.
func (u *User) Claims(v any) error { return u.Account.Claims(v) }

// Credential is this user's, for an Azure client that serves this user alone. If the grant needs a new sign-in, its GetToken gives
// an error for [Handler.Challenge].
func (u *User) Credential() *authcode.AuthorizationCodeCredential { return u.credential }

// Roles are the app roles of the user (the roles claim). Empty: none.
func (u *User) Roles() []string { return slices.Clone(u.claims.Roles) }

// HasRole reports whether the user has one of the roles.
func (u *User) HasRole(roles ...string) bool {
	return slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(u.claims.Roles, role) })
}

// Groups are the object IDs of the user's groups, if the app registration adds the groups claim. Empty: none, or see
// GroupsOverage.
func (u *User) Groups() []string { return slices.Clone(u.claims.Groups) }

// HasGroup reports whether the groups claim has one of the IDs.
func (u *User) HasGroup(ids ...string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(u.claims.Groups, id) })
}

// GroupsOverage reports that the user is in more groups than an ID token holds: Groups is empty, and Microsoft Graph's
// /me/transitiveMemberOf has them. Decide nothing on Groups then.
// https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference#groups-overage-claim
func (u *User) GroupsOverage() bool {
	var sources map[string]any
	_ = json.Unmarshal(u.claims.ClaimNames, &sources)
	_, overage := sources["groups"]
	return overage || u.claims.HasGroups
}

// AuthenticationContexts are those that the last sign-in proved (the acrs claim). Empty: none.
// https://learn.microsoft.com/entra/identity-platform/developer-guide-conditional-access-authentication-context
func (u *User) AuthenticationContexts() []string { return slices.Clone(u.claims.ACRs) }

// SignedIn is when the session's sign-in or last step-up was.
func (u *User) SignedIn() time.Time { return u.signedIn }

// SessionID names the session for [Handler.Sessions] and [Handler.EndSession]. It is no secret: nobody comes in with it.
func (u *User) SessionID() string { return u.key.String() }

// Format prints the account, for every verb.
func (u *User) Format(state fmt.State, verb rune) { fmt.Fprintf(state, "signin.User%v", u.Account) }

// LogValue gives the account's ID to slog.
func (u *User) LogValue() slog.Value { return slog.StringValue(u.Account.ID) }

// MarshalJSON gives the account's exported fields.
func (u *User) MarshalJSON() ([]byte, error) { return json.Marshal(u.Account) }

type userContextKey struct{}

// UserFrom gives the user of a request: of one that passed [Handler.RequireUser], [Handler.LoadUser] or [Handler.Func]. false:
// nobody is signed in, or the request passed none of them.
func UserFrom(ctx context.Context) (*User, bool) {
	u, ok := ctx.Value(userContextKey{}).(*User)
	return u, ok
}
