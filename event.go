package authcode

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// EventKind is what happened to a grant.
type EventKind string

const (
	// EventRedeem is the redemption of a code.
	EventRedeem EventKind = "redeem"
	// EventRefresh is the redemption of a refresh token for an access token.
	EventRefresh EventKind = "refresh"
	// EventImport is the redemption of a refresh token given to App.ImportRefreshToken.
	EventImport EventKind = "import"
	// EventStore is the writing of a grant that the Store could not be told at once: failed when it could not, and the grant stays
	// in memory; ok when it was written later. KeepAlive tells of what it could not read with one that names no account.
	EventStore EventKind = "store"
	// EventForget is the removal of a grant.
	EventForget EventKind = "forget"
)

// EventOutcome is how it ended.
type EventOutcome string

const (
	// OutcomeOK means that it succeeded.
	OutcomeOK EventOutcome = "ok"
	// OutcomeFailed means that it failed; the grant is as it was.
	OutcomeFailed EventOutcome = "failed"
	// OutcomeSignInRequired means that only a new sign-in of the user helps.
	OutcomeSignInRequired EventOutcome = "sign_in_required"
)

// Event tells AppOptions.OnEvent what happened, for metrics and logs. It holds no secret, and the account only as a
// hash.
type Event struct {
	// Account is a SHA-256 of the account ID, in hex. Empty: the account is not known.
	Account string
	// Duration is how long the work took, waits included.
	Duration time.Duration
	// Err is why it failed; nil on success.
	Err error
	// GrantedScope is the scopes of the token as the server granted them, separated by spaces: fewer than asked
	// for is not an error, and this is where it shows. Empty: as asked, or no token.
	GrantedScope string
	// Kind is what was done.
	Kind EventKind
	// Outcome is how it ended.
	Outcome EventOutcome
	// TenantID is the tenant that was asked. Empty with own Endpoints.
	TenantID string
}

// report tells of one request to the token endpoint.
func (a *App) report(ctx context.Context, kind EventKind, began time.Time, q query, answer *tokenAnswer, accountID string, err error) {
	event := Event{Duration: time.Since(began), Err: err, Kind: kind, TenantID: q.key.tenant}
	if answer != nil && err == nil {
		event.GrantedScope = answer.scope
	}
	a.emit(ctx, event, accountID)
}

// emit calls OnEvent. A panic in it is the observer's and must not cost the user their token.
func (a *App) emit(ctx context.Context, e Event, accountID string) {
	if a.onEvent == nil {
		return
	}
	defer func() { _ = recover() }()
	if accountID != "" {
		sum := sha256.Sum256([]byte(accountID))
		e.Account = hex.EncodeToString(sum[:])
	}
	e.Outcome = outcomeOf(e.Err)
	a.onEvent(ctx, e)
}

func outcomeOf(err error) EventOutcome {
	if err == nil {
		return OutcomeOK
	}
	if _, required := errors.AsType[*AuthenticationRequiredError](err); required {
		return OutcomeSignInRequired
	}
	return OutcomeFailed
}
