package e2e

import (
	"errors"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/authcode-go/authcode"
)

const (
	arm      = "https://management.azure.com"
	armScope = arm + "/.default"
)

// azureClient is a client as the Azure SDK makes them: a pipeline with azcore's own BearerTokenPolicy.
type azureClient struct {
	pipeline runtime.Pipeline
	url      string
}

func newAzureClient(r *resource, credential azcore.TokenCredential) *azureClient {
	return &azureClient{
		pipeline: runtime.NewPipeline("e2e", "v0.0.0",
			runtime.PipelineOptions{PerRetry: []policy.Policy{runtime.NewBearerTokenPolicy(credential, []string{armScope}, nil)}},
			&policy.ClientOptions{Transport: r.Client()}),
		url: r.URL,
	}
}

// get is an operation of the client; an answer that is no success is its error, as with every Azure client.
func (c *azureClient) get(t *testing.T) error {
	t.Helper()
	request, err := runtime.NewRequest(t.Context(), http.MethodGet, c.url)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.pipeline.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if !runtime.HasStatusCode(response, http.StatusOK) {
		return runtime.NewResponseError(response)
	}
	return nil
}

// A revoked token makes the resource send a claims challenge. The client meets it by itself: one refresh with the claims,
// whose token is also what later calls get.
func TestBearerTokenPolicyMeetsACAEChallenge(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		credential func(*testing.T, *entra) *authcode.AuthorizationCodeCredential
		refreshes  int // before the challenge: the code of a sign-in is redeemed without cp1, the client's first token is not
	}{
		{"App.Redeem", func(t *testing.T, e *entra) *authcode.AuthorizationCodeCredential {
			return e.signIn(t, e.newApp(t), authcode.BeginOptions{Scopes: []string{armScope}})
		}, 1},
		{"NewAuthorizationCodeCredential", func(t *testing.T, e *entra) *authcode.AuthorizationCodeCredential {
			return e.newPlainCredential(t, armScope)
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := startEntra(t, nil)
			r := startResource(t, e, arm)
			credential := test.credential(t, e)
			client := newAzureClient(r, credential)
			mustGet(t, client)
			e.wantRequests(t, 1, test.refreshes)

			e.RevokeAccessTokens(aliceAtContoso)
			mustGet(t, client)
			e.wantRequests(t, 1, test.refreshes+1)
			requests := r.wantStatuses(t, 200, 401, 200)
			e.wantClaims(t, requests[1].challenge)
			if requests[2].token == requests[1].token {
				t.Error("the revoked token was sent again")
			}

			mustGet(t, client)
			mustGet(t, newAzureClient(r, credential)) // one that knows nothing of the challenge
			requests = r.wantStatuses(t, 200, 401, 200, 200, 200)
			if requests[3].token != requests[2].token || requests[4].token != requests[2].token {
				t.Error("a later call did not get the token that replaced the revoked one")
			}
			e.wantRequests(t, 1, test.refreshes+1)
		})
	}
}

func mustGet(t *testing.T, client *azureClient) {
	t.Helper()
	if err := client.get(t); err != nil {
		t.Fatal(err)
	}
}

// Entra wants more than a refresh can give. The caller of the Azure client finds that out from the client's error, and
// takes the user through a sign-in with the claims; then the same client works again.
func TestBearerTokenPolicyWhenTheUserMustAct(t *testing.T) {
	t.Parallel()
	const policyClaims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	e := startEntra(t, nil)
	r := startResource(t, e, arm)
	app := e.newApp(t)
	credential := e.signIn(t, app, authcode.BeginOptions{Scopes: []string{armScope}})
	client := newAzureClient(r, credential)
	mustGet(t, client)
	e.wantRequests(t, 1, 1)

	e.RequireClaims(aliceAtContoso, arm, policyClaims)
	e.RevokeAccessTokens(aliceAtContoso)
	required, ok := errors.AsType[*authcode.AuthenticationRequiredError](client.get(t))
	if !ok || required.Claims != policyClaims {
		t.Fatalf("the client's error holds %+v", required)
	}
	e.wantRequests(t, 1, 2)
	r.wantStatuses(t, 200, 401) // the challenge; with nothing to answer it with, no third request

	again := e.signIn(t, app, authcode.BeginOptions{
		AccountID: required.AccountID,
		Claims:    required.Claims,
		LoginHint: required.LoginHint,
		Scopes:    required.Scopes,
		TenantID:  required.TenantID,
	})
	if again != credential {
		t.Error("the step-up gave another credential")
	}
	mustGet(t, client)
	e.wantRequests(t, 2, 3)
	r.wantStatuses(t, 200, 401, 200)
}
