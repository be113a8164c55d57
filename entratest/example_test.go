package entratest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/authcode-go/authcode/entratest"
)

// A client without any library: alice signs in, and the code becomes an access token for Azure Storage.
func Example() {
	server, err := entratest.NewServer(nil)
	if err != nil {
		panic(err)
	}
	defer server.Close()
	app, tenant := server.Directory().App("web"), server.Directory().Tenant("contoso")
	endpoints := server.URL() + "/" + tenant.ID + "/oauth2/v2.0"

	callback, err := server.Authorize(context.Background(), endpoints+"/authorize?"+url.Values{
		"client_id":     {app.ClientID},
		"redirect_uri":  {app.RedirectURIs[0]},
		"response_type": {"code"},
		"scope":         {"openid offline_access https://storage.azure.com/.default"},
	}.Encode(), "alice@contoso.example")
	if err != nil {
		panic(err)
	}

	response, err := server.Client().PostForm(endpoints+"/token", url.Values{
		"grant_type":    {"authorization_code"},
		"client_id":     {app.ClientID},
		"client_secret": {app.Secrets[0]},
		"code":          {callback.Query().Get("code")},
		"redirect_uri":  {app.RedirectURIs[0]},
	})
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	var tokens struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.NewDecoder(response.Body).Decode(&tokens); err != nil {
		panic(err)
	}

	claims, err := server.VerifyAccessToken(tokens.AccessToken)
	if err != nil {
		panic(err)
	}
	fmt.Println(claims["upn"], "may use", claims["aud"], "for", tokens.ExpiresIn, "seconds")
	// Output: alice@contoso.example may use https://storage.azure.com for 3600 seconds
}

// An answer that is lost on its way costs the code, and the client cannot know.
func ExampleEmulator_Inject() {
	emulator, err := entratest.NewHandler(nil)
	if err != nil {
		panic(err)
	}
	remove := emulator.Inject(entratest.Fault{GrantType: "authorization_code", LoseAnswer: true, Times: 1})
	defer remove()
	// ... the client under test, with emulator.Transport(), redeems a code, and once more
	for _, r := range emulator.Requests() {
		fmt.Println(r.Endpoint, r.Status, r.AADSTS, r.Fault)
	}
}
