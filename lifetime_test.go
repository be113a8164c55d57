package authcode_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

func TestCloseReleasesThoseWhoWait(t *testing.T) { // case 108
	for name, warm := range map[string]bool{"redemption": false, "refresh": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, e *entra) {
				c := e.newCredential(alice, nil)
				if warm {
					mustToken(t, c, tokenFor(graphScope))
				}
				e.Inject(entratest.Fault{Latency: time.Hour})
				waiting := make(chan error, 2)
				for _, scope := range []string{storageScope, vaultScope} {
					go func() {
						_, err := c.GetToken(t.Context(), tokenFor(scope))
						waiting <- err
					}()
				}
				synctest.Wait()
				began := time.Now()
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("Close took %v", took)
				}
				for range 2 {
					if err := <-waiting; !errors.Is(err, authcode.ErrClosed) {
						t.Errorf("a waiting caller got %v", err)
					}
				}
				if _, err := c.GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
				if _, err := c.Account(t.Context()); !errors.Is(err, authcode.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAppCloseEndsEverything(t *testing.T) {
	e := newEntra(t, nil)
	app := e.newApp(nil)
	c := e.signIn(app, alice, graphScope)
	flow, callback := e.beginAs(app, bob, nil)
	sealed, err := app.SealFlow(flow)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil { // an App's credential is the App's to close
		t.Error(err)
	}
	mustToken(t, c, tokenFor(graphScope))
	if err := app.Close(); err != nil {
		t.Error(err)
	}
	calls := map[string]func() error{
		"GetToken":           func() error { _, err := c.GetToken(t.Context(), tokenFor(graphScope)); return err },
		"Account":            func() error { _, err := c.Account(t.Context()); return err },
		"Begin":              func() error { _, err := app.Begin(nil); return err },
		"Redeem":             func() error { _, err := app.Redeem(t.Context(), flow, callback); return err },
		"SealFlow":           func() error { _, err := app.SealFlow(flow); return err },
		"OpenFlow":           func() error { _, err := app.OpenFlow(sealed); return err },
		"ImportRefreshToken": func() error { _, err := app.ImportRefreshToken(t.Context(), "token"); return err },
		"Forget":             func() error { return app.Forget(t.Context(), "account") },
		"Credential": func() error {
			_, err := app.Credential("account").GetToken(t.Context(), tokenFor(graphScope))
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, authcode.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if err := app.Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseIsSafeDuringCalls(t *testing.T) { // B69: the race detector is the check
	for range 20 {
		e := newEntra(t, nil)
		app := e.newApp(nil)
		c := e.signIn(app, alice, graphScope)
		var wg sync.WaitGroup
		for _, scope := range []string{graphScope, storageScope, vaultScope} {
			for range 4 {
				wg.Go(func() {
					if _, err := c.GetToken(t.Context(), tokenFor(scope)); err != nil && !errors.Is(err, authcode.ErrClosed) {
						t.Error(err)
					}
				})
			}
		}
		wg.Go(func() { _ = app.Close() })
		wg.Wait()
		if _, err := c.GetToken(t.Context(), tokenFor(graphScope)); !errors.Is(err, authcode.ErrClosed) {
			t.Errorf("a token was left after Close: %v", err)
		}
	}
}

func TestCloseDoesNotWaitForATransporterThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		options := &authcode.AuthorizationCodeCredentialOptions{}
		options.Transport = transporter(func(*http.Request) (*http.Response, error) {
			<-hang
			return nil, context.Canceled
		})
		c, err := authcode.NewAuthorizationCodeCredential("tenant", "client", "code", redirectURI, options)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = c.GetToken(t.Context(), tokenFor("scope")) }()
		synctest.Wait()
		began := time.Now()
		_ = c.Close()
		if took := time.Since(began); took != time.Second {
			t.Errorf("Close took %v, want 1 s", took)
		}
		close(hang)
	})
}

func TestForgetIsNotUndoneByARefresh(t *testing.T) { // case 106
	inBubble(t, nil, func(t *testing.T, e *entra) {
		app := e.newApp(nil)
		c := e.signIn(app, alice, graphScope)
		account, _ := c.Account(t.Context())
		e.Inject(entratest.Fault{Latency: time.Second})
		refreshed := make(chan error, 1)
		go func() {
			_, err := c.GetToken(t.Context(), tokenFor(storageScope))
			refreshed <- err
		}()
		synctest.Wait()
		for range 2 { // idempotent
			if err := app.Forget(t.Context(), account.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-refreshed; !errors.Is(err, authcode.ErrUnknownAccount) {
			t.Errorf("the refresh in flight gave %v", err)
		}
		for _, scope := range []string{graphScope, storageScope} {
			_, err := app.Credential(account.ID).GetToken(t.Context(), tokenFor(scope))
			if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); !required || !errors.Is(err, authcode.ErrUnknownAccount) {
				t.Errorf("after Forget: %v", err)
			}
		}
		e.signIn(app, alice, graphScope)
		mustToken(t, c, tokenFor(graphScope)) // the credential that was held works again
	})
}

type transporter func(*http.Request) (*http.Response, error)

func (f transporter) Do(r *http.Request) (*http.Response, error) { return f(r) }
