package entratest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
)

// submitScript sends the form_post page on. It is the only script there is; no page needs it.
const submitScript = "document.forms[0].submit()"

//go:embed pages/*.html pages/style.css
var pageFiles embed.FS

var (
	style = func() string {
		content, err := pageFiles.ReadFile("pages/style.css")
		if err != nil {
			panic("entratest: " + err.Error())
		}
		return string(content)
	}()

	// pages are the emulator's HTML: readable without a mouse and without colours, and marked as no real Entra.
	pages = template.Must(template.New("").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(style) },
		"submit": func() template.JS { return submitScript },
	}).ParseFS(pageFiles, "pages/*.html"))

	// contentPolicy lets a page use its own style, by its hash, and nothing else from anywhere. No form-action:
	// browsers apply it to the redirect after a form as well, and that leads to the app.
	contentPolicy = "default-src 'none'; style-src " + sourceHash(style) + "; base-uri 'none'"
)

func sourceHash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page makes an HTML answer.
func (e *Emulator) page(x *exchange, status int, name string, data map[string]any) *reply {
	if username := x.query.Get("emulator_user"); username != "" && x.endpoint == endpointAuthorize {
		data["EmulatorUser"] = username
	}
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		panic(fmt.Sprintf("entratest: page %s: %v", name, err))
	}
	r := &reply{status: status, body: body.Bytes()}
	r.common(x)
	r.set("Content-Type", "text/html; charset=utf-8")
	r.set("X-Frame-Options", "DENY")
	r.set("Content-Security-Policy", contentPolicy+"; frame-ancestors 'none'")
	return r
}

// ask makes a page with a form. An alert says what was wrong with the last answer.
func (e *Emulator) ask(x *exchange, a *authorizeRequest, p *progress, page string, alert *oauthError, data map[string]any) *reply {
	all := map[string]any{
		"App":    cmp.Or(a.app.Name, a.app.ClientID),
		"Tenant": a.authority.words(),
		"Flow":   e.sealFlow(x, p, page),
	}
	maps.Copy(all, data)
	if alert != nil {
		all["Alert"] = alert.message()
	}
	r := e.page(x, http.StatusOK, page, all)
	e.markBrowser(x, r)
	r.err = alert
	return r
}

// words are how a page names the authority to people.
func (a authority) words() string {
	switch {
	case a.tenant == nil && a.alias == "organizations":
		return "any organization"
	case a.tenant == nil:
		return "any organization or personal account"
	case a.tenant.ID == ConsumersTenantID:
		return "personal accounts"
	}
	return cmp.Or(a.tenant.Domain, a.tenant.ID)
}

// account is a user as a page shows one.
type account struct {
	Username, Name, Initials string
	Traits                   []string
	Session                  string // the ID of their session in this browser
}

func (e *Emulator) account(a *authorizeRequest, user *User) account {
	return account{
		Username: user.Username, Name: cmp.Or(user.Name, user.Username), Initials: user.initials(),
		Traits: user.traits(e.state(user), a.tenantFor(user)),
	}
}

// accountPage asks who the user is: one who has a session in this browser, one of the directory, or anybody else.
func (e *Emulator) accountPage(x *exchange, a *authorizeRequest, p *progress, alert *oauthError) *reply {
	var sessions, users []account
	signed := make(map[string]bool)
	another := x.form.Has("another") || x.form.Has("loginfmt")
	for _, s := range e.sessions(x) {
		if another || !a.offers(x, s.user) {
			continue
		}
		one := e.account(a, s.user)
		one.Session = s.session.ID
		sessions = append(sessions, one)
		signed[s.user.ObjectID] = true
	}
	for i := range x.directory.directory.Users {
		user := &x.directory.directory.Users[i]
		if a.offers(x, user) && !signed[user.ObjectID] {
			users = append(users, e.account(a, user))
		}
	}
	title := "Sign in"
	if len(sessions) > 0 {
		title = "Pick an account"
	}
	return e.ask(x, a, p, pageAccount, alert, map[string]any{
		"Title":    title,
		"Sessions": sessions,
		"Users":    users,
		"Hint":     cmp.Or(x.form.Get("loginfmt"), a.loginHint),
	})
}

// passwordPage asks for the password. Why it is asked of somebody who has signed in before is said in a note.
func (e *Emulator) passwordPage(x *exchange, a *authorizeRequest, p *progress, why *oauthError) *reply {
	user := x.directory.oid(p.ObjectID)
	data := map[string]any{"Title": "Enter password", "Account": e.account(a, user)}
	if why != nil && why.code == "interaction_required" {
		data["Note"], why = why.message(), nil
	}
	return e.ask(x, a, p, pagePassword, why, data)
}

func (e *Emulator) renewPage(x *exchange, a *authorizeRequest, p *progress, user *User, alert *oauthError) *reply {
	return e.ask(x, a, p, pageRenew, alert, map[string]any{
		"Title": "Set a new password", "Account": e.account(a, user), "Note": refuse("", 50055).message(),
	})
}

func (e *Emulator) mfaPage(x *exchange, a *authorizeRequest, p *progress, user *User, alert *oauthError) *reply {
	return e.ask(x, a, p, pageMFA, alert, map[string]any{"Title": "Enter the code", "Account": e.account(a, user)})
}

// permissionText is a permission as a page shows it.
type permissionText struct {
	Words, ID string
	AdminOnly bool
}

func texts(asked []permission) []permissionText {
	var all []permissionText
	for _, p := range asked {
		all = append(all, permissionText{p.words(), p.id(), p.adminOnly()})
	}
	return all
}

func (e *Emulator) consentPage(x *exchange, a *authorizeRequest, p *progress, user *User, asked []permission) *reply {
	return e.ask(x, a, p, pageConsent, nil, map[string]any{
		"Title": "Permissions requested", "Account": e.account(a, user), "Permissions": texts(asked),
		"Organization": a.administers(user),
	})
}

// approvalPage tells a user that only an administrator can say yes.
func (e *Emulator) approvalPage(x *exchange, a *authorizeRequest, p *progress, user *User, asked []permission, refusal *oauthError) *reply {
	p.Refusal = refusal.number
	return e.ask(x, a, p, pageApproval, refusal, map[string]any{
		"Title": "Need admin approval", "Account": e.account(a, user), "Permissions": texts(asked),
	})
}

// refusedPage tells a user why they do not get in. Another account may; else the app is told.
func (e *Emulator) refusedPage(x *exchange, a *authorizeRequest, p *progress, user *User, refusal *oauthError) *reply {
	p.Refusal, p.Session, p.AMR = refusal.number, nil, nil
	return e.ask(x, a, p, pageRefused, refusal, map[string]any{
		"Title": "You can’t get in", "Account": e.account(a, user), "Remedy": remedies[refusal.number],
	})
}

// errorPage shows an error to the user, because it cannot or must not go to the app.
func (e *Emulator) errorPage(x *exchange, status int, refusal *oauthError) *reply {
	d := e.describe(x, refusal)
	data := map[string]any{
		"Title": "Sign-in failed", "Text": refusal.message(), "Error": true, "Remedy": remedies[refusal.number],
		"Details": [][2]string{
			{"Error", d.Error}, {"Trace ID", d.TraceID}, {"Correlation ID", d.CorrelationID}, {"Time", d.Timestamp},
		},
	}
	if app := x.directory.app(x.query.Get("client_id")); app != nil && x.known && x.endpoint == endpointAuthorize {
		data["App"], data["Tenant"] = cmp.Or(app.Name, app.ClientID), x.authority.words()
	}
	if refusal.number == 165000 || refusal.number == 50089 {
		data["Again"] = "?" + x.request.URL.RawQuery
	}
	r := e.page(x, status, "message", data)
	r.err = refusal
	return r
}

// formPostPage sends parameters to the app in a form, OAuth 2.0 Form Post Response Mode.
func (e *Emulator) formPostPage(x *exchange, a *authorizeRequest, parameters url.Values) *reply {
	r := e.page(x, http.StatusOK, "formpost", map[string]any{
		"Title":      "Back to the app",
		"App":        cmp.Or(a.app.Name, a.app.ClientID),
		"Tenant":     a.authority.words(),
		"Action":     template.URL(a.redirectURI), // registered, so an app's own scheme may pass too
		"Parameters": map[string][]string(parameters),
	})
	r.header.Del("X-Frame-Options") // apps sign users in silently in hidden frames
	r.set("Content-Security-Policy", contentPolicy+"; script-src "+sourceHash(submitScript))
	return r
}
