package entratest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"

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

// A directory of one's own, in a file. What is wrong with one is said all at once.
func ExampleParseDirectory() {
	data, err := os.ReadFile("testdata/directory.json")
	if err != nil {
		panic(err)
	}
	directory, err := entratest.ParseDirectory(data)
	if err != nil {
		panic(err)
	}
	emulator, err := entratest.NewHandler(&entratest.Options{Directory: directory})
	if err != nil {
		panic(err)
	}
	fmt.Println(emulator.Directory().App("cli").Type, directory.User("jonas").SignInFrequency)

	_, err = entratest.ParseDirectory([]byte(`{
		"tenants": [{"domain": "tailspin.example"}],
		"users": [{"username": "ines@tailspin.example", "object_id": "ines", "nmae": "Ines Okafor"}],
		"apps": [{"name": "portal", "redirect_uris": ["http://portal.tailspin.example/signin"]}]
	}`))
	fmt.Println(err)
	// Output:
	// public 12h0m0s
	// entratest: users[0].nmae: there is no such member: did you mean name?
	// entratest: users[0].object_id: "ines" is not a GUID, like 9188040d-6c67-4c5b-b112-36a304b66dad
	// entratest: apps[0].redirect_uris[0]: http is for localhost and 127.0.0.1: use https
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
