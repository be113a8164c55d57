package authcode_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

func TestWhatACachedTokenServes(t *testing.T) { // B15, B20 to B22, B52, B84
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	mustToken(t, c, policy.TokenRequestOptions{Scopes: []string{graphScope, mailScope}})
	for _, test := range []struct {
		name    string
		options policy.TokenRequestOptions
		served  bool
	}{
		{"the same", tokenFor(graphScope, mailScope), true},
		{"another order", tokenFor(mailScope, graphScope), true},
		{"another case", tokenFor(strings.ToUpper(graphScope), mailScope), true},
		{"a subset", tokenFor(mailScope), true},
		{"with reserved scopes", tokenFor(mailScope, "offline_access", "OpenID"), true},
		{"twice the same", tokenFor(mailScope, mailScope), true},
		{"one more", tokenFor(graphScope, mailScope, "https://graph.microsoft.com/Files.Read"), false},
		{"the short name", tokenFor("User.Read"), false},
		{"another resource", tokenFor(storageScope), false},
		{"CAE", policy.TokenRequestOptions{Scopes: []string{graphScope}, EnableCAE: true}, false},
		{"reserved scopes alone", tokenFor("openid"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e.ResetRequests()
			for range 2 {
				mustToken(t, c, test.options)
			}
			want := 1
			if test.served {
				want = 0
			}
			if got := len(e.tokenRequests("")); got != want {
				t.Errorf("%d requests, want %d", got, want)
			}
		})
	}
}

func TestUsersOfOneAppNeverShareTokens(t *testing.T) { // B20, B56, B57
	e := newEntra(t, nil)
	app := e.newApp(nil)
	a, b := e.signIn(app, alice, graphScope), e.signIn(app, bob, graphScope)
	if mustToken(t, a, tokenFor(graphScope)) == mustToken(t, b, tokenFor(graphScope)) {
		t.Error("two users, one token")
	}
	for _, user := range []struct {
		name string
		c    *authcode.AuthorizationCodeCredential
	}{{alice, a}, {bob, b}} {
		token := mustToken(t, user.c, tokenFor(storageScope))
		claims, err := e.VerifyAccessToken(token.Token)
		if err != nil {
			t.Fatal(err)
		}
		account, _ := user.c.Account(t.Context())
		if claims["oid"] != account.ObjectID || account.Username != user.name {
			t.Errorf("%s got a token of %v", user.name, claims["oid"])
		}
	}
}

func TestAGrantKeepsAtMost32Tokens(t *testing.T) {
	answers := &recorder{}
	options := &authcode.AuthorizationCodeCredentialOptions{}
	options.Transport = answers
	c, err := authcode.NewAuthorizationCodeCredential("tenant", "client", "code", redirectURI, options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 40 {
		mustToken(t, c, tokenFor(fmt.Sprintf("scope-%d", i)))
	}
	for i, cached := range map[int]bool{39: true, 8: true, 7: false, 0: false} {
		before := len(answers.urls)
		mustToken(t, c, tokenFor(fmt.Sprintf("scope-%d", i)))
		if got := len(answers.urls) == before; got != cached {
			t.Errorf("scope %d cached: %v, want %v", i, got, cached)
		}
		if !cached {
			break // it has pushed another one out
		}
	}
}

func TestCachedGetTokenTakesNoMemory(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	c := e.signIn(app, alice, graphScope)
	scopes := map[string][]string{"newest": {graphScope}, "older": {storageScope}, "subset": {vaultScope}}
	mustToken(t, c, tokenFor(vaultScope, "https://vault.azure.net/other"))
	mustToken(t, c, tokenFor(storageScope))
	mustToken(t, c, policy.TokenRequestOptions{Scopes: []string{graphScope}, Claims: "{}"}) // makes it the newest
	ctx := context.Background()
	for name, list := range scopes {
		t.Run(name, func(t *testing.T) {
			options := policy.TokenRequestOptions{Scopes: list}
			if allocs := testing.AllocsPerRun(100, func() { _, _ = c.GetToken(ctx, options) }); allocs != 0 {
				t.Errorf("%v allocations, want 0", allocs)
			}
		})
	}
	account, _ := c.Account(ctx)
	if allocs := testing.AllocsPerRun(100, func() { _ = app.Credential(account.ID) }); allocs != 0 {
		t.Errorf("App.Credential: %v allocations, want 0", allocs)
	}
}

func TestTheAccount(t *testing.T) { // B58
	directory := entratest.DefaultDirectory()
	user, home, other := directory.User(alice), directory.Tenant("contoso.example"), directory.Tenant("fabrikam.example")
	guest := user.Guests[0].ObjectID
	without := func(members ...string) func(map[string]any) {
		return func(answer map[string]any) {
			for _, member := range members {
				delete(answer, member)
			}
		}
	}
	for name, test := range map[string]struct {
		tenant string
		edit   func(map[string]any)
		want   authcode.Account
	}{
		"member":              {home.ID, nil, authcode.Account{ID: user.ObjectID + "." + home.ID, ObjectID: user.ObjectID, TenantID: home.ID, Username: alice, Name: user.Name}},
		"guest":               {other.ID, nil, authcode.Account{ID: user.ObjectID + "." + home.ID, ObjectID: guest, TenantID: other.ID, Username: alice, Name: user.Name}},
		"without client_info": {home.ID, without("client_info"), authcode.Account{ID: user.ObjectID + "." + home.ID, ObjectID: user.ObjectID, TenantID: home.ID, Username: alice, Name: user.Name}},
		"without ID token":    {home.ID, without("id_token"), authcode.Account{ID: user.ObjectID + "." + home.ID, ObjectID: user.ObjectID, TenantID: home.ID}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEntra(t, nil)
			e.tenant.ID = test.tenant
			e.Inject(entratest.Fault{Edit: func(answer map[string]any) {
				if test.edit != nil {
					test.edit(answer)
				}
			}})
			c := e.newCredential(alice, nil)
			account, err := c.Account(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if account.ID != test.want.ID || account.ObjectID != test.want.ObjectID || account.TenantID != test.want.TenantID || account.Username != test.want.Username || account.Name != test.want.Name {
				t.Errorf("got %+v, want %+v", account, test.want)
			}
			mustToken(t, c, tokenFor(graphScope))
			var claims struct{ Oid string }
			if err := account.Claims(&claims); (err == nil) != (test.want.Username != "") || claims.Oid != "" && claims.Oid != account.ObjectID {
				t.Errorf("claims %+v, %v", claims, err)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		e := newEntra(t, nil)
		e.Inject(entratest.Fault{Edit: without("client_info", "id_token")})
		c := e.newCredential(alice, nil)
		if _, err := c.Account(t.Context()); err == nil || !strings.Contains(err.Error(), "whose grant") {
			t.Errorf("got %v", err)
		}
		mustToken(t, c, tokenFor(graphScope))
		e.wantRequests(1, 1)
	})
}

func TestImportRefreshToken(t *testing.T) {
	e := newEntra(t, nil)
	var refreshToken string
	remove := e.Inject(entratest.Fault{Edit: func(answer map[string]any) { refreshToken, _ = answer["refresh_token"].(string) }})
	mustToken(t, e.newCredential(alice, nil), tokenFor(graphScope))
	remove()
	e.ResetRequests()
	app := e.newApp(nil)
	c, err := app.ImportRefreshToken(t.Context(), refreshToken, storageScope)
	if err != nil {
		t.Fatal(err)
	}
	mustToken(t, c, tokenFor(storageScope))
	e.wantRequests(0, 1)
	account, err := c.Account(t.Context())
	if err != nil || account.Username != alice || app.Credential(account.ID) != c {
		t.Errorf("account %+v, %v", account, err)
	}
	if _, err := app.ImportRefreshToken(t.Context(), "not a token of this server"); err == nil || strings.Contains(err.Error(), "not a token of this server") {
		t.Errorf("got %v", err)
	}
}

func TestTheClockSetBackOrForward(t *testing.T) { // case 105, on virtual time: the monotonic part is freshness_internal_test.go's
	inBubble(t, nil, func(t *testing.T, e *entra) {
		c := e.newCredential(alice, nil)
		first := mustToken(t, c, tokenFor(graphScope))
		time.Sleep(24 * time.Hour)
		if mustToken(t, c, tokenFor(graphScope)) == first {
			t.Error("an eternal token")
		}
	})
}

func TestCallsThatAreRefusedBeforeAnyRequest(t *testing.T) { // B7
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	for name, test := range map[string]struct {
		options policy.TokenRequestOptions
		names   string
	}{
		"no scopes":      {policy.TokenRequestOptions{}, "at least one scope"},
		"an empty scope": {tokenFor(""), "scope"},
		"two in one":     {tokenFor("a b"), "scope"},
		"a quote":        {tokenFor(`a"b`), "scope"},
		"a line break":   {tokenFor("a\r\nX: y"), "scope"},
		"not ASCII":      {tokenFor("ä"), "scope"},
		"huge":           {tokenFor(strings.Repeat("a", 20<<10)), "scope"},
		"a bad tenant":   {policy.TokenRequestOptions{Scopes: []string{graphScope}, TenantID: "a/../b"}, "tenant"},
		"no claims":      {policy.TokenRequestOptions{Scopes: []string{graphScope}, Claims: "cp1"}, "claims"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.GetToken(t.Context(), test.options)
			if err == nil || !strings.Contains(err.Error(), test.names) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want an error naming %s", err, test.names)
			}
		})
	}
	var none context.Context
	if _, err := c.GetToken(none, tokenFor(graphScope)); err == nil || !strings.Contains(err.Error(), "context is nil") {
		t.Errorf("a nil context: %v", err)
	}
	if _, err := new(authcode.AuthorizationCodeCredential).GetToken(t.Context(), tokenFor(graphScope)); err == nil {
		t.Error("a zero credential gave a token")
	}
	e.wantRequests(0, 0)
	mustToken(t, c, tokenFor(graphScope))
}
