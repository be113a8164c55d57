package bench

import (
	"fmt"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// These tests are about the harness: that the rows do what their names say. They look at no clock.

func TestCachedRowsDoNotAllocate(t *testing.T) {
	for _, accounts := range []int{1, 1_000} {
		for _, cae := range []bool{false, true} {
			for _, w := range cachedRows(t, accounts, cae) {
				r := random(seed)
				if allocs := testing.AllocsPerRun(10, func() { w.run(&r, 100) }); allocs > 0 {
					t.Errorf("%s, N=%d, CAE %v: %v allocations in 100 operations", w.name, accounts, cae, allocs)
				}
			}
		}
	}
}

func TestEveryAccountOfACrowdHasItsOwnToken(t *testing.T) {
	server := &canned{accessBytes: 300, refreshBytes: 300, expiresIn: 86_399}
	c := newCrowd(t, server, 50)
	for user, credential := range c.credentials {
		if c.app.Credential(accountID(user)) != credential {
			t.Errorf("user %d: App.Credential gives another credential", user)
		}
		access, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: graphScopes})
		if err != nil || access.Token != tokenText("a", user, 300) {
			t.Errorf("user %d: got %.10q, %v", user, access.Token, err)
		}
	}
	if posts := server.refreshs.Load(); posts != 50 {
		t.Errorf("%d requests, want 50: the token was not cached", posts)
	}
}

func TestAccountsCanHaveIDTokens(t *testing.T) {
	signer, err := newECSigner(issuerAt(cannedHost))
	if err != nil {
		t.Fatal(err)
	}
	c := newCrowd(t, &canned{accessBytes: 300, refreshBytes: 300, expiresIn: 86_399, signer: signer}, 2)
	account, err := c.credentials[1].Account(t.Context())
	if err != nil || account.ID != accountID(1) || account.Username == "" {
		t.Errorf("account %+v, %v", account.ID, err)
	}
}

func TestAHerdSendsOneRequest(t *testing.T) {
	server := newHerdServer(86_399)
	if posts := stampede(t, server, newHeldCode(t, server)); posts != 1 {
		t.Errorf("%d requests, want 1", posts)
	}
}

func TestEveryRowRedeems(t *testing.T) {
	r := startServer(t)
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", http2), func(t *testing.T) {
			client := r.client(t, http2)
			redeemers, app := newRedeemers(t, r, client)
			for _, w := range redeemers {
				signIns, err := newSignIns(t.Context(), r, client, app, 3, w.verifies)
				if err != nil {
					t.Fatal(err)
				}
				if err := redeemAll(t.Context(), w, signIns); err != nil {
					t.Errorf("%s: %v", w.name, err)
				}
			}
		})
	}
}

func TestAnswersAreOfTheSizeOfEntras(t *testing.T) {
	signer, err := newRSASigner(issuerAt(cannedHost))
	if err != nil {
		t.Fatal(err)
	}
	id, err := signer.idToken(0, "a-nonce-of-the-usual-43-characters---------")
	if err != nil {
		t.Fatal(err)
	}
	if len(id) < idBytes*9/10 || len(id) > idBytes*11/10 {
		t.Errorf("an ID token of %d bytes, want about %d", len(id), idBytes)
	}
	answer := tokenAnswer{access: tokenText("a", 0, accessBytes), refresh: tokenText("r", 0, refreshBytes), id: id, expiresIn: 4_000}
	if size := len(answer.json()); size < 4_000 || size > 4_600 {
		t.Errorf("an answer of %d bytes, want about 4,300", size)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
}
