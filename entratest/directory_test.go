package entratest_test

import (
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

func TestLookups(t *testing.T) {
	d := entratest.DefaultDirectory()
	if d.App("web").ClientID == "" || d.App(web.ClientID).Name != "web" || d.App("x").ClientID != "" {
		t.Error("App")
	}
	for _, name := range []string{"alice", alice, "ALICE@contoso.example", d.Users[0].ObjectID} {
		if d.User(name).Username != alice {
			t.Errorf("User(%q)", name)
		}
	}
	if d.User("").Username != "" || d.User("nobody").Username != "" {
		t.Error("a user of no name")
	}
	for _, name := range []string{"contoso", "contoso.example", contoso} {
		if d.Tenant(name).ID != contoso {
			t.Errorf("Tenant(%q)", name)
		}
	}
	if d.Resource("https://storage.azure.com").AppID == "" || d.Resource("x").AppID != "" {
		t.Error("Resource")
	}
	if again := entratest.DefaultDirectory(); again.App("web").ClientID != web.ClientID {
		t.Error("the default directory changes")
	}
}

func TestDirectoryIsCopied(t *testing.T) {
	d := entratest.DefaultDirectory()
	f := start(t, &entratest.Options{Directory: d})
	d.Apps[0].Secrets[0], d.Apps[0].RedirectURIs[1], d.Users[0].Username = "changed", "changed", "changed"
	f.Directory().Users[0].Username = "changed"
	f.mustToken(codeForm(f.signIn(alice)))
}

func TestOptionsRefused(t *testing.T) {
	for name, options := range map[string]*entratest.Options{
		"lifetime":      {AccessTokenLifetime: time.Millisecond},
		"refresh in":    {RefreshIn: -1},
		"rotation":      {Rotation: 7},
		"origin path":   {Origin: "https://login.example/"},
		"origin scheme": {Origin: "ftp://login.example"},
		"origin":        {Origin: "%"},
	} {
		if _, err := entratest.NewHandler(options); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestOrigins(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	if a.URL() == b.URL() {
		t.Error("two emulators, one origin")
	}
	if c := start(t, &entratest.Options{Origin: "http://127.0.0.1:8080"}); c.URL() != "http://127.0.0.1:8080" {
		t.Error(c.URL())
	}
}

// Without a resource for short scopes, there is none for bare sign-ins either.
func TestNoGraph(t *testing.T) {
	d := entratest.DefaultDirectory()
	d.Resources, d.Apps[0].Permissions = d.Resources[5:], nil
	f := start(t, &entratest.Options{Directory: d})
	f.mustRefuse(codeForm(f.signIn(alice, "scope", "openid")), "invalid_scope", 70011)
	f.mustToken(codeForm(f.signIn(alice, "scope", orders)))
}

// A directory is exchanged as a whole or not at all, and what was issued before goes on.
func TestSetDirectory(t *testing.T) {
	f := start(t, nil)
	old := f.mustToken(codeForm(f.signIn(alice)))
	d := entratest.DefaultDirectory()
	d.Users = append(d.Users, entratest.User{
		Username: "dan@contoso.example", ObjectID: "da000000-1b2c-4d3e-8f40-5a6b7c8d9e0f", TenantID: contoso,
	})
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	f.mustToken(codeForm(f.signIn("dan@contoso.example")))
	f.mustToken(refreshForm(old.RefreshToken))

	gone := f.mustToken(codeForm(f.signIn(alice, "scope", "openid offline_access "+orders)))
	d.Resources = d.Resources[:5] // without api://orders
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	f.mustRefuse(refreshForm(gone.RefreshToken), "invalid_resource", 500011)
	f.mustToken(refreshForm(old.RefreshToken))

	d.Users[0].TenantID = "nowhere"
	if err := f.SetDirectory(d); err == nil {
		t.Error("a directory with a homeless user was accepted")
	}
	if err := f.SetDirectory(nil); err == nil {
		t.Error("no directory was accepted")
	}
	if f.Directory().User("alice").TenantID != contoso {
		t.Error("a refused directory changed the one in use")
	}
}

func TestConsumersIsATenant(t *testing.T) {
	f := start(t, nil).at("consumers")
	f.mustToken(codeForm(f.signIn("personal@outlook.example")))
	if _, err := f.Authorize(t.Context(), f.authorizeURL(), alice); err == nil {
		t.Error("a work account signed in at consumers")
	}
}
