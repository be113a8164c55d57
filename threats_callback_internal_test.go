package authcode

import (
	"context"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func callbackNewApp(t *testing.T) *App {
	t.Helper()
	app, err := NewApp("contoso.example", "client", "https://app.example.com/auth/callback", SecretAuth("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	return app
}

// TestThreatsSealedFlowOfAnotherKind: a text with the very content of a flow that was sealed as something else is not
// one (CVE-2023-48309: a half-made token taken for a session). Only from within can such a text be made.
func TestThreatsSealedFlowOfAnotherKind(t *testing.T) {
	app := callbackNewApp(t)
	flow, err := app.Begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	content := packFlow(flow, app.redirectURI)
	seal := func(associatedData []byte) string {
		sealed, err := app.sealer.EncryptWithContext(context.Background(), content, associatedData)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(sealed)
	}
	if _, err := app.OpenFlow(seal(app.flowData())); err != nil {
		t.Fatal(err) // else the rest proves nothing
	}
	noKind := strings.Join([]string{app.site.endpointsOf(app.tenants.home).Token, app.clientID, app.redirectURI}, "\x00")
	for _, kind := range []string{"", noKind, "authcode", "authcode flow", "authcode flow v2", "authcode session v1", "authcode record v1", string(app.flowData()) + "\x00", string(app.flowData()[1:])} {
		if _, err := app.OpenFlow(seal([]byte(kind))); err == nil {
			t.Errorf("what was sealed as %q opened as a flow", kind)
		}
	}
	// And content that is no flow, under the right kind: a Sealer of the user's own may be shared.
	for _, other := range [][]byte{nil, {0}, content[:8], content[:len(content)-1], append(content[:len(content):len(content)], 0), []byte(`{"State":"x"}`)} {
		content = other
		if _, err := app.OpenFlow(seal(app.flowData())); err == nil {
			t.Errorf("content of %d bytes that is no flow opened as one", len(other))
		}
	}
}

// TestThreatsUnknownAccountsLeaveNoMemory: asking for accounts that nobody signed in to, as a stranger with a made-up
// session would have us do, leaves nothing in the registry once nobody holds the credentials.
func TestThreatsUnknownAccountsLeaveNoMemory(t *testing.T) {
	app := callbackNewApp(t)
	held := app.Credential("held")
	for i := range 20_000 {
		_ = app.Credential(fmt.Sprint("stranger-", i))
	}
	for i := range 100 { // a step-up and a sign-out look the account up too
		accountID := fmt.Sprint("other-", i)
		if _, err := app.Begin(&BeginOptions{AccountID: accountID}); err != nil {
			t.Fatal(err)
		}
		if err := app.Forget(context.Background(), accountID); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 { // one that signed in and out again is a stranger too
		accountID := fmt.Sprint("guest-", i)
		if _, err := app.registry.adopt(app, accountID, func(*AuthorizationCodeCredential) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := app.Forget(context.Background(), accountID); err != nil {
			t.Fatal(err)
		}
	}
	size := func() int {
		app.registry.mu.RLock()
		defer app.registry.mu.RUnlock()
		return len(app.registry.waiting) + len(app.registry.known)
	}
	for range 100 { // cleanups run in their own time after a collection
		runtime.GC()
		for range 1000 {
			runtime.Gosched()
		}
		if size() == 1 {
			break
		}
	}
	if n := size(); n != 1 {
		t.Errorf("%d accounts are known, want the one that is held", n)
	}
	if app.Credential("held") != held {
		t.Error("the credential that is held is not found again")
	}
	runtime.KeepAlive(held)
}
