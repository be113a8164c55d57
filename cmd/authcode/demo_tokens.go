package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode/entratest"
)

const (
	cachedCalls = 100_000
	askers      = 100
)

func tokenFor(scope string) policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{scope}}
}

// apiClaims are those of an access token that its API looks at, and this demo with the API's eyes: to a client a token
// is opaque.
type apiClaims struct {
	Aud string `json:"aud"`
	Scp string `json:"scp"`
	Oid string `json:"oid"`
	Exp int64  `json:"exp"`
}

// String is for people; the object ID names its user with the first of its five parts.
func (c apiClaims) String() string {
	oid, _, _ := strings.Cut(c.Oid, "-")
	return fmt.Sprintf("aud %s, scp %s, oid %s-…", c.Aud, c.Scp, oid)
}

func (j *journey) readAccessToken(token string) (apiClaims, error) {
	claims, err := j.emulator.VerifyAccessToken(token)
	if err != nil {
		return apiClaims{}, err
	}
	text := func(name string) string { s, _ := claims[name].(string); return s }
	exp, _ := claims["exp"].(float64)
	return apiClaims{Aud: text("aud"), Scp: text("scp"), Oid: text("oid"), Exp: int64(exp)}, nil
}

func getToken(ctx context.Context, j *journey) ([]detail, error) {
	token, err := j.credential.GetToken(ctx, tokenFor(graphScope))
	if err != nil {
		return nil, err
	}
	j.graph = token
	claims, err := j.readAccessToken(token.Token)
	if err != nil {
		return nil, err
	}
	return []detail{
			{label: "token", value: shorten(token.Token), note: "it came with the code"},
			{
				label: "claims", value: claims.String(), data: claims,
				note: fmt.Sprintf("exp in %.0f min", time.Until(time.Unix(claims.Exp, 0)).Minutes()),
			},
		}, cmp.Or(
			expect("aud", "https://graph.microsoft.com", claims.Aud),
			expect("scp", "User.Read", claims.Scp),
			expect("oid", j.user.ObjectID, claims.Oid),
			expectNear("exp", token.ExpiresOn, time.Unix(claims.Exp, 0)),
		)
}

// expectNear allows for the answer's way, and for clocks that count in seconds.
func expectNear(what string, expected, seen time.Time) error {
	if seen.Sub(expected).Abs() <= 5*time.Second {
		return nil
	}
	return expect(what, expected, seen)
}

func getCachedToken(ctx context.Context, j *journey) ([]detail, error) {
	options := tokenFor(graphScope)
	began := time.Now()
	for range cachedCalls {
		token, err := j.credential.GetToken(ctx, options)
		if err != nil {
			return nil, err
		}
		if token.Token != j.graph.Token {
			return nil, expectSecret("the token", j.graph.Token, token.Token)
		}
	}
	each := time.Since(began) / cachedCalls
	return []detail{{
		label: "each call", value: fmt.Sprintf("%d ns", each.Nanoseconds()), data: each.Nanoseconds(),
		note: "averaged over 100,000 calls",
	}}, nil
}

// getTokenOfAnotherResource has the emulator say of this one token that it lasts a second, for the next step: the
// client believes expires_in, and the journey need not take an hour.
func getTokenOfAnotherResource(ctx context.Context, j *journey) ([]detail, error) {
	brought := make(chan string, 1)
	j.emulator.Inject(entratest.Fault{GrantType: "refresh_token", Times: 1, Edit: func(answer map[string]any) {
		next, _ := answer["refresh_token"].(string)
		brought <- next
		answer["expires_in"] = 1
	}})
	token, err := j.credential.GetToken(ctx, tokenFor(storageScope))
	if err != nil {
		return nil, err
	}
	j.storage, j.rotated = token, <-brought // there is no token without an answer
	claims, err := j.readAccessToken(token.Token)
	if err != nil {
		return nil, err
	}
	sent := j.lastTokenRequest()
	if sent.Form.Get("refresh_token") == j.rotated {
		err = &mismatch{what: "the answer", expected: "a new refresh token", seen: "the old one"}
	}
	return []detail{
			{label: "claims", value: claims.String(), data: claims},
			{label: "rotation", value: "the answer brought a new refresh token, which replaces the one that was sent"},
			{label: "lifetime", value: "1 s", data: 1, note: "as the emulator was told, for the sake of the next step"},
		}, cmp.Or(
			err,
			expect("grant_type", "refresh_token", sent.GrantType),
			expect("aud", "https://storage.azure.com", claims.Aud),
			expect("scp", "user_impersonation", claims.Scp),
			expectNear("expiry", time.Now().Add(time.Second), token.ExpiresOn),
		)
}

func joinOneRefresh(ctx context.Context, j *journey) ([]detail, error) {
	if err := waitUntil(ctx, j.storage.ExpiresOn); err != nil {
		return nil, err
	}
	began := time.Now()
	tokens, err := getTogether(ctx, j.credential, tokenFor(storageScope))
	if err != nil {
		return nil, err
	}
	waited := time.Since(began)
	distinct := make(map[string]bool)
	for _, token := range tokens {
		distinct[token] = true
	}
	if distinct[j.storage.Token] {
		return nil, &mismatch{what: "the tokens", expected: "a new one", seen: "the expired one"}
	}
	return []detail{{
			label: "refresh", value: fmt.Sprintf("%d callers, one request, one new token", len(tokens)),
			note: "the last was served after " + inMilliseconds(waited),
		}}, cmp.Or(
			expect("callers served", askers, len(tokens)),
			expect("different tokens", 1, len(distinct)),
			expectSecret("the refresh token sent", j.rotated, j.lastTokenRequest().Form.Get("refresh_token")),
		)
}

func waitUntil(ctx context.Context, moment time.Time) error {
	timer := time.NewTimer(time.Until(moment))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// getTogether has many goroutines ask for the same token at the same moment.
func getTogether(ctx context.Context, credential azcore.TokenCredential, options policy.TokenRequestOptions) ([]string, error) {
	tokens, failures := make([]string, askers), make([]error, askers)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range askers {
		all.Go(func() {
			<-start
			token, err := credential.GetToken(ctx, options)
			tokens[i], failures[i] = token.Token, err
		})
	}
	close(start)
	all.Wait()
	return tokens, errors.Join(failures...)
}
