package entratest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A grant that proved a second factor satisfies a user who needs one, and the token says so.
func TestSecondFactor(t *testing.T) {
	e, err := NewHandler(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := DefaultDirectory()
	app, user := d.App("web"), d.User("mfa")
	for _, proved := range []bool{false, true} {
		code := e.seal(sealedCode, authorizationCode{
			ID: newGUID(), RedirectURI: app.RedirectURIs[0], Issued: e.Now().Unix(),
			Grant: grant{
				ObjectID: user.ObjectID, TenantID: user.TenantID, ClientID: app.ClientID, Scopes: "User.Read",
				AMR: map[bool][]string{true: {amrPassword, amrMFA}}[proved], AuthTime: e.Now().Unix(), Sequence: e.sequence.Add(1),
			},
		})
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {app.ClientID}, "client_secret": {app.Secrets[1]},
			"code": {code}, "redirect_uri": {app.RedirectURIs[0]}}
		client := &http.Client{Transport: e.Transport()}
		response, err := client.PostForm(e.URL()+"/"+user.TenantID+"/oauth2/v2.0/token", form)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if !proved {
			if !strings.Contains(string(body), `"error_codes":[50076]`) {
				t.Errorf("without: %s", body)
			}
			continue
		}
		var answer tokenAnswer
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		claims, err := e.VerifyAccessToken(answer.AccessToken)
		if methods, _ := json.Marshal(claims["amr"]); err != nil || string(methods) != `["pwd","mfa"]` {
			t.Errorf("amr %s, %v", methods, err)
		}
	}
}
