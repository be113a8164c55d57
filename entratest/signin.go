package entratest

import (
	"crypto/subtle"
	"regexp"
	"slices"
	"strings"
)

// signInAtPages answers a browser's first request: the browser's session where it suffices, or the page to begin with.
func (e *Emulator) signInAtPages(x *exchange, a *authorizeRequest) *reply {
	p := e.begin(x)
	offered := slices.DeleteFunc(e.sessions(x), func(s signedIn) bool { return !a.offers(x, s.user) })
	if a.prompted("select_account") {
		return e.accountPage(x, a, p, nil)
	}
	if a.loginHint != "" || a.sid != "" {
		if s, ok := hinted(x, e.sessions(x), a); ok {
			return e.resume(x, a, p, s)
		}
		if user := x.directory.hinted(a.loginHint); user != nil {
			p.ObjectID = user.ObjectID
			return e.passwordPage(x, a, p, nil)
		}
		return e.accountPage(x, a, p, nil)
	}
	if len(offered) == 1 && !a.prompted("login") {
		return e.resume(x, a, p, offered[0])
	}
	return e.accountPage(x, a, p, nil)
}

// answerPage takes what a page posted, and answers with the next one.
func (e *Emulator) answerPage(x *exchange, a *authorizeRequest) *reply {
	if refusal := duplicate(x.form); refusal != nil {
		return e.errorPage(x, refusal.httpStatus(), refusal)
	}
	p, refusal := e.readFlow(x)
	if refusal != nil {
		return e.errorPage(x, refusal.httpStatus(), refusal)
	}
	if x.form.Has("cancel") {
		return e.declined(x, a, p)
	}
	if x.form.Has("another") {
		p.ObjectID, p.AMR, p.Session, p.Refusal = "", nil, nil, 0
		return e.accountPage(x, a, p, nil)
	}
	if p.Page == pageAccount {
		return e.accountChosen(x, a, p)
	}
	user := x.directory.oid(p.ObjectID)
	if user == nil { // the directory was exchanged meanwhile
		return e.accountPage(x, a, p, nil)
	}
	switch p.Page {
	case pagePassword:
		return e.passwordGiven(x, a, p, user)
	case pageRenew:
		return e.passwordRenewed(x, a, p, user)
	case pageMFA:
		return e.codeGiven(x, a, p, user)
	case pageConsent:
		return e.consentGiven(x, a, p, user)
	}
	return e.proceed(x, a, p, user) // the page had nothing to answer
}

// declined sends the browser back to the app with an error: the user's no, or what the page had refused them.
func (e *Emulator) declined(x *exchange, a *authorizeRequest, p *progress) *reply {
	refusal := refuse("access_denied", 65004)
	if user := x.directory.oid(p.ObjectID); user != nil && p.Refusal != 0 {
		refusal = refuse("access_denied", p.Refusal)
		switch p.Refusal {
		case 50020:
			refusal.args = []string{user.Username, a.authority.segment(), a.app.ClientID}
		case 50105:
			refusal.args = []string{a.app.Name, a.app.ClientID, user.Username}
		}
	}
	return e.deliverError(x, a, refusal)
}

// accountChosen takes a session of this browser, one of the emulator's users, or a username.
func (e *Emulator) accountChosen(x *exchange, a *authorizeRequest, p *progress) *reply {
	if x.form.Has("session") {
		all := e.sessions(x)
		i := slices.IndexFunc(all, func(s signedIn) bool { return s.session.ID == x.form.Get("session") })
		if i < 0 { // it ended meanwhile
			return e.accountPage(x, a, p, nil)
		}
		return e.resume(x, a, p, all[i])
	}
	if username := x.form.Get("emulator_user"); username != "" {
		user := x.directory.user(username)
		if user == nil {
			return e.accountPage(x, a, p, refuse("invalid_request", 50034, username))
		}
		p.ObjectID, p.AMR = user.ObjectID, []string{amrPassword}
		return e.proceed(x, a, p, user)
	}
	username := strings.TrimSpace(x.form.Get("loginfmt"))
	user := x.directory.user(username)
	if user == nil {
		return e.accountPage(x, a, p, refuse("invalid_request", 50034, username))
	}
	p.ObjectID = user.ObjectID
	return e.passwordPage(x, a, p, nil)
}

// resume goes on with a session of the browser; where the request or a policy wants the user to sign in again, they are
// asked for their password.
func (e *Emulator) resume(x *exchange, a *authorizeRequest, p *progress, s signedIn) *reply {
	p.ObjectID = s.user.ObjectID
	if a.prompted("login") {
		return e.passwordPage(x, a, p, nil)
	}
	if e.mayEnter(s.user, a) == nil {
		if refusal := e.outdated(x, a, s.user, s.session); refusal != nil {
			return e.passwordPage(x, a, p, refusal)
		}
	}
	p.Session, p.AMR = &s.session, s.session.AMR
	return e.proceed(x, a, p, s.user)
}

func (e *Emulator) passwordGiven(x *exchange, a *authorizeRequest, p *progress, user *User) *reply {
	if !e.state(user).knows(user, x.form.Get("passwd")) {
		return e.passwordPage(x, a, p, refuse("invalid_grant", 50126))
	}
	p.AMR = []string{amrPassword}
	return e.proceed(x, a, p, user)
}

// passwordRenewed takes a new password in place of an expired one.
func (e *Emulator) passwordRenewed(x *exchange, a *authorizeRequest, p *progress, user *User) *reply {
	old, renewed := x.form.Get("currentPassword"), x.form.Get("newPassword")
	switch {
	case !e.state(user).knows(user, old):
		return e.renewPage(x, a, p, user, refuse("invalid_grant", 50126))
	case renewed == "" || renewed == old:
		return e.renewPage(x, a, p, user, &oauthError{code: "invalid_request", text: "Choose a new password that is not the old one."})
	case renewed != x.form.Get("confirmNewPassword"):
		return e.renewPage(x, a, p, user, &oauthError{code: "invalid_request", text: "The two new passwords are not the same."})
	}
	e.mu.Lock()
	state := e.userState(user)
	state.renewed, state.password = true, renewed
	e.users[user.ObjectID] = state
	e.mu.Unlock()
	p.AMR = []string{amrPassword}
	return e.proceed(x, a, p, user)
}

// knows reports whether a password is the user's. One without a password takes any.
func (s userState) knows(user *User, password string) bool {
	want := user.Password
	if s.renewed {
		want = s.password
	}
	return want == "" || subtle.ConstantTimeCompare([]byte(password), []byte(want)) == 1
}

// passwordExpired reports whether the user has to set a new password first.
func (s userState) passwordExpired(user *User) bool { return user.PasswordExpired && !s.renewed }

var oneTimeCode = regexp.MustCompile(`^[0-9]{6}$`)

// codeGiven takes the second factor: any six digits, so that a test needs no authenticator.
func (e *Emulator) codeGiven(x *exchange, a *authorizeRequest, p *progress, user *User) *reply {
	code := strings.Join(strings.Fields(x.form.Get("otc")), "")
	if !oneTimeCode.MatchString(code) {
		return e.mfaPage(x, a, p, user, refuse("invalid_grant", 500121))
	}
	p.AMR = append(slices.Clone(p.AMR), amrMFA)
	return e.proceed(x, a, p, user)
}

func (e *Emulator) consentGiven(x *exchange, a *authorizeRequest, p *progress, user *User) *reply {
	asked := e.toConsent(user, a)
	if refusal := e.barred(user, a); refusal != nil {
		return e.refusedPage(x, a, p, user, refusal)
	}
	if refusal := mayConsent(user, a, asked); refusal != nil {
		return e.approvalPage(x, a, p, user, asked, refusal)
	}
	e.grantConsent(user, a.app, asked)
	if x.form.Has("consentForOrganization") && a.administers(user) {
		e.grantForAll(x, a.tenantFor(user), a.app, asked)
	}
	return e.deliverToBrowser(x, a, p, user)
}

// proceed asks for the next thing that is missing, or ends the sign-in. It alone decides what comes next, from what the
// user has proved, so the order of the pages is the same whichever way they came.
func (e *Emulator) proceed(x *exchange, a *authorizeRequest, p *progress, user *User) *reply {
	if refusal := e.mayEnter(user, a); refusal != nil {
		return e.refusedPage(x, a, p, user, refusal)
	}
	switch {
	case len(p.AMR) == 0:
		return e.passwordPage(x, a, p, nil)
	case e.state(user).passwordExpired(user):
		return e.renewPage(x, a, p, user, nil)
	case !strong(user, p.AMR):
		return e.mfaPage(x, a, p, user, nil)
	}
	if refusal := mayUse(user, a.app); refusal != nil {
		return e.refusedPage(x, a, p, user, refusal)
	}
	changed := p.Session == nil || len(p.Session.AMR) != len(p.AMR)
	if p.Session == nil {
		s := e.continued(x, e.newSession(x, a, user, p.AMR))
		p.Session = &s
	}
	p.Session.AMR = p.AMR
	asked := e.toConsent(user, a)
	if len(asked) == 0 {
		return e.deliverToBrowser(x, a, p, user)
	}
	r := e.askConsent(x, a, p, user, asked)
	if changed {
		r.header.Add("Set-Cookie", e.withSession(x, *p.Session).String())
	}
	return r
}

func (e *Emulator) askConsent(x *exchange, a *authorizeRequest, p *progress, user *User, asked []permission) *reply {
	if refusal := mayConsent(user, a, asked); refusal != nil {
		return e.approvalPage(x, a, p, user, asked, refusal)
	}
	return e.consentPage(x, a, p, user, asked)
}

// deliverToBrowser ends a sign-in at the pages.
func (e *Emulator) deliverToBrowser(x *exchange, a *authorizeRequest, p *progress, user *User) *reply {
	return e.remember(x, e.deliverCode(x, a, user, *p.Session), p.Session.signedInTo(a, user))
}

// toConsent is what the consent page has to ask: what is missing, or with prompt=consent everything.
func (e *Emulator) toConsent(user *User, a *authorizeRequest) []permission {
	if a.prompted("consent") {
		return append(a.scopes.signIn(), a.scopes.delegated()...)
	}
	return e.missingConsent(user, a.app, a.scopes)
}

// barred is why a user who has signed in gets no code.
func (e *Emulator) barred(user *User, a *authorizeRequest) *oauthError {
	if refusal := e.mayEnter(user, a); refusal != nil {
		return refusal
	}
	return mayUse(user, a.app)
}
