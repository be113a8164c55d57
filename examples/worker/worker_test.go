package main

import (
	"encoding/base64"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/examples/internal/stage"
	"github.com/authcode-go/authcode/signin"
)

const (
	alice = "alice@contoso.example"
	bob   = "bob@contoso.example"
)

// signUsersIn is the web app by day: it leaves the users' grants in the store, and closes.
func signUsersIn(t *testing.T, s *stage.Stage, users ...string) {
	t.Helper()
	app, end, err := s.Getenv().App(t.Context(), s.Client())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	h, err := signin.New(app, &signin.Options{Scopes: []string{"https://graph.microsoft.com/User.Read"}, KeepGrants: true})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/auth/", h)
	mux.Handle("/", h.Func(func(w http.ResponseWriter, _ *http.Request, user *signin.User) error {
		_, err := w.Write([]byte(user.Account.Username))
		return err
	}))
	origin := s.Serve(mux)
	for _, user := range users {
		b := s.NewBrowser(user)
		b.Open(origin+"/me").Wants(t, 200, user)
		b.Submit(origin+"/auth/logout", nil) // and goes home
	}
}

func TestWorker(t *testing.T) {
	for _, test := range []struct {
		name    string
		happens func(*stage.Stage) error // over night
		says    []string
		fails   string // the error's text; empty: none
	}{
		{
			name:    "nothing",
			happens: func(*stage.Stage) error { return nil },
			says:    []string{alice + ": 21 bytes", bob + ": 19 bytes", "2 called, 0 have to sign in, 0 failed"},
		},
		{
			name:    "an account is disabled",
			happens: func(s *stage.Stage) error { return s.SetDisabled(bob, true) },
			says:    []string{alice + ": 21 bytes", bob + " has to sign in: the server says invalid_grant", "1 called, 1 have to sign in, 0 failed"},
		},
		{
			name: "a policy wants more",
			happens: func(s *stage.Stage) error {
				s.RequireClaims(bob, "https://management.azure.com", `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`)
				return nil
			},
			says: []string{alice + ": 21 bytes", bob + " has to sign in: a policy wants more proof of who they are"},
		},
		{
			name: "consent is withdrawn",
			happens: func(s *stage.Stage) error {
				s.WithdrawConsent(bob, s.Env["AZURE_CLIENT_ID"], "https://management.azure.com/user_impersonation")
				return nil
			},
			says: []string{alice + ": 21 bytes", bob + " has to sign in: they have not allowed this yet"},
		},
		{
			name:    "the API refuses",
			happens: func(s *stage.Stage) error { s.Env["refused"] = alice; return nil },
			says:    []string{alice + ": failed", bob + ": 19 bytes", "1 called, 0 have to sign in, 1 failed"},
			fails:   "RESPONSE 403",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := stage.New(t)
			s.Env["STORE"] = "bolt:" + filepath.Join(t.TempDir(), "app.db")
			s.Env["SEALER_KEY"] = base64.StdEncoding.EncodeToString(make([]byte, 32))
			url := s.API("https://management.azure.com", func(w http.ResponseWriter, _ *http.Request, claims map[string]any) {
				if claims["upn"] == s.Env["refused"] {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				_, _ = w.Write([]byte(claims["upn"].(string)))
			})
			signUsersIn(t, s, alice, bob)
			if err := test.happens(s); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			err := start(t.Context(), s.Getenv(), job{out: &out, url: url, scope: "https://management.azure.com/user_impersonation"})
			if got := err != nil; got != (test.fails != "") || got && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("error is %v, want %q", err, test.fails)
			}
			for _, text := range test.says {
				if !strings.Contains(out.String(), text+"\n") {
					t.Errorf("it does not say %q:\n%s", text, &out)
				}
			}
			if strings.Contains(out.String(), "eyJ") {
				t.Error("it shows a token")
			}
		})
	}
}
