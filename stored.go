package authcode

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	recordLifetime = idleLifetime        // by then the server refuses the refresh token
	markKept       = 30 * 24 * time.Hour // a record that says why its user must sign in
	leastLifetime  = time.Minute         // of a record without a refresh token
)

const (
	grantKind  = "grant:"
	appTagSize = 6 // bytes of a key that all of one app's have in common, for List
)

// grantPrefix begins the keys of this app's grants. Two apps may share a store: what tells them apart is the token endpoint and
// the client ID, as a hash.
func (a *App) grantPrefix() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"app", a.site.endpointsOf(a.tenants.home).Token, a.clientID}, "\x00")))
	return grantKind + base64.RawURLEncoding.EncodeToString(sum[:appTagSize])
}

// recordKey is where the record of an account is. It is a hash: a dump of the store names no user.
func (a *App) recordKey(accountID string) string {
	accountID = accountKey(accountID)
	sum := sha256.Sum256([]byte(strings.Join([]string{grantKind, a.site.endpointsOf(a.tenants.home).Token, a.clientID, accountID}, "\x00")))
	return a.grantPrefix() + base64.RawURLEncoding.EncodeToString(sum[:])
}

// recordData ties a sealed record to its key, its app and its kind: on another user's key it does not open.
func (a *App) recordData(key string) []byte {
	return []byte(strings.Join([]string{"authcode record v1", key, a.clientID}, "\x00"))
}

// brokenRecordError is a record that is there and cannot be read. It is kept, for those who want to know why; a new sign-in
// replaces it.
type brokenRecordError struct {
	key   string
	cause error
}

func (e *brokenRecordError) Error() string {
	return fmt.Sprintf("the stored record %s cannot be read: %s", e.key, strings.TrimPrefix(e.cause.Error(), "authcode: "))
}

func (e *brokenRecordError) Unwrap() error { return e.cause }

// unavailable is what a fault of the store, or of a Sealer of the caller's, becomes.
func unavailable(doing string, cause error) error {
	return fmt.Errorf("%w: %s failed: %w", ErrStoreUnavailable, doing, cause)
}

// contain makes a panic of the caller's Store or Sealer a fault of theirs: it must not take down the process from a goroutine of ours.
// Its value is not printed, since it may hold a secret.
func contain(doing string, err *error) {
	if p := recover(); p != nil {
		*err = unavailable(doing, fmt.Errorf("a panic (%T)", p))
	}
}

// readRecord gives the snapshot that is stored for an account, nil where there is none. A record that is there and cannot be
// opened is an error, a *brokenRecordError if it is the record's fault, beside a snapshot that has nothing but its version.
func (a *App) readRecord(ctx context.Context, accountID string) (*snapshot, error) {
	return a.readKey(ctx, a.recordKey(accountID))
}

func (a *App) readKey(caller context.Context, key string) (s *snapshot, err error) {
	defer contain("reading a grant", &err)
	ctx, done := a.inTime(caller)
	defer func() { done(err) }()
	data, version, found, err := a.store.Get(ctx, key)
	if err != nil && caller.Err() == nil {
		a.outage.failed()
	}
	switch {
	case err != nil:
		return nil, unavailable("reading a grant", err)
	case !found:
		return nil, nil
	}
	sealed := &snapshot{holding: &holding{version: version}}
	plain, err := a.sealer.DecryptWithContext(ctx, data, a.recordData(key))
	switch {
	case errors.Is(err, ErrBrokenSeal):
		return sealed, &brokenRecordError{key, err}
	case err != nil: // a key that is missing here, or a key service that does not answer: not the record's fault
		return sealed, unavailable("opening the stored record "+key, err)
	}
	s, err = a.decodeRecord(plain, time.Now())
	if err != nil {
		return sealed, &brokenRecordError{key, err}
	}
	s.version = version
	return s, nil
}

// writeRecord swaps a snapshot in. An error leaves open whether it was written; the same call again tells.
func (a *App) writeRecord(ctx context.Context, key, oldVersion, newVersion string, s *snapshot) (swapped bool, err error) {
	defer contain("writing a grant", &err)
	ctx, done := a.inTime(ctx)
	defer func() { done(err) }()
	sealed, err := a.sealer.EncryptWithContext(ctx, encodeRecord(s), a.recordData(key))
	if err != nil {
		return false, unavailable("sealing a grant", err)
	}
	swapped, err = a.store.Swap(ctx, key, oldVersion, newVersion, sealed, s.recordTTL(time.Now()))
	if err != nil {
		return false, unavailable("writing a grant", err)
	}
	return swapped, nil
}

// recordTTL is how long the record is of any use.
func (s *snapshot) recordTTL(now time.Time) time.Duration {
	switch {
	case s.mark != nil:
		return markKept
	case s.refreshToken != "":
		return recordLifetime
	}
	last := s.first.access.ExpiresOn
	for i := range s.others {
		if other := s.others[i].access.ExpiresOn; other.After(last) {
			last = other
		}
	}
	return max(last.Sub(now), leastLifetime)
}

func (a *App) deleteRecord(ctx context.Context, key string) (err error) {
	defer contain("removing a grant", &err)
	ctx, done := a.inTime(ctx)
	defer func() { done(err) }()
	if err := a.store.Delete(ctx, key); err != nil {
		return unavailable("removing a grant", err)
	}
	return nil
}
