package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/examples/internal/stage"
)

const (
	alice = "alice@contoso.example"
	bob   = "bob@contoso.example"
)

// start serves the web app of the stage's environment.
func start(t *testing.T, s *stage.Stage) (origin string) {
	t.Helper()
	handler, end, err := newWebApp(t.Context(), s.Getenv())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return s.Serve(handler)
}

func TestSignIn(t *testing.T) {
	s := stage.New(t)
	origin := start(t, s)
	b := s.NewBrowser(bob)
	b.Open(origin+"/").Wants(t, 200, "Sign in", `href="/auth/login?return=%2F"`)
	page := b.Open(origin+"/profile").Wants(t, 200, "Bob Berger", bob, "Orders.Approver", "96009000-1a2b-4c3d-8e4f-5a6b7c8d9e01",
		"Token for Microsoft Graph", "preferred_username", "it can change hands")
	if page.URL != origin+"/profile" {
		t.Errorf("the sign-in led to %s", page.URL)
	}
	b.Open(origin+"/").Wants(t, 200, "Hello, Bob Berger")
	b.Open(origin+"/files").Wants(t, 200, "No storage account is connected", "STORAGE_URL=")
	b.Open(origin+"/nowhere").Wants(t, 404, "There is no such page")
	for _, name := range []string{"Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options"} {
		if page.Header.Get(name) == "" {
			t.Errorf("the page has no %s", name)
		}
	}
	if got := page.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a user's page has Cache-Control %q", got)
	}
	if strings.Contains(page.Body, "eyJ") {
		t.Error("the page holds a token")
	}
	style := b.Open(origin+"/style.css").Wants(t, 200, "color-scheme: light dark")
	if external := regexp.MustCompile(`https?://|@import|url\(`).FindString(style.Body); external != "" {
		t.Errorf("the style sheet loads %s", external)
	}
}

func TestSignOut(t *testing.T) {
	s := stage.New(t)
	origin := start(t, s)
	here, there := s.NewBrowser(alice), s.NewBrowser(alice)
	here.Open(origin+"/profile").Wants(t, 200, alice)
	there.Open(origin+"/profile").Wants(t, 200, alice)

	here.Submit(origin+"/auth/logout", nil)
	here.Open(origin+"/").Wants(t, 200, `href="/auth/login`)
	there.Open(origin+"/").Wants(t, 200, "Hello, Alice Anders")

	here.Open(origin+"/profile").Wants(t, 200, alice)
	there.Submit(origin+"/auth/logout", url.Values{"everywhere": {"1"}})
	here.Open(origin+"/").Wants(t, 200, `href="/auth/login`)
}

var sessionID = regexp.MustCompile(`name="id" value="([^"]+)"`)

func TestEndingSessions(t *testing.T) {
	s := stage.New(t)
	origin := start(t, s)
	here, there, other := s.NewBrowser(alice), s.NewBrowser(alice), s.NewBrowser(bob)
	there.Open(origin+"/profile").Wants(t, 200, alice)
	other.Open(origin+"/profile").Wants(t, 200, bob)
	page := here.Open(origin+"/sessions").Wants(t, 200, "Firefox on Linux", "this browser")
	ids := sessionID.FindAllStringSubmatch(page.Body, -1)
	if len(ids) != 2 {
		t.Fatalf("%d sessions, want 2\n%s", len(ids), page.Body)
	}
	// Neither what is no session nor another user's ends.
	foreign := sessionID.FindStringSubmatch(other.Open(origin + "/sessions").Body)[1]
	for _, id := range []string{"", "nonsense", foreign} {
		here.Submit(origin+"/sessions/end", url.Values{"id": {id}}).Wants(t, 200, "this browser")
	}
	other.Open(origin+"/").Wants(t, 200, "Hello, Bob Berger")

	here.Submit(origin+"/sessions/end", url.Values{"id": {ids[1][1]}}).Wants(t, 200, "this browser") // the newest stands first
	there.Open(origin+"/").Wants(t, 200, `href="/auth/login`)
	here.Open(origin+"/").Wants(t, 200, "Hello, Alice Anders")
	here.Submit(origin+"/sessions/end", url.Values{"id": {ids[0][1]}}).Wants(t, 200, `href="/auth/login`)
}

func TestPayslipsWantMoreProof(t *testing.T) {
	s := stage.New(t)
	s.Env["AUTHENTICATION_CONTEXT"] = "c7"
	origin := start(t, s)
	b := s.NewBrowser(alice)
	b.Open(origin+"/profile").Wants(t, 200, "nothing beyond the sign-in")
	page := b.Open(origin+"/payslips").Wants(t, 200, "2,710.32", "<code>c7</code>")
	if page.URL != origin+"/payslips" {
		t.Errorf("the step-up led to %s", page.URL)
	}
	b.Open(origin+"/profile").Wants(t, 200, `<span class="tag">c7</span>`)
}

// storage answers as Azure Storage does: alice's list, and bob's lack of a role.
func storage(s *stage.Stage) (address string) {
	return s.API("https://storage.azure.com", func(w http.ResponseWriter, r *http.Request, claims map[string]any) {
		w.Header().Set("Content-Type", "application/xml")
		switch {
		case claims["upn"] != alice:
			w.Header().Set("x-ms-error-code", "AuthorizationPermissionMismatch")
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Query().Get("restype") == "container":
			fmt.Fprint(w, `<?xml version="1.0"?><EnumerationResults><Blobs>
				<Blob><Name>plan.txt</Name><Properties><Last-Modified>Tue, 24 Nov 2026 09:00:00 GMT</Last-Modified><Content-Length>23000</Content-Length></Properties></Blob>
				<Blob><Name>&lt;b&gt;.txt</Name><Properties></Properties></Blob></Blobs><NextMarker/></EnumerationResults>`)
		default:
			fmt.Fprint(w, `<?xml version="1.0"?><EnumerationResults><Containers><Container><Name>notes</Name></Container></Containers><NextMarker/></EnumerationResults>`)
		}
	})
}

func TestFiles(t *testing.T) {
	s := stage.New(t)
	s.Env["STORAGE_URL"] = storage(s)
	origin := start(t, s)
	s.NewBrowser(alice).Open(origin+"/files").Wants(t, 200, "notes/plan.txt", "23.0 kB", "24 Nov 2026, 09:00:00 UTC", "notes/&lt;b&gt;.txt")
	s.NewBrowser(bob).Open(origin+"/files").Wants(t, 200, "You may not read this storage account")
}

// A storage account that a policy guards is one more page at the server, and then the list.
func TestFilesBehindAPolicy(t *testing.T) {
	s := stage.New(t)
	s.Env["STORAGE_URL"] = storage(s)
	origin := start(t, s)
	b := s.NewBrowser(alice)
	b.Open(origin+"/profile").Wants(t, 200, alice)
	s.RequireClaims(alice, "https://storage.azure.com", `{"access_token":{"acrs":{"essential":true,"value":"c9"}}}`)
	page := b.Open(origin+"/files").Wants(t, 200, "notes/plan.txt")
	if page.URL != origin+"/files" {
		t.Errorf("the step-up led to %s", page.URL)
	}
}

func TestErrorsHaveTheAppsLook(t *testing.T) {
	s := stage.New(t)
	origin := start(t, s)
	s.NewBrowser(alice).Open(origin+"/auth/callback?code=x&state=y").Wants(t, 400, "This sign-in is not from here", "/style.css", `<a class="button primary"`)
	s.NewBrowser(alice).Open(origin+"/auth/nowhere").Wants(t, 404, "There is no such page", "/style.css", "To the start")
	s.NewBrowser(alice).Open(origin+"/auth/logout").Wants(t, 200, "Sign out?", "<form")
}
