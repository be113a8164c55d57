package entratest

// RevokeSessions signs a user out everywhere, as Graph's revokeSignInSessions does: codes, refresh tokens, browser
// sessions and what a user gave a device from before are refused with AADSTS50173, and so are CAE access tokens at
// [Emulator.VerifyAccessToken] and at userinfo, with a claims challenge. Other access tokens live until they expire.
func (e *Emulator) RevokeSessions(username string) error {
	return e.changeUser(username, func(s *userState) {
		s.sessionsBefore = e.sequence.Add(1)
		s.accessBefore, s.accessTime = s.sessionsBefore, e.Now()
	})
}

// RevokeAccessTokens is a critical event of continuous access evaluation that leaves refresh tokens alone, such as a
// changed location: the user's CAE access tokens issued so far fail at [Emulator.VerifyAccessToken] with a
// [RevokedError]; those issued later, by a refresh with its claims for instance, pass. It panics if there is no such
// user.
func (e *Emulator) RevokeAccessTokens(username string) {
	err := e.changeUser(username, func(s *userState) {
		s.accessBefore, s.accessTime = e.sequence.Add(1), e.Now()
	})
	if err != nil {
		panic(err)
	}
}

// SetDisabled disables a user's account, or enables it again: while disabled, sign-ins and token requests are refused
// with AADSTS50057. Disabling is a critical event too, as [Emulator.RevokeAccessTokens].
func (e *Emulator) SetDisabled(username string, disabled bool) error {
	return e.changeUser(username, func(s *userState) {
		s.disabled, s.switched = disabled, true
		if disabled {
			s.accessBefore, s.accessTime = e.sequence.Add(1), e.Now()
		}
	})
}

func (e *Emulator) changeUser(username string, change func(*userState)) error {
	user, err := e.findUser(username)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	state := e.userState(user)
	change(&state)
	e.users[user.ObjectID] = state
	return nil
}

// userState is what is known of a user now. The caller holds e.mu.
func (e *Emulator) userState(user *User) userState {
	state := e.users[user.ObjectID]
	if !state.switched {
		state.disabled = user.Disabled
	}
	return state
}

// state is userState for those who do not hold the lock.
func (e *Emulator) state(user *User) userState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.userState(user)
}
