package authcode

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// ClientAuth is how an app proves itself at the token endpoint (RFC 6749 section 2.3). Make one with [SecretAuth],
// [SecretBasicAuth], [CertificateAuth], [AssertionAuth] or [PublicAuth]. It prints without its secret.
type ClientAuth interface {
	fmt.Formatter
	// check finds, at construction, what would fail later.
	check() error
	// apply adds the proof to one token request.
	apply(ctx context.Context, request *authRequest) error
}

// authRequest is the part of a token request that client authentication sees and fills.
type authRequest struct {
	clientID string
	tokenURL string // the audience of assertions, always the configured endpoint (RFC 10070 section 1)
	adfs     bool   // AD FS knows only the older assertion header

	authorization string   // the header; "": none
	form          form     // parameters to add
	secrets       []string // what was added, so that it can be masked
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2

func (r *authRequest) setAssertion(assertion string) {
	r.form.add("client_assertion_type", assertionType)
	r.form.add("client_assertion", assertion)
	r.secrets = append(r.secrets, assertion)
}

// SecretAuth authenticates with a client secret in the request's body (client_secret_post), what Entra expects. The
// secret is sent byte for byte as given, blanks at its ends included. Empty, or with control characters:
// construction fails.
func SecretAuth(secret string) ClientAuth { return secretAuth{secret: secret} }

// SecretBasicAuth authenticates with a client secret in the Authorization header, form-encoded before base64
// (client_secret_basic, RFC 6749 section 2.3.1): for servers that ask for it.
func SecretBasicAuth(secret string) ClientAuth { return secretAuth{secret: secret, basic: true} }

type secretAuth struct {
	secret string
	basic  bool
}

func (a secretAuth) check() error {
	switch {
	case a.secret == "":
		return errors.New("the client secret is empty: give its value, or use PublicAuth for an app without one")
	case !utf8.ValidString(a.secret) || strings.ContainsFunc(a.secret, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return errors.New("the client secret holds control characters: check how it was read")
	}
	return nil
}

func (a secretAuth) apply(_ context.Context, r *authRequest) error {
	if !a.basic {
		r.form.add("client_secret", a.secret)
		r.secrets = append(r.secrets, a.secret)
		return nil
	}
	pair := url.QueryEscape(r.clientID) + ":" + url.QueryEscape(a.secret)
	encoded := base64.StdEncoding.EncodeToString([]byte(pair))
	r.authorization = "Basic " + encoded
	r.secrets = append(r.secrets, a.secret, encoded)
	return nil
}

func (a secretAuth) Format(state fmt.State, verb rune) {
	name := "SecretAuth"
	if a.basic {
		name = "SecretBasicAuth"
	}
	formatAs(state, verb, "authcode."+name+"("+mask+")")
}

func (a secretAuth) MarshalJSON() ([]byte, error) { return marshalAs(fmt.Sprint(a)) }

// AssertionAuth authenticates with a JWT that someone else signs: a Kubernetes service account, a managed identity, a
// CI system (workload identity federation, RFC 7523 section 2.2). The function is called for every request to the
// token endpoint, since such assertions are short-lived; its context ends with that request's time, and must be heeded: other requests
// of this user wait their turn. nil: construction fails.
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation
func AssertionAuth(assertion func(context.Context) (string, error)) ClientAuth {
	return assertionAuth{assertion}
}

type assertionAuth struct {
	assertion func(context.Context) (string, error)
}

func (a assertionAuth) check() error {
	if a.assertion == nil {
		return errors.New("AssertionAuth was given no function: pass one that returns a signed assertion")
	}
	return nil
}

func (a assertionAuth) apply(ctx context.Context, r *authRequest) error {
	assertion, err := a.assertion(withoutOurs(ctx))
	if err != nil {
		return fmt.Errorf("the client assertion function failed: %w", err)
	}
	if assertion == "" || !isVSCHAR(assertion) {
		return errors.New("the client assertion function returned no JWT")
	}
	r.setAssertion(assertion)
	return nil
}

func (a assertionAuth) Format(state fmt.State, verb rune) {
	formatAs(state, verb, "authcode.AssertionAuth(function)")
}

func (a assertionAuth) MarshalJSON() ([]byte, error) { return marshalAs(fmt.Sprint(a)) }

// PublicAuth is for an app that cannot keep a secret: a native app or a command (RFC 6749 section 2.1). It sends the
// client ID alone.
func PublicAuth() ClientAuth { return publicAuth{} }

type publicAuth struct{}

func (publicAuth) check() error                              { return nil }
func (publicAuth) apply(context.Context, *authRequest) error { return nil }

func (publicAuth) Format(state fmt.State, verb rune) {
	formatAs(state, verb, "authcode.PublicAuth()")
}

func (publicAuth) MarshalJSON() ([]byte, error) { return marshalAs(fmt.Sprint(publicAuth{})) }

// isPublic reports whether the app sends no proof of itself.
func isPublic(auth ClientAuth) bool {
	_, public := auth.(publicAuth)
	return public
}

// secretOf is a fixed secret of auth, to be masked wherever others might repeat it.
func secretOf(auth ClientAuth) string {
	if a, ok := auth.(secretAuth); ok {
		return a.secret
	}
	return ""
}
