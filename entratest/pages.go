package entratest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// submitScript sends the form_post page on; the policy allows this script alone, by its hash.
const submitScript = "document.forms[0].submit()"

var submitScriptHash = func() string {
	digest := sha256.Sum256([]byte(submitScript))
	return base64.StdEncoding.EncodeToString(digest[:])
}()

// pages are the emulator's HTML: plain, readable without a mouse and without colours, and marked as no real Entra.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"submit": func() template.JS { return submitScript },
}).Parse(`
{{define "top"}}<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
main { max-width: 26rem; margin: 8vh auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; }
button, input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem .75rem; margin: .2rem 0 .6rem; }
button { text-align: start; cursor: pointer; }
ul { list-style: none; padding: 0; }
.alert { border-inline-start: .3rem solid #c42b1c; padding-inline-start: .75rem; overflow-wrap: anywhere; }
.note { font-size: .85rem; overflow-wrap: anywhere; }
</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{end}}

{{define "bottom"}}
<p class="note">This is an emulator for tests, not Microsoft Entra ID.</p>
</main>
</body>
</html>
{{end}}

{{define "signin"}}{{template "top" .}}
{{with .Alert}}<p class="alert" role="alert">{{.}}</p>{{end}}
<p>to continue to <strong>{{.App}}</strong></p>
<form method="post">
<ul aria-label="Users">
{{range .Users}}<li><button name="emulator_user" value="{{.Username}}">{{.Name}} <small>{{.Username}}</small></button></li>
{{end}}</ul>
</form>
<details{{if .Open}} open{{end}}>
<summary>Use a password</summary>
<form method="post">
<label for="username">Username</label>
<input id="username" name="username" type="email" autocomplete="username" required value="{{.Hint}}">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password">
<button>Sign in</button>
</form>
</details>
<form method="post"><button name="cancel" value="1">Cancel</button></form>
<p class="note">By signing in you let the app use: {{.Scopes}}</p>
{{template "bottom" .}}{{end}}

{{define "message"}}{{template "top" .}}
<p{{if .Error}} class="alert" role="alert"{{end}}>{{.Text}}</p>
{{template "bottom" .}}{{end}}

{{define "formpost"}}{{template "top" .}}
<form method="post" action="{{.Action}}">
{{range $name, $values := .Parameters}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<button>Continue</button>
</form>
<script>{{submit}}</script>
{{template "bottom" .}}{{end}}
`))

// page makes an HTML answer.
func (e *Emulator) page(x *exchange, status int, name string, data map[string]any) *reply {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		panic(fmt.Sprintf("entratest: page %s: %v", name, err))
	}
	r := &reply{status: status, body: body.Bytes()}
	r.common(x)
	r.set("Content-Type", "text/html; charset=utf-8")
	r.set("X-Frame-Options", "DENY")
	// No form-action: browsers apply it to the redirect after a form as well, and that leads to the app.
	r.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'")
	return r
}

// signInPage asks who the user is. An alert says what was wrong with the last answer.
func (e *Emulator) signInPage(x *exchange, a *authorizeRequest, alert *oauthError) *reply {
	hint := a.loginHint
	if username := x.form.Get("username"); username != "" {
		hint = username
	}
	data := map[string]any{
		"Title":  "Sign in",
		"App":    a.app.Name,
		"Users":  usersFor(x, a),
		"Hint":   hint,
		"Open":   hint != "",
		"Scopes": strings.Join(strings.Fields(a.scopes.text), ", "),
	}
	if alert != nil {
		data["Alert"] = alert.message()
	}
	r := e.page(x, http.StatusOK, "signin", data)
	r.err = alert
	return r
}

// usersFor are the users who have an account where the app asked.
func usersFor(x *exchange, a *authorizeRequest) []User {
	var all []User
	for _, u := range x.directory.directory.Users {
		if _, member := u.objectID(a.tenantFor(&u)); member {
			all = append(all, u)
		}
	}
	return all
}

// errorPage shows an error to the user, because it cannot or must not go to the app.
func (e *Emulator) errorPage(x *exchange, status int, refusal *oauthError) *reply {
	r := e.page(x, status, "message", map[string]any{
		"Title": "Sorry, but we’re having trouble signing you in.",
		"Text":  e.describe(x, refusal).Description,
		"Error": true,
	})
	r.err = refusal
	return r
}

// formPostPage sends parameters to the app in a form, OAuth 2.0 Form Post Response Mode.
func (e *Emulator) formPostPage(x *exchange, action string, parameters url.Values) *reply {
	r := e.page(x, http.StatusOK, "formpost", map[string]any{
		"Title":      "Working...",
		"Action":     template.URL(action), // registered, so an app's own scheme may pass too
		"Parameters": map[string][]string(parameters),
	})
	r.header.Del("X-Frame-Options")
	r.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-"+submitScriptHash+"'; base-uri 'none'")
	return r
}
