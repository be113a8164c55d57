package entratest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// entraTime is how Entra writes times in the texts of its errors.
const entraTime = "2006-01-02T15:04:05.0000000Z"

// accountOf is the user of a grant, unless something became of the account: it is gone or disabled, or what it granted
// was revoked.
func (e *Emulator) accountOf(x *exchange, g *grant) (*User, *oauthError) {
	user := x.directory.oid(g.ObjectID)
	if user == nil {
		refusal := refuse("invalid_grant", 50034, g.ObjectID)
		refusal.suberror = "bad_token"
		return nil, refusal
	}
	switch state := e.state(user); {
	case state.disabled:
		return nil, refuse("invalid_grant", 50057)
	case g.Sequence < state.sessionsBefore:
		refusal := refuse("invalid_grant", 50173)
		refusal.suberror = "bad_token"
		return nil, refusal
	}
	return user, nil
}

// checkPolicies refuses what the organization's policies keep the user from. Entra sends the claims member with
// AADSTS53003 in some tenants and not in others; there is nothing a client could do with it, and it is not sent here.
func (e *Emulator) checkPolicies(x *exchange, i *issue) *oauthError {
	user, app := i.user, i.client.app
	signedIn := time.Unix(i.grant.AuthTime, 0).UTC()
	var refusal *oauthError
	switch {
	case len(app.Assigned) > 0 && !slices.ContainsFunc(app.Assigned, func(name string) bool { return strings.EqualFold(name, user.Username) }):
		refusal = refuse("invalid_grant", 50105, app.Name, app.ClientID, user.Username)
	case user.Blocked:
		refusal = refuse("invalid_grant", 53003)
		refusal.suberror = "message_only"
	case e.state(user).passwordExpired(user):
		refusal = refuse("invalid_grant", 50055)
		refusal.suberror = "user_password_expired"
	case user.SignInFrequency > 0 && x.now.Sub(signedIn) >= user.SignInFrequency:
		refusal = refuse("invalid_grant", 70043, signedIn.Format(entraTime), strconv.Itoa(int(user.SignInFrequency.Seconds())))
		refusal.suberror = "token_expired"
	case !strong(user, i.grant.AMR):
		refusal = refuse("invalid_grant", 50076, i.resource.AppID)
		refusal.suberror = "basic_action"
	}
	return refusal
}
