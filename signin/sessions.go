package signin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// createSession writes a session, findable before it exists. It reports false where it was ended before it was begun: the user
// signed out everywhere meanwhile.
func (h *Handler) createSession(ctx context.Context, key sessionKey, user *User, record sessionRecord) (bool, error) {
	until := record.SignedIn.Add(h.absolute)
	userIndex := h.userIndexKey(user.Account.ID)
	tooMany, err := h.addToIndex(ctx, userIndex, key, until)
	if err != nil {
		return false, err
	}
	if sid := user.claims.SessionID; sid != "" {
		more, err := h.addToIndex(ctx, h.sidIndexKey(sid), key, until)
		if err != nil {
			return false, err
		}
		tooMany = append(tooMany, more...)
	}
	version, swapped, err := h.swap(ctx, kindSession, key.store(), "", record, h.left(&record, time.Now()))
	if err != nil {
		return false, err
	}
	if !swapped { // it is there: an attempt before this one wrote it and did not hear so
		s, err := h.find(ctx, key)
		return s != nil, err
	}
	index, _, err := h.readIndex(ctx, userIndex)
	if err != nil {
		return false, err
	}
	if !index.has(key) {
		return false, h.remove(ctx, kindSession, key.store())
	}
	h.sessions.put(&session{key: key, record: record, user: user, version: version, checked: time.Now()})
	for _, old := range tooMany {
		if err := h.endByKey(ctx, old, SignOutReplaced); err != nil {
			h.options.Logger.WarnContext(ctx, "signin: an old session could not be ended", "session", old.String(), "error", err)
		}
	}
	return true, nil
}

// replaceSession ends the browser's session before a new one. Of the same user it was only renamed.
func (h *Handler) replaceSession(ctx context.Context, old *session, user *User) error {
	if old.user.Account.ID != user.Account.ID {
		return h.endSession(ctx, old, SignOutReplaced)
	}
	_, err := h.removeSession(ctx, old)
	return err
}

// endSession ends one session, and the grant with the user's last.
func (h *Handler) endSession(ctx context.Context, s *session, reason SignOutReason) error {
	left, err := h.removeSession(ctx, s)
	if err != nil {
		return err
	}
	h.tellSignOut(ctx, s.user.Account.ID, reason)
	if left > 0 || h.options.KeepGrants || reason == SignOutRevoked {
		return nil // a grant that Entra refused says why to whoever asks for it
	}
	return h.app.Forget(ctx, s.user.Account.ID)
}

// removeSession takes a session away, here and from the store, and tells how many its user has left.
func (h *Handler) removeSession(ctx context.Context, s *session) (left int, err error) {
	if err := h.remove(ctx, kindSession, s.key.store()); err != nil {
		return 0, err // it lives on, here too: who tries again finds it
	}
	h.sessions.end(s.key)
	h.dropClients(s.key)
	if sid := s.user.claims.SessionID; sid != "" {
		if _, err := h.changeIndex(ctx, h.sidIndexKey(sid), func(i *sessionIndex) { i.remove(s.key) }); err != nil {
			return 0, err
		}
	}
	index, err := h.changeIndex(ctx, h.userIndexKey(s.user.Account.ID), func(i *sessionIndex) { i.remove(s.key) })
	return len(index.Sessions), err
}

// endByKey ends a session that an index names; one that is gone has ended.
func (h *Handler) endByKey(ctx context.Context, key sessionKey, reason SignOutReason) error {
	s, err := h.load(ctx, key, false)
	if err != nil || s == nil {
		return err
	}
	return h.endSession(ctx, s, reason)
}

func (h *Handler) tellSignOut(ctx context.Context, accountID string, reason SignOutReason) {
	h.options.Logger.InfoContext(ctx, "signin: signed out", "account", accountID, "reason", string(reason))
	if h.options.OnSignOut == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			h.options.Logger.ErrorContext(ctx, fmt.Sprintf("signin: OnSignOut panicked (%T)", p))
		}
	}()
	h.options.OnSignOut(ctx, accountID, reason)
}

// Session is what a user may know of one of their sessions.
type Session struct {
	// Expires is when it ends at the latest.
	Expires time.Time
	// ID names it for EndSession. It is no secret.
	ID string
	// Seen is when it was last used, give or take a 24th of the idle timeout.
	Seen time.Time
	// SignedIn is when its sign-in or last step-up was.
	SignedIn time.Time
	// UserAgent is what the browser called itself at the sign-in, at most 200 bytes: text of the user's own.
	UserAgent string
}

// Sessions lists the sessions of an account (Account.ID), the newest sign-in first. Errors: ErrStoreUnavailable, the context's.
func (h *Handler) Sessions(ctx context.Context, accountID string) ([]Session, error) {
	index, _, err := h.readIndex(ctx, h.userIndexKey(accountID))
	if err != nil {
		return nil, err
	}
	var all []Session
	for _, key := range index.keys() {
		s, err := h.load(ctx, key, false)
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		all = append(all, Session{
			Expires:   s.record.SignedIn.Add(h.absolute),
			ID:        key.String(),
			Seen:      s.record.Seen,
			SignedIn:  s.record.SignedIn,
			UserAgent: s.record.Agent,
		})
	}
	slices.SortFunc(all, func(a, b Session) int { return b.SignedIn.Compare(a.SignedIn) })
	return all, nil
}

// EndSession ends one session of an account, by Session.ID. Ending one that is gone, or is another account's, changes nothing and is
// no error. Other replicas refuse it within 10 seconds. Errors: of what is no Session.ID; ErrStoreUnavailable, the context's.
func (h *Handler) EndSession(ctx context.Context, accountID, id string) error {
	key, ok := parseSessionKey(id)
	if !ok {
		return errors.New("signin: that is no session's ID: give one of Sessions")
	}
	s, err := h.load(ctx, key, false)
	if err != nil || s == nil || h.userIndexKey(s.user.Account.ID) != h.userIndexKey(accountID) {
		return err
	}
	return h.endSession(ctx, s, SignOutEverywhere)
}

// SignOutEverywhere ends all sessions of an account, and its grant unless Options.KeepGrants. Other replicas refuse them within 10
// seconds. The server's own session is not ended by it: that takes the user's browser, or Microsoft Graph's revokeSignInSessions.
// Errors: ErrStoreUnavailable, the context's; those that could not be ended are ended by the same call later.
func (h *Handler) SignOutEverywhere(ctx context.Context, accountID string) error {
	return h.endAll(ctx, accountID, SignOutEverywhere)
}

func (h *Handler) endAll(ctx context.Context, accountID string, reason SignOutReason) error {
	index, _, err := h.readIndex(ctx, h.userIndexKey(accountID))
	if err != nil {
		return err
	}
	for _, key := range index.keys() {
		if err := h.endByKey(ctx, key, reason); err != nil {
			return err
		}
	}
	// What the index still names has run out, or is being created: its creator looks here afterwards.
	_, err = h.changeIndex(ctx, h.userIndexKey(accountID), func(i *sessionIndex) { i.remove(index.keys()...) })
	if err != nil || h.options.KeepGrants || reason == SignOutRevoked {
		return err
	}
	return h.app.Forget(ctx, accountID)
}
