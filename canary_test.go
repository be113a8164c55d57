package authcode_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// canary collects the secrets of flows as they pass, and everything this package says in text, to search the one in the
// other.
type canary struct {
	mu      sync.Mutex
	secrets map[string]string // value -> what it is
	said    bytes.Buffer
}

func (c *canary) secret(kind, value string) {
	if len(value) < 8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secrets == nil {
		c.secrets = make(map[string]string)
	}
	c.secrets[value] = kind
}

func (c *canary) hear(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.said, format+"\n", args...)
}

// inspect prints a value in every way a program might.
func (c *canary) inspect(v any) {
	asJSON, _ := json.Marshal(v)
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("value", "v", v)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("value", "v", v)
	c.hear("%v\n%+v\n%#v\n%s\n%q\n%x\n%d\n%s\n%s", v, v, v, v, v, v, v, asJSON, logged.String())
	if err, ok := v.(error); ok {
		for ; err != nil; err = errors.Unwrap(err) {
			c.hear("%v %+v %#v", err, err, err)
		}
	}
	if failed, ok := v.(*authcode.AuthenticationFailedError); ok && failed.RawResponse != nil {
		var raw bytes.Buffer
		_ = failed.RawResponse.Write(&raw)
		c.hear("%s %v %v", raw.String(), failed.RawResponse.Header, failed.RawResponse.Request)
	}
}

func (c *canary) search(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.said.String()
	if len(c.secrets) < 10 || len(text) < 10_000 {
		t.Fatalf("only %d secrets and %d bytes of text: the canary has seen nothing", len(c.secrets), len(text))
	}
	for value, kind := range c.secrets {
		for name, spelling := range map[string]string{
			"as it is": value, "query-escaped": url.QueryEscape(value), "in base64": base64.StdEncoding.EncodeToString([]byte(value)), "in hex": fmt.Sprintf("%x", value),
		} {
			if i := strings.Index(text, spelling); i >= 0 {
				t.Errorf("the %s shows %s: …%s…", kind, name, text[max(0, i-120):i])
			}
		}
	}
}

// watch is a Transporter that learns the secrets of every exchange.
func (c *canary) watch(e *entra) policy.Transporter {
	client := &http.Client{Transport: e.Transport()}
	return transporter(func(r *http.Request) (*http.Response, error) {
		resp, err := client.Do(r)
		for _, request := range e.tokenRequests("") {
			for _, name := range []string{"code", "refresh_token", "client_secret", "client_assertion", "code_verifier"} {
				c.secret(name, request.Form.Get(name))
			}
			c.secret("Authorization header", strings.TrimPrefix(request.Header.Get("Authorization"), "Basic "))
		}
		return resp, err
	})
}

func (c *canary) learnAnswers(e *entra) {
	e.Inject(entratest.Fault{Edit: func(answer map[string]any) {
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			value, _ := answer[name].(string)
			c.secret(name, value)
		}
	}})
}

func TestNoSecretIsEverSaid(t *testing.T) { // B88, B89, threat rows 8 and 9
	secrets := &canary{}
	log.SetEvents() // all of them
	log.SetListener(func(event log.Event, text string) { secrets.hear("%s %s", event, text) })
	defer log.SetListener(nil)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := selfSigned(t, key)
	certificate, err := authcode.CertificateAuth(certOf(cert), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		if directory.Apps[i].Name == "web" {
			directory.Apps[i].Certificates = certOf(cert)
		}
	}
	secret := directory.App("web").Secrets[0]
	assertion := authcode.AssertionAuth(func(context.Context) (string, error) { return "eyJhbGciOiJub25lIn0.canary-assertion.sig", nil })
	for name, auth := range map[string]authcode.ClientAuth{
		"secret": authcode.SecretAuth(secret), "basic": authcode.SecretBasicAuth(secret), "certificate": certificate, "assertion": assertion,
	} {
		e := newEntra(t, &entratest.Options{Directory: directory})
		secrets.secret("client secret", secret)
		secrets.learnAnswers(e)
		t.Run(name, func(t *testing.T) { sayEverything(t, e, secrets, auth) })
	}
	secrets.inspect(authcode.AuthorizationCodeCredentialOptions{ClientSecret: secret, CodeVerifier: "canary-verifier", ClientAuth: authcode.SecretAuth(secret)})
	secrets.secret("code_verifier", "canary-verifier")
	sealingKey := bytes.Repeat([]byte("canary-k"), 4)
	sealer, err := authcode.NewSealer(sealingKey)
	if err != nil {
		t.Fatal(err)
	}
	secrets.secret("sealing key", string(sealingKey))
	secrets.inspect(sealer)
	secrets.inspect(authcode.AppOptions{Sealer: sealer})
	secrets.search(t)
}

// sayEverything takes an App through success and every kind of failure, and prints all there is to print.
func sayEverything(t *testing.T, e *entra, secrets *canary, auth authcode.ClientAuth) {
	options := e.client()
	options.Transport = secrets.watch(e)
	options.Logging.IncludeBody = true
	options.Retry.RetryDelay = 1
	options.TracingProvider = tracing.NewProvider(func(string, string) tracing.Tracer {
		return tracing.NewTracer(func(ctx context.Context, name string, o *tracing.SpanOptions) (context.Context, tracing.Span) {
			secrets.hear("span %s %v", name, o.Attributes)
			return ctx, tracing.NewSpan(tracing.SpanImpl{
				End:           func() {},
				SetAttributes: func(attributes ...tracing.Attribute) { secrets.hear("%v", attributes) },
				SetStatus:     func(status tracing.SpanStatus, text string) { secrets.hear("%v %s", status, text) },
			})
		}, nil)
	}, nil)
	app, err := authcode.NewApp(e.tenant.ID, e.app.ClientID, redirectURI, auth, &authcode.AppOptions{
		ClientOptions: options,
		OnEvent: func(_ context.Context, event authcode.Event) {
			secrets.inspect(event)
			if event.Err != nil {
				secrets.inspect(event.Err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	flow, callback := e.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
	secrets.secret("verifier", flow.CodeVerifier)
	secrets.secret("state", flow.State)
	secrets.secret("nonce", flow.Nonce)
	secrets.secret("code", callback.Get("code"))
	for _, v := range []any{auth, app, flow, *flow} {
		secrets.inspect(v)
	}

	heard := func(err error) {
		if err != nil {
			secrets.inspect(err)
		}
	}
	_, err = app.Redeem(t.Context(), flow, url.Values{"state": {flow.State}, "error": {"access_denied"}, "error_description": {"you sent " + flow.CodeVerifier + " and " + callback.Get("code")}})
	heard(err)
	_, err = app.Redeem(t.Context(), flow, url.Values{"state": {"other"}, "code": callback["code"]})
	heard(err)
	for _, fault := range faults {
		remove := e.Inject(fault)
		plain, err := authcode.NewAuthorizationCodeCredential(e.tenant.ID, e.app.ClientID, e.code(alice, graphScope), redirectURI, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: options, ClientAuth: auth})
		heard(err)
		_, err = plain.GetToken(t.Context(), tokenFor(graphScope))
		heard(err)
		_, err = plain.Account(t.Context())
		heard(err)
		secrets.inspect(plain)
		_ = plain.Close()
		remove()
	}
	c, err := app.Redeem(t.Context(), flow, callback)
	heard(err)
	_, err = app.Redeem(t.Context(), flow, callback) // spent
	heard(err)
	if c == nil {
		return // the made-up assertion is refused
	}
	secrets.inspect(c)
	account, err := c.Account(t.Context())
	heard(err)
	secrets.inspect(account)
	for _, fault := range faults {
		remove := e.Inject(fault)
		_, err = c.GetToken(t.Context(), tokenFor(storageScope))
		heard(err)
		_, err = app.ImportRefreshToken(t.Context(), "canary-refresh-token-of-another-system", graphScope)
		heard(err)
		remove()
	}
	secrets.secret("imported refresh token", "canary-refresh-token-of-another-system")
}

var faults = []entratest.Fault{
	{Error: "invalid_grant", AADSTS: 70000, EchoSecrets: true},
	{Error: "invalid_client", AADSTS: 7000215, EchoSecrets: true},
	{Error: "interaction_required", AADSTS: 50076, Claims: `{"access_token":{}}`, EchoSecrets: true},
	{Status: 500, Body: "oops"},
	{Status: 302, Header: http.Header{"Location": {"https://elsewhere.example/"}}, Body: "x"},
	{LoseAnswer: true},
	{TruncateAt: 100},
	{Edit: func(answer map[string]any) { answer["token_type"] = "mac" }},
	{Edit: func(answer map[string]any) { answer["expires_in"] = -1 }},
	{Edit: func(answer map[string]any) { answer["error"] = answer["access_token"] }},
	{Edit: func(answer map[string]any) { answer["access_token"] = 7 }},
}
