package authcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// tokenCall is what policies and the transport know of the token request that passes them.
type tokenCall struct {
	adfs     bool
	auth     ClientAuth
	clientID string
	form     form
	sent     sentState
	tokenURL string

	mu      sync.Mutex
	secrets []string // of all tries
}

// proofPolicy adds the client's authentication to each try: a server that refuses replayed assertions (RFC 7523 section 3,
// number 7) must be able to accept a retry.
type proofPolicy struct{}

func (proofPolicy) Do(req *policy.Request) (*http.Response, error) {
	if call := tokenCallOf(req.Raw().Context()); call != nil {
		if err := call.prove(req); err != nil {
			return nil, &proofError{err}
		}
	}
	return req.Next()
}

// proofError is a failure before anything was sent.
type proofError struct{ err error }

func (e *proofError) Error() string { return e.err.Error() }
func (e *proofError) Unwrap() error { return e.err }
func (e *proofError) NonRetriable() {}

func (c *tokenCall) prove(req *policy.Request) (err error) {
	defer func() {
		if p := recover(); p != nil { // its value may be a secret
			err = fmt.Errorf("the client assertion function panicked (%T)", p)
		}
	}()
	proof := &authRequest{
		adfs:     c.adfs,
		clientID: c.clientID,
		tokenURL: c.tokenURL,
	}
	if err := c.auth.apply(req.Raw().Context(), proof); err != nil {
		return err
	}
	c.mu.Lock()
	c.secrets = append(c.secrets, proof.secrets...)
	c.mu.Unlock()
	if proof.authorization != "" {
		req.Raw().Header.Set("Authorization", proof.authorization)
	}
	if len(proof.form) == 0 {
		return nil
	}
	given, err := bodyOf(req)
	if err != nil {
		return err
	}
	return setForm(req, given+"&"+proof.form.encode())
}

// bodyOf reads the form as the caller's policies left it.
func bodyOf(req *policy.Request) (string, error) {
	body := req.Body()
	if body == nil {
		return "", errors.New("a policy took the request's body away")
	}
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	form := make([]byte, size) // io.Copy would take 32 KB for it
	_, err = io.ReadFull(body, form)
	return string(form), err
}

// withoutOurs is the context for a function of the caller's that may make requests of its own: they are not this one.
func withoutOurs(ctx context.Context) context.Context {
	return &requestContext{Context: ctx}
}

// redactor masks everything secret that this request sent.
func (c *tokenCall) redactor() redactor {
	c.mu.Lock()
	secrets := append([]string{secretOf(c.auth)}, c.secrets...)
	c.mu.Unlock()
	for _, name := range []string{"code", "refresh_token", "code_verifier"} {
		secrets = append(secrets, c.form.get(name))
	}
	return newRedactor(secrets...)
}

func (c *tokenCall) redact(err error) error {
	if c == nil {
		return err
	}
	return c.redactor().error(err)
}
