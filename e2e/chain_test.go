package e2e

import (
	"context"
	"errors"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/authcode-go/authcode"
)

// Behind azidentity's chain the credential has its turn after one that is unavailable here, and keeps it.
func TestWorksInAChain(t *testing.T) {
	t.Parallel()
	e := startEntra(t, nil)
	last := &unavailable{}
	chain := newChain(t, &unavailable{}, e.newPlainCredential(t, armScope), last)
	first := mustToken(t, chain, forScopes(armScope))
	if second := mustToken(t, chain, forScopes(armScope)); second != first {
		t.Error("the second call got another token")
	}
	e.wantRequests(t, 1, 0)

	// That the user must sign in again reaches the caller, and the chain asks nobody else in their place.
	if err := e.RevokeSessions(aliceAtContoso); err != nil {
		t.Fatal(err)
	}
	_, err := chain.GetToken(t.Context(), forScopes(storageScope))
	if _, ok := errors.AsType[*authcode.AuthenticationRequiredError](err); !ok || last.asked {
		t.Errorf("got %v; the next credential was asked: %t", err, last.asked)
	}
	e.wantRequests(t, 1, 1)
}

func newChain(t *testing.T, sources ...azcore.TokenCredential) *azidentity.ChainedTokenCredential {
	t.Helper()
	chain, err := azidentity.NewChainedTokenCredential(sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// unavailable is a credential that does not apply where the program runs, such as a managed identity at a desk.
type unavailable struct{ asked bool }

func (u *unavailable) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	u.asked = true
	return azcore.AccessToken{}, azidentity.NewCredentialUnavailableError("not available here")
}
