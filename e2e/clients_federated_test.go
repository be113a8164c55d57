package e2e

import (
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	federatedIssuer   = "https://issuer.example"
	federatedSubject  = "system:serviceaccount:default:web"
	federatedAudience = "api://AzureADTokenExchange"
)

// trusted is the issuer of a cluster, say, whose tokens stand for the app. It signs with the key of the app's certificate, one
// key being as good as another here.
func (p clientPairs) trusted() entratest.FederatedCredential {
	return entratest.FederatedCredential{
		Issuer:  federatedIssuer,
		Keys:    []jose.JSONWebKey{{Algorithm: string(jose.RS256), Key: p.known.key.Public(), KeyID: "cluster", Use: "sig"}},
		Subject: federatedSubject,
	}
}

// federated is a token of the trusted issuer.
func (e *clientEntra) federated(t *testing.T, subject string) string {
	t.Helper()
	key := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: e.pairs.known.key, KeyID: "cluster"}}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Audience: jwt.Audience{federatedAudience}, Expiry: jwt.NewNumericDate(now.Add(time.Hour)), IssuedAt: jwt.NewNumericDate(now),
		Issuer: federatedIssuer, NotBefore: jwt.NewNumericDate(now), Subject: subject,
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
