package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/authcode-go/authcode"
)

// job is one call per user.
type job struct {
	app        *authcode.App
	client     *http.Client
	out        io.Writer
	scope, url string
}

// run calls the API as each user of the store, and says a line about each. A user who has to sign in again keeps nobody else
// waiting; anything else that fails is this run's error, once all users have had their turn.
func (j *job) run(ctx context.Context) error {
	var called, waiting int
	var failures []error
	for account, err := range j.app.Accounts(ctx) {
		if err != nil {
			return err // the store does not answer, or holds a record that does not open
		}
		size, err := j.call(ctx, account)
		required, wantsUser := errors.AsType[*authcode.AuthenticationRequiredError](err)
		switch {
		case err == nil:
			called++
			j.say("%s: %d bytes", account.Username, size)
		case wantsUser:
			waiting++
			j.say("%s has to sign in: %s", account.Username, why(required)) // write to them
		default:
			failures = append(failures, fmt.Errorf("%s: %w", account.ID, err))
			j.say("%s: failed", account.Username)
		}
	}
	j.say("%d called, %d have to sign in, %d failed", called, waiting, len(failures))
	return errors.Join(failures...)
}

// call is one request through a pipeline of this user's alone: it gets tokens, answers claims challenges and tries again.
func (j *job) call(ctx context.Context, account authcode.Account) (size int64, err error) {
	pipeline := runtime.NewPipeline("worker", "v1", runtime.PipelineOptions{
		PerRetry: []policy.Policy{runtime.NewBearerTokenPolicy(j.app.Credential(account.ID), []string{j.scope}, nil)},
	}, &azcore.ClientOptions{Transport: j.client})
	request, err := runtime.NewRequest(ctx, http.MethodGet, j.url)
	if err != nil {
		return 0, err
	}
	runtime.SkipBodyDownload(request)
	response, err := pipeline.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, runtime.NewResponseError(response)
	}
	return io.Copy(io.Discard, response.Body)
}

// why is what a mail to the user would say.
func why(required *authcode.AuthenticationRequiredError) string {
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](required)
	switch {
	case required.Claims != "":
		return "a policy wants more proof of who they are"
	case ok && failed.Suberror == "consent_required":
		return "they have not allowed this yet"
	case ok && failed.Code != "":
		return "the server says " + failed.Code
	}
	return "there is no grant of theirs"
}

func (j *job) say(format string, values ...any) {
	fmt.Fprintf(j.out, format+"\n", values...)
}
