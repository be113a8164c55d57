package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"golang.org/x/oauth2"

	"github.com/authcode-go/authcode"
)

// signIn is a user who comes back from the authorize endpoint with a code.
type signIn struct {
	code     string
	callback url.Values
	flow     *authcode.Flow
}

// redeemer is one way to make tokens of a code.
type redeemer struct {
	name     string
	redeem   func(context.Context, signIn) error
	verifies bool // it checks the ID token, which therefore has to be this sign-in's
}

var errNoToken = errors.New("no token")

// newRedeemers gives all rows the same HTTP client, and the one of Apps the same App.
func newRedeemers(tb testing.TB, r *remote, client *http.Client) ([]redeemer, *authcode.App) {
	tb.Helper()
	options := azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: r.url},
		Transport: client,
	}
	app, err := authcode.NewApp(tenantID, clientID, redirectURI, authcode.SecretAuth(clientSecret), &authcode.AppOptions{ClientOptions: options})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = app.Close() })
	return []redeemer{
		{name: "bare", redeem: bare(client, r.tokenURL())},
		{name: "oauth2", redeem: exchange(client, r.tokenURL())},
		{name: "plain", redeem: plain(options)},
		{name: "app", redeem: appRedeem(app), verifies: true},
	}, app
}

// bare is net/http and encoding/json: what any client of a token endpoint has to do. It reads the whole answer first, which
// is cheaper than a json.Decoder on it.
func bare(client *http.Client, tokenURL string) func(context.Context, signIn) error {
	return func(ctx context.Context, s signIn) error {
		form := url.Values{
			"client_id":     {clientID},
			"client_info":   {"1"},
			"client_secret": {clientSecret},
			"code":          {s.code},
			"code_verifier": {s.flow.CodeVerifier},
			"grant_type":    {"authorization_code"},
			"redirect_uri":  {redirectURI},
			"scope":         {graphScope + " openid profile offline_access"},
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenURL, strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d: %.100s", response.StatusCode, body)
		}
		var answer struct {
			AccessToken  string `json:"access_token"`
			ClientInfo   string `json:"client_info"`
			ExpiresIn    int    `json:"expires_in"`
			IDToken      string `json:"id_token"`
			RefreshToken string `json:"refresh_token"`
			Scope        string `json:"scope"`
			TokenType    string `json:"token_type"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return err
		}
		if answer.AccessToken == "" || answer.RefreshToken == "" {
			return errNoToken
		}
		return nil
	}
}

// exchange is golang.org/x/oauth2.
func exchange(client *http.Client, tokenURL string) func(context.Context, signIn) error {
	config := oauth2.Config{
		ClientID:     clientID,
		ClientSecret: clientSecret,
		Endpoint:     oauth2.Endpoint{TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams},
		RedirectURL:  redirectURI,
	}
	return func(ctx context.Context, s signIn) error {
		ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
		token, err := config.Exchange(ctx, s.code, oauth2.VerifierOption(s.flow.CodeVerifier),
			oauth2.SetAuthURLParam("client_info", "1"), oauth2.SetAuthURLParam("scope", graphScope+" openid profile offline_access"))
		if err != nil {
			return err
		}
		if token.AccessToken == "" || token.RefreshToken == "" {
			return errNoToken
		}
		return nil
	}
}

// plain is a credential of its own for each code.
func plain(options azcore.ClientOptions) func(context.Context, signIn) error {
	return func(ctx context.Context, s signIn) error {
		credential, err := authcode.NewAuthorizationCodeCredential(tenantID, clientID, s.code, redirectURI, &authcode.AuthorizationCodeCredentialOptions{
			ClientOptions: options,
			ClientSecret:  clientSecret,
			CodeVerifier:  s.flow.CodeVerifier,
		})
		if err != nil {
			return err
		}
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: graphScopes})
		if err != nil {
			return err
		}
		if token.Token == "" {
			return errNoToken
		}
		return nil
	}
}

// appRedeem verifies the ID token, which the other rows do not.
func appRedeem(app *authcode.App) func(context.Context, signIn) error {
	return func(ctx context.Context, s signIn) error {
		_, err := app.Redeem(ctx, s.flow, s.callback)
		return err
	}
}
