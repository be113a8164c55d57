package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

const (
	demoUser     = "alice@contoso.example"
	redirectURI  = "https://app.example.com/auth/callback"
	afterSignOut = "https://app.example.com/"

	graphScope   = "https://graph.microsoft.com/User.Read"
	storageScope = "https://storage.azure.com/user_impersonation"
	ordersScope  = "api://orders/Orders.Read"
)

// journey is what the steps hand on to each other.
type journey struct {
	emulator     *entratest.Server
	registration entratest.App
	tenant       entratest.Tenant
	user         entratest.User

	app        *authcode.App
	flow       *authcode.Flow
	callback   url.Values
	credential *authcode.AuthorizationCodeCredential
	account    authcode.Account

	graph, storage azcore.AccessToken
	rotated        string // the refresh token that the last answer brought
}

// walk takes one step, and holds it to the requests it may make.
func (j *journey) walk(ctx context.Context, o *outcome) {
	before, began := len(j.tokenRequests()), time.Now()
	o.details, o.err = o.take(ctx, j)
	o.duration = time.Since(began)
	o.posts = len(j.tokenRequests()) - before
	if o.err == nil {
		o.err = expect("requests to the token endpoint", o.step.posts, o.posts)
	}
}

func (j *journey) end() {
	if j.app != nil {
		_ = j.app.Close() // always nil
	}
	if j.emulator != nil {
		_ = j.emulator.Close() // nobody is left who could mind
	}
}

// tokenRequests are those the emulator has seen so far.
func (j *journey) tokenRequests() []entratest.Request {
	if j.emulator == nil {
		return nil
	}
	var posts []entratest.Request
	for _, request := range j.emulator.Requests() {
		if request.Endpoint == "token" {
			posts = append(posts, request)
		}
	}
	return posts
}

func (j *journey) lastTokenRequest() entratest.Request {
	posts := j.tokenRequests()
	if len(posts) == 0 {
		return entratest.Request{}
	}
	return posts[len(posts)-1]
}

// clientOptions lead the library to the emulator.
func (j *journey) clientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: j.emulator.URL()},
		Transport: j.emulator.Client(),
	}
}

// mismatch is a claim of a step that did not hold.
type mismatch struct{ what, expected, seen string }

// Error implements error.
func (m *mismatch) Error() string {
	return fmt.Sprintf("%s: expected %s, seen %s", m.what, m.expected, m.seen)
}

func expect[T comparable](what string, expected, seen T) error {
	if expected == seen {
		return nil
	}
	return &mismatch{what: what, expected: orNothing(expected), seen: orNothing(seen)}
}

func orNothing(value any) string { return cmp.Or(fmt.Sprint(value), "nothing") }

// expectSecret is expect for values that are not to be shown.
func expectSecret(what, expected, seen string) error {
	if expected == seen {
		return nil
	}
	return &mismatch{what: what, expected: shorten(expected), seen: shorten(seen)}
}
