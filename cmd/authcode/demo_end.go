package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/authcode-go/authcode"
)

const codeAlreadyRedeemed = 54005 // AADSTS

// redeemSpentCode does what a double click or a stolen callback would.
func redeemSpentCode(ctx context.Context, j *journey) ([]detail, error) {
	again, err := authcode.NewAuthorizationCodeCredential(j.tenant.ID, j.registration.ClientID, j.callback.Get("code"), redirectURI,
		&authcode.AuthorizationCodeCredentialOptions{
			ClientOptions: j.clientOptions(),
			ClientSecret:  j.registration.Secrets[0],
			CodeVerifier:  j.flow.CodeVerifier,
		})
	if err != nil {
		return nil, err
	}
	defer func() { _ = again.Close() }() // always nil
	_, first := again.GetToken(ctx, tokenFor(graphScope))
	_, second := again.GetToken(ctx, tokenFor(graphScope))
	refusal, ok := errors.AsType[*authcode.AuthenticationFailedError](first)
	if !ok || !slices.Contains(refusal.STSCodes, codeAlreadyRedeemed) {
		return nil, &mismatch{what: "the refusal", expected: "AADSTS54005", seen: describe(first)}
	}
	return []detail{
		{label: "error", value: trimPrefix(first)},
		{label: "asked again", value: "the same error, without another request"},
	}, expect("the second error", first.Error(), describe(second))
}

func signOut(ctx context.Context, j *journey) ([]detail, error) {
	if err := j.app.Forget(ctx, j.account.ID); err != nil {
		return nil, err
	}
	_, refused := j.credential.GetToken(ctx, tokenFor(graphScope))
	if _, ok := errors.AsType[*authcode.AuthenticationRequiredError](refused); !ok {
		return nil, &mismatch{what: "GetToken", expected: "that the user must sign in", seen: describe(refused)}
	}
	address := j.app.SignOutURL(&authcode.SignOutOptions{PostLogoutRedirectURI: afterSignOut})
	landing, err := j.follow(ctx, address)
	if err != nil {
		return nil, err
	}
	path, _, _ := strings.Cut(address, "?")
	return []detail{
		{label: "GetToken", value: trimPrefix(refused)},
		{label: "SignOutURL", value: path},
		{label: "browser", value: "goes there, and comes back to " + landing, data: landing},
	}, expect("where the browser comes back", afterSignOut, landing)
}

// follow opens an address as a browser does, and gives where it is sent to.
func (j *journey) follow(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	browser := *j.emulator.Client()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := browser.Do(request)
	if err != nil {
		return "", err
	}
	return response.Header.Get("Location"), response.Body.Close()
}

func describe(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func trimPrefix(err error) string { return strings.TrimPrefix(err.Error(), "authcode: ") }
