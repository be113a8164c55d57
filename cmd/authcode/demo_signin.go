package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// startEmulator also shows that a real connection is made: it reads the tenant's metadata over TLS.
func startEmulator(ctx context.Context, j *journey) ([]detail, error) {
	// With this rotation a used refresh token that came back would end the grant, so that the later steps also show that
	// none does.
	emulator, err := entratest.NewServer(&entratest.Options{Rotation: entratest.RotationRevokeFamily})
	if err != nil {
		return nil, err
	}
	j.emulator = emulator
	directory := emulator.Directory()
	j.registration, j.tenant, j.user = directory.App("web"), directory.Tenant("contoso"), directory.User(demoUser)
	j.app, err = authcode.NewApp(j.tenant.ID, j.registration.ClientID, redirectURI, authcode.SecretAuth(j.registration.Secrets[0]),
		&authcode.AppOptions{ClientOptions: j.clientOptions()})
	if err != nil {
		return nil, err
	}
	version, err := j.readMetadata(ctx)
	return []detail{{
		label: "authority", value: emulator.URL(), note: version + ", with a certificate made for this run",
	}}, err
}

func (j *journey) readMetadata(ctx context.Context) (tlsVersion string, err error) {
	metadata := j.emulator.URL() + "/" + j.tenant.ID + "/v2.0/.well-known/openid-configuration"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, metadata, nil)
	if err != nil {
		return "", err
	}
	response, err := j.emulator.Client().Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.TLS == nil {
		return "", errors.New("the connection to the emulator has no TLS")
	}
	return tls.VersionName(response.TLS.Version), expect("status of the tenant's metadata", http.StatusOK, response.StatusCode)
}

func beginSignIn(_ context.Context, j *journey) ([]detail, error) {
	flow, err := j.app.Begin(&authcode.BeginOptions{Scopes: []string{graphScope, storageScope, ordersScope}})
	if err != nil {
		return nil, err
	}
	j.flow = flow
	address, query, err := splitURL(flow.URL)
	if err != nil {
		return nil, err
	}
	challenge := sha256.Sum256([]byte(flow.CodeVerifier))
	return []detail{
			{label: "URL", value: address},
			{label: "state", value: shorten(query.Get("state")), note: "ties the answer to this browser"},
			{label: "nonce", value: shorten(query.Get("nonce")), note: "ties the ID token to this sign-in"},
			{label: "challenge", value: shorten(query.Get("code_challenge")), note: "PKCE: the hash of a secret, the verifier, that stays here"},
		}, cmp.Or(
			expect("response_type", "code", query.Get("response_type")),
			expect("client_id", j.registration.ClientID, query.Get("client_id")),
			expect("redirect_uri", redirectURI, query.Get("redirect_uri")),
			expectSecret("state", flow.State, query.Get("state")),
			expectSecret("nonce", flow.Nonce, query.Get("nonce")),
			expect("code_challenge_method", "S256", query.Get("code_challenge_method")),
			expectSecret("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]), query.Get("code_challenge")),
		)
}

func splitURL(raw string) (address string, query url.Values, err error) {
	address, rawQuery, _ := strings.Cut(raw, "?")
	query, err = url.ParseQuery(rawQuery)
	return address, query, err
}

func signIn(ctx context.Context, j *journey) ([]detail, error) {
	callback, err := j.emulator.Authorize(ctx, j.flow.URL, demoUser)
	if err != nil {
		return nil, err
	}
	j.callback = callback.Query()
	code, state := j.callback.Get("code"), j.callback.Get("state")
	address, _, _ := strings.Cut(callback.String(), "?")
	err = cmp.Or(expect("where the browser comes back", redirectURI, address), expectSecret("state", j.flow.State, state))
	if err == nil && code == "" {
		err = &mismatch{what: "the callback", expected: "a code", seen: "none"}
	}
	return []detail{
		{label: "callback", value: address, note: "with a code, and with our state"},
		{label: "code", value: shorten(code), note: "good once, for ten minutes, and with the verifier alone"},
	}, err
}

func redeemCallback(ctx context.Context, j *journey) ([]detail, error) {
	credential, err := j.app.Redeem(ctx, j.flow, j.callback)
	if err != nil {
		return nil, err
	}
	account, err := credential.Account(ctx)
	if err != nil {
		return nil, err
	}
	j.credential, j.account = credential, account
	var idToken struct{ Nonce, Aud, Iss string }
	if err := account.Claims(&idToken); err != nil {
		return nil, err
	}
	return []detail{
			{label: "ID token", value: "verified", note: "signature, issuer, audience, times, nonce and tenant"},
			{label: "user", value: fmt.Sprintf("%s, %s", account.Name, account.Username)},
			{label: "account", value: account.ID},
		}, cmp.Or(
			expect("grant_type", "authorization_code", j.lastTokenRequest().GrantType),
			expectSecret("nonce", j.flow.Nonce, idToken.Nonce),
			expect("audience", j.registration.ClientID, idToken.Aud),
			expect("issuer", j.emulator.URL()+"/"+j.tenant.ID+"/v2.0", idToken.Iss),
			expect("username", demoUser, account.Username),
			expect("account ID", j.user.HomeAccountID(), account.ID),
			expect("tenant", j.tenant.ID, account.TenantID),
		)
}
