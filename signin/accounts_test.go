package signin_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/signin"
)

const carol = "carol@fabrikam.example"

// Row 17: at organizations only the directories that were named let their users in.
func TestSignInTenants(t *testing.T) {
	for _, tenants := range []string{"contoso", "*"} {
		w := newWorld(t)
		id := tenants
		if tenants != "*" {
			id = w.directory.Tenant(tenants).ID
		}
		s := w.siteOf(w.newApp(origin+"/auth/callback", func(o *authcode.AppOptions) { o.SignInTenants = []string{id} }), nil)
		s.browser(alice).signIn()
		b := s.browser(carol)
		if tenants == "*" {
			b.signIn()
			continue
		}
		b.open("/me").wants(t, 502, "You were not signed in")
		if b.sessionCookie() != "" {
			t.Error("a session")
		}
	}
}

// The hook decides by account, and sees tid and oid; a guest is another user than at home, though the account is one.
func TestOnSignIn(t *testing.T) {
	w := newWorld(t)
	fabrikam := w.directory.Tenant("fabrikam").ID
	var seen []authcode.Account
	s := w.siteOf(w.newApp(origin+"/auth/callback", func(o *authcode.AppOptions) { o.SignInTenants = []string{"*"} }), &signin.Options{
		OnSignIn: func(_ context.Context, user *signin.User) error {
			seen = append(seen, user.Account)
			switch {
			case user.Account.TenantID == fabrikam:
				return fmt.Errorf("no contract with SECRET-DETAIL")
			case user.Account.Username == bob:
				panic("bob")
			}
			return nil
		},
	})
	s.browser(alice).signIn()
	for _, user := range []string{carol, bob} {
		b := s.browser(user)
		a := b.open("/me").wants(t, 403, "Your account may not come in")
		if strings.Contains(a.body, "SECRET-DETAIL") || b.sessionCookie() != "" {
			t.Errorf("%s: %s", user, a.body)
		}
	}
	if len(seen) != 3 || seen[1].ObjectID != w.directory.User("carol").ObjectID || seen[1].TenantID != fabrikam {
		t.Errorf("seen %v", seen)
	}
	var left []string
	for account, err := range s.app.Accounts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, account.Username)
	}
	if !slices.Equal(left, []string{alice}) {
		t.Errorf("grants of %q: those who were refused have none", left)
	}
	if !strings.Contains(w.log.String(), "SECRET-DETAIL") {
		t.Error("the log does not say why")
	}
}

// Rows 8 and 9: no page and no log holds a code, a token, a cookie, a state, a verifier or the secret, whatever the server repeats.
func TestNoSecretsInPagesAndLogs(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	b := s.browser(alice).signIn()
	secrets := []string{b.sessionCookie(), w.directory.App("web").Secrets[0]}
	callback := b.callbackOf("/auth/login?return=/me")
	query := mustURL(t, callback).Query()
	secrets = append(secrets, query.Get("code"), query.Get("state"))
	for _, value := range b.cookies() {
		secrets = append(secrets, value)
	}
	w.Inject(echo)
	pages := b.get(callback).body + b.get(changed(t, callback, "error", "server_error", "error_description", query.Get("code"))).body
	b.get(changed(t, callback, "code", "a\nb"))
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		if strings.Contains(pages, secret) || strings.Contains(w.log.String(), secret) {
			t.Errorf("%q is shown or logged", secret)
		}
	}
}

// Row 48: whatever happens in whatever order, a request gets the token of the user it is from.
func TestTokensAreTheUsers(t *testing.T) {
	w := newWorld(t)
	replicas := []*site{w.newSite(nil), w.newSite(nil)}
	type client struct{ credential azcore.TokenCredential }
	for _, s := range replicas {
		cache := signin.NewClientCache(s.h, 2, func(c *authcode.AuthorizationCodeCredential) (client, error) { return client{c}, nil })
		s.mux.Handle("/whose", s.h.Func(func(rw http.ResponseWriter, r *http.Request, user *signin.User) error {
			one, err := cache.Get(user)
			if err != nil {
				return err
			}
			token, err := one.credential.GetToken(r.Context(), policy.TokenRequestOptions{Scopes: []string{r.URL.Query().Get("scope")}})
			if err != nil {
				return err
			}
			claims, err := w.VerifyAccessToken(token.Token)
			if err != nil {
				return err
			}
			fmt.Fprintf(rw, "%s has the token of %s", user.Account.ObjectID, claims["oid"])
			return nil
		}))
	}
	var wait sync.WaitGroup
	for i, name := range []string{"alice", "bob", "alice", "bob"} {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 48))
			user := w.directory.User(name)
			b := replicas[0].browser(user.Username)
			want := user.ObjectID + " has the token of " + user.ObjectID
			for range 40 {
				b = b.at(replicas[random.IntN(len(replicas))])
				switch random.IntN(8) {
				case 0:
					b.signOut()
				case 1:
					b.open("/auth/login?return=/public")
				default:
					scope := []string{graphScope, storageScope, mailScope}[random.IntN(3)]
					if a := b.open("/whose?scope=" + scope); a.StatusCode == 200 && a.body != want {
						t.Errorf("%s", a.body)
					} else if a.StatusCode >= 500 {
						t.Errorf("%d %s", a.StatusCode, a.body)
					}
				}
			}
		})
	}
	wait.Wait()
}

func TestClientCache(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	var made []*authcode.AuthorizationCodeCredential
	fail := false
	cache := signin.NewClientCache(s.h, 0, func(c *authcode.AuthorizationCodeCredential) (*int, error) {
		if fail {
			return nil, errors.New("no")
		}
		made = append(made, c)
		return new(int), nil
	})
	var got *int
	var err error
	s.mux.Handle("/client", s.h.RequireUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := signin.UserFrom(r.Context())
		got, err = cache.Get(user)
	})))
	ask := func(b *browser) *int {
		t.Helper()
		b.open("/client").wants(t, 200, "")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	one, two := s.browser(alice).signIn(), s.browser(bob).signIn()
	first, second := ask(one), ask(two)
	if first == second || ask(one) != first || ask(two) != second || len(made) != 2 || made[0] == made[1] {
		t.Errorf("%d clients", len(made))
	}
	one.open("/auth/login?return=/me") // a new session has a new client, without the token of the old one
	if ask(one) == first || cache.Len() != 2 {
		t.Errorf("%d clients kept", cache.Len())
	}
	one.signOut()
	if cache.Len() != 1 {
		t.Errorf("%d clients kept after a sign-out", cache.Len())
	}
	two.signOut()
	fail = true
	two.signIn().open("/client")
	if err == nil || cache.Len() != 0 {
		t.Errorf("error %v, %d kept", err, cache.Len())
	}
	if _, err := cache.Get(nil); err == nil {
		t.Error("a client of nobody")
	}
	panics := signin.NewClientCache(s.h, 1, func(*authcode.AuthorizationCodeCredential) (int, error) { panic("SECRET") })
	s.mux.Handle("/panics", s.h.Func(func(_ http.ResponseWriter, _ *http.Request, user *signin.User) error {
		_, err = panics.Get(user)
		return nil
	}))
	two.get("/panics")
	if err == nil || strings.Contains(err.Error(), "SECRET") || panics.Len() != 0 {
		t.Errorf("error %v", err)
	}
}

func TestClientCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(nil)
	cache := signin.NewClientCache(s.h, 3, func(*authcode.AuthorizationCodeCredential) (*int, error) { return new(int), nil })
	s.mux.Handle("/client", s.h.Func(func(_ http.ResponseWriter, _ *http.Request, user *signin.User) error {
		_, err := cache.Get(user)
		return err
	}))
	for range 10 {
		s.browser(alice).open("/client").wants(t, 200, "")
	}
	if cache.Len() != 3 {
		t.Errorf("%d clients", cache.Len())
	}
}
