package entratest

import (
	"crypto/subtle"
	"net/url"
	"slices"
	"strings"
)

// client is an app that has proved who it is.
type client struct {
	app *App
	// method is the token's appidacr or azpacr: "0" nothing, "1" secret, "2" certificate or
	// federated assertion.
	method string
}

// credentials is what a token request brings to prove who sends it.
type credentials struct {
	clientID  string
	secret    string
	assertion string
	kind      string // client_assertion_type
	methods   int    // how many ways to authenticate it uses
}

// authenticate checks the client, RFC 6749 section 3.2.1.
func (e *Emulator) authenticate(x *exchange) (client, *oauthError) {
	c, refusal := readCredentials(x)
	if refusal != nil {
		return client{}, refusal
	}
	app := x.directory.app(c.clientID)
	if refusal := x.authority.admits(app, c.clientID); refusal != nil {
		return client{}, refusal
	}
	origin := x.request.Header.Get("Origin")
	switch {
	case app.Disabled:
		return client{}, refuse("unauthorized_client", 7000112, app.ClientID, app.Name)
	case app.Type == SPA && origin == "":
		return client{}, refuse("invalid_request", 9002327)
	case app.Type != SPA && origin != "":
		return client{}, refuse("invalid_request", 9002326)
	case app.Type != Confidential && c.methods > 0:
		return client{}, refuse("invalid_client", 700025)
	case app.Type != Confidential:
		return client{app: app, method: "0"}, nil
	case c.methods == 0:
		return client{}, refuse("invalid_client", 7000218)
	case c.assertion != "":
		return client{app: app, method: "2"}, e.checkAssertion(x, app, c)
	case isOneOf(c.secret, app.Secrets):
		return client{app: app, method: "1"}, nil
	case isOneOf(c.secret, app.ExpiredSecrets):
		return client{}, refuse("invalid_client", 7000222, app.ClientID)
	}
	return client{}, refuse("invalid_client", 7000215, app.ClientID)
}

func isOneOf(given string, secrets []string) bool {
	return slices.ContainsFunc(secrets, func(secret string) bool {
		return secret != "" && subtle.ConstantTimeCompare([]byte(secret), []byte(given)) == 1
	})
}

// readCredentials collects the ways to authenticate that RFC 6749 section 2.3 and RFC 7523 section 2.2 know.
func readCredentials(x *exchange) (credentials, *oauthError) {
	c := credentials{
		clientID:  x.form.Get("client_id"),
		secret:    x.form.Get("client_secret"),
		assertion: x.form.Get("client_assertion"),
		kind:      x.form.Get("client_assertion_type"),
	}
	if c.secret != "" {
		c.methods++
	}
	if c.assertion != "" {
		c.methods++
	}
	if scheme, _, _ := strings.Cut(x.request.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Basic") {
		user, password, ok := x.request.BasicAuth()
		// Both are form-encoded before they are joined, RFC 6749 section 2.3.1.
		id, err := url.QueryUnescape(user)
		secret, err2 := url.QueryUnescape(password)
		if !ok || err != nil || err2 != nil || (c.clientID != "" && !strings.EqualFold(c.clientID, id)) {
			return c, refuse("invalid_request", 9002313)
		}
		c.clientID, c.secret = id, secret
		c.methods++
	}
	switch {
	case c.clientID == "":
		return c, refuse("invalid_request", 900144, "client_id")
	case c.methods > 1:
		return c, &oauthError{code: "invalid_request", number: 90023,
			text: "Invalid request: a client must not use more than one way to authenticate."}
	}
	return c, nil
}
