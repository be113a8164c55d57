package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
)

const cannedHost = "login.bench.example"

// canned is a token server without a network: a Transporter that answers by itself, so that a million accounts can be made
// through the public API, and requests can be counted.
type canned struct {
	accessBytes, refreshBytes int
	delay                     time.Duration // of each token answer
	expiresIn, refreshIn      int           // seconds
	signer                    *signer       // with ES256; nil: answers have no ID token

	failing  atomic.Bool // token requests fail without an answer
	codes    atomic.Int64
	refreshs atomic.Int64
}

func (c *canned) clientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: "https://" + cannedHost},
		Transport: c,
	}
}

// Do answers a request.
func (c *canned) Do(req *http.Request) (*http.Response, error) {
	switch {
	case strings.HasSuffix(req.URL.Path, "/openid-configuration"):
		return answerOf(discovery(cannedHost, "ES256")), nil
	case strings.HasSuffix(req.URL.Path, "/keys"):
		return c.keys()
	case strings.HasSuffix(req.URL.Path, "/token"):
		return c.token(req)
	}
	return nil, fmt.Errorf("no %s here", req.URL.Path)
}

func (c *canned) keys() (*http.Response, error) {
	signer := c.signer
	if signer == nil {
		var err error
		if signer, err = newECSigner(issuerAt(cannedHost)); err != nil { // a key set must not be empty
			return nil, err
		}
	}
	return answerOf(signer.jwks()), nil
}

func (c *canned) token(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	user := 0
	if form.Get("grant_type") == "refresh_token" {
		c.refreshs.Add(1)
		user, err = userOf("r", form.Get("refresh_token"))
	} else {
		c.codes.Add(1)
	}
	if err != nil {
		return nil, err
	}
	if err := c.wait(req.Context()); err != nil {
		return nil, err
	}
	if c.failing.Load() {
		return nil, errors.New("the server does not answer")
	}
	answer := tokenAnswer{
		access:    tokenText("a", user, c.accessBytes),
		refresh:   tokenText("r", user, c.refreshBytes),
		expiresIn: c.expiresIn,
		refreshIn: c.refreshIn,
		user:      user,
	}
	if c.signer != nil {
		if answer.id, err = c.signer.idToken(user, ""); err != nil {
			return nil, err
		}
	}
	return answerOf(answer.json()), nil
}

func (c *canned) wait(ctx context.Context) error {
	if c.delay == 0 {
		return nil
	}
	timer := time.NewTimer(c.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func answerOf(body []byte) *http.Response {
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}
