package authcode_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// What a person reads: one line that says what failed, why, and what to do next.
func TestTheTextOfErrors(t *testing.T) { // B14, B59
	ids := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|login-\d+`)
	for name, test := range map[string]struct {
		fault entratest.Fault
		want  string
	}{
		"spent code": {
			entratest.Fault{Error: "invalid_grant", AADSTS: 54005},
			`authcode: the user must sign in: redeeming the authorization code at ID.entratest.example failed: invalid_grant: AADSTS54005: `,
		},
		"wrong secret": {
			entratest.Fault{Error: "invalid_client", AADSTS: 7000215},
			`authcode: redeeming the authorization code at ID.entratest.example failed: invalid_client: AADSTS7000215: `,
		},
		"server error": {
			entratest.Fault{Status: 502, Body: "<html>"},
			`authcode: redeeming the authorization code at ID.entratest.example failed: the answer was lost, the request may have been processed: status 502 Bad Gateway; the code is kept for one more attempt, in case it was not processed: call again`,
		},
		"lost answer": {
			entratest.Fault{LoseAnswer: true},
			`authcode: redeeming the authorization code at ID.entratest.example failed: the answer was lost, the request may have been processed: `,
		},
		"page": {
			entratest.Fault{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html>"},
			`authcode: redeeming the authorization code at ID.entratest.example failed: the answer is malformed: it is an HTML page; is the authority right, or a proxy in between?`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEntra(t, nil)
			c := e.newCredential(alice, nil)
			e.Inject(test.fault)
			_, err := c.GetToken(t.Context(), tokenFor(graphScope))
			text := ids.ReplaceAllString(err.Error(), "ID")
			if !strings.HasPrefix(text, test.want) || strings.Contains(text, "\n") {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
			if test.fault.AADSTS != 0 && !strings.Contains(text, "; ") {
				t.Errorf("no advice in %s", text)
			}
			if test.fault.AADSTS != 0 && !strings.HasSuffix(text, "(correlation ID ID, trace ID ID)") {
				t.Errorf("no IDs at the end of %s", text)
			}
		})
	}
}

func TestALostAnswer(t *testing.T) { // B72 to B74, threat row 2
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	e.Inject(entratest.Fault{LoseAnswer: true, Times: 1})
	_, err := c.GetToken(t.Context(), tokenFor(graphScope))
	if err == nil || !strings.Contains(err.Error(), "answer was lost") {
		t.Fatalf("got %v", err)
	}
	e.wantRequests(1, 0)
	_, second := c.GetToken(t.Context(), tokenFor(graphScope))
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](second)
	if !ok || failed.Code != "invalid_grant" || !strings.Contains(second.Error(), "an earlier answer for this code was lost") {
		t.Errorf("got %v", second)
	}
	e.wantRequests(2, 0)
	for range 3 {
		if _, err := c.GetToken(t.Context(), tokenFor(storageScope)); err != second {
			t.Errorf("a later call got %v", err)
		}
	}
	if _, err := c.Account(t.Context()); err != second {
		t.Errorf("Account got %v", err)
	}
	e.wantRequests(2, 0)
}

func TestTheRawResponse(t *testing.T) {
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	e.Inject(entratest.Fault{Error: "invalid_scope", AADSTS: 70011})
	_, err := c.GetToken(t.Context(), tokenFor(graphScope))
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var first []byte
	for range 3 {
		body, err := io.ReadAll(failed.RawResponse.Body)
		if err != nil || len(body) == 0 || first != nil && !bytes.Equal(first, body) {
			t.Fatalf("read %d bytes, %v: the body cannot be read again", len(body), err)
		}
		first = body
	}
	var fields map[string]any
	if err := json.Unmarshal(first, &fields); err != nil || fields["error"] != "invalid_scope" {
		t.Errorf("body %s", first)
	}
	request := failed.RawResponse.Request
	if request.Body != nil || request.Header.Get("Authorization") != "" || request.URL.Host == "" {
		t.Errorf("the request holds too much or too little: %v", request)
	}
	var retriable interface{ NonRetriable() }
	if !errors.As(err, &retriable) {
		t.Error("azcore would try again")
	}
}

func TestErrorsAsJSON(t *testing.T) {
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	mustToken(t, c, tokenFor(graphScope))
	e.RequireClaims(alice, "", challenge)
	_, err := c.GetToken(t.Context(), tokenFor(storageScope))
	text, marshalErr := json.Marshal(err)
	if marshalErr != nil || !strings.Contains(string(text), `"claims":"{\"access_token\"`) || !strings.Contains(string(text), `"message":"authcode: the user must sign in`) {
		t.Errorf("got %s, %v", text, marshalErr)
	}
}

func TestWhatIsSentBesidesTheForm(t *testing.T) { // B54, B64
	e := newEntra(t, nil)
	options := e.client()
	options.Telemetry.ApplicationID = "my app"
	policies := 0
	options.PerCallPolicies = []policy.Policy{policyFunc(func(r *policy.Request) (*http.Response, error) {
		policies++
		return r.Next()
	})}
	c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: options})
	mustToken(t, c, tokenFor(graphScope))
	mustToken(t, c, tokenFor(storageScope))
	ids := map[string]bool{}
	for _, r := range e.tokenRequests("") {
		if got, want := r.Header.Get("User-Agent"), "my/app authcode/0.1.0"; got != want {
			t.Errorf("User-Agent %q, want %q", got, want)
		}
		ids[r.Header.Get("Client-Request-Id")] = true
		if len(r.Query) > 0 {
			t.Errorf("query %v", r.Query)
		}
	}
	if len(ids) != 2 || ids[""] {
		t.Errorf("request IDs %v, want one per request", ids)
	}
	if policies != 2 {
		t.Errorf("the caller's policy saw %d requests, want 2", policies)
	}
}

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(r *policy.Request) (*http.Response, error) { return f(r) }

func TestACallersContextCapturesNoToken(t *testing.T) {
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	var captured *http.Response
	ctx := policy.WithCaptureResponse(t.Context(), &captured)
	ctx = policy.WithHTTPHeader(ctx, http.Header{"X-Callers": {"own"}})
	ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: 7})
	if _, err := c.GetToken(ctx, tokenFor(graphScope)); err != nil {
		t.Fatal(err)
	}
	if captured != nil {
		t.Error("the caller captured the token answer")
	}
	if got := e.tokenRequests("")[0].Header.Get("X-Callers"); got != "" {
		t.Error("the caller's header went to the token endpoint")
	}
}

func TestASpanPerCall(t *testing.T) { // B63
	e := newEntra(t, nil)
	var spans []string
	open := 0
	options := e.client()
	options.TracingProvider = tracing.NewProvider(func(string, string) tracing.Tracer {
		return tracing.NewTracer(func(ctx context.Context, name string, _ *tracing.SpanOptions) (context.Context, tracing.Span) {
			parent, _ := ctx.Value(spanKey{}).(string)
			spans = append(spans, strings.TrimPrefix(parent+" > "+name, " > "))
			open++
			return context.WithValue(ctx, spanKey{}, name), tracing.NewSpan(tracing.SpanImpl{End: func() { open-- }})
		}, nil)
	}, nil)
	c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: options})
	mustToken(t, c, tokenFor(graphScope))
	want := []string{"AuthorizationCodeCredential.GetToken", "AuthorizationCodeCredential.GetToken > HTTP POST"}
	if strings.Join(spans, "|") != strings.Join(want, "|") || open != 0 {
		t.Errorf("spans %q, %d open; want %q, none open", spans, open, want)
	}
}

type spanKey struct{}

func TestEvents(t *testing.T) { // B61
	e := newEntra(t, nil)
	var events []authcode.Event
	app := e.newApp(&authcode.AppOptions{ClientOptions: e.client(), OnEvent: func(_ context.Context, event authcode.Event) {
		events = append(events, event)
		panic("the observer's own fault")
	}})
	c := e.signIn(app, alice, graphScope)
	mustToken(t, c, tokenFor(storageScope))
	e.Inject(entratest.Fault{Error: "invalid_client", AADSTS: 7000215, Times: 1})
	_, _ = c.GetToken(t.Context(), tokenFor(vaultScope))
	e.Inject(entratest.Fault{Error: "invalid_grant", AADSTS: 50173, Times: 1})
	_, _ = c.GetToken(t.Context(), tokenFor(vaultScope))
	account, _ := c.Account(t.Context())
	if err := app.Forget(t.Context(), account.ID); err != nil {
		t.Fatal(err)
	}
	want := []struct {
		kind    authcode.EventKind
		outcome authcode.EventOutcome
		granted string
	}{
		{authcode.EventRedeem, authcode.OutcomeOK, "User.Read"},
		{authcode.EventRefresh, authcode.OutcomeOK, storageScope},
		{authcode.EventRefresh, authcode.OutcomeFailed, ""},
		{authcode.EventRefresh, authcode.OutcomeSignInRequired, ""},
		{authcode.EventForget, authcode.OutcomeOK, ""},
	}
	if len(events) != len(want) {
		t.Fatalf("%d events, want %d: %v", len(events), len(want), events)
	}
	for i, event := range events {
		if event.Kind != want[i].kind || event.Outcome != want[i].outcome || (event.Err == nil) != (want[i].outcome == authcode.OutcomeOK) || !strings.Contains(event.GrantedScope, want[i].granted) {
			t.Errorf("event %d: %+v, want %+v", i, event, want[i])
		}
		if len(event.Account) != 64 || strings.Contains(event.Account, account.ObjectID) {
			t.Errorf("event %d: account %q is not a hash", i, event.Account)
		}
	}
}

func TestAPanicInACallbackIsAnError(t *testing.T) { // case 114
	e := newEntra(t, nil)
	panics := true
	auth := authcode.AssertionAuth(func(context.Context) (string, error) {
		if panics {
			panic("secret in a panic")
		}
		return "", errors.New("no assertion today")
	})
	c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientAuth: auth})
	_, err := c.GetToken(t.Context(), tokenFor(graphScope))
	if err == nil || strings.Contains(err.Error(), "secret in a panic") {
		t.Errorf("got %v", err)
	}
	panics = false
	if _, err = c.GetToken(t.Context(), tokenFor(graphScope)); err == nil || !strings.Contains(err.Error(), "no assertion today") {
		t.Errorf("got %v", err)
	}
	e.wantRequests(0, 0)
}

var _ azcore.TokenCredential = (*authcode.AuthorizationCodeCredential)(nil)

func TestTemporaryFailures(t *testing.T) {
	for _, test := range []struct {
		fault entratest.Fault
		want  bool
	}{
		{entratest.Fault{Error: "invalid_client"}, false},
		{entratest.Fault{Status: 200, Body: "{}", Header: http.Header{"Content-Type": {"application/json"}}}, false},
		{entratest.Fault{Status: 500}, true},
		{entratest.Fault{LoseAnswer: true}, true},
		{entratest.Fault{RetryAfter: "20"}, true},
		{entratest.Fault{Endpoint: "discovery", Status: 404}, true},
	} {
		e := newEntra(t, nil)
		app := e.newApp(nil)
		flow, callback := e.beginAs(app, alice, nil)
		e.Inject(test.fault)
		_, err := app.Redeem(t.Context(), flow, callback)
		failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
		if !ok || failed.Temporary() != test.want {
			t.Errorf("%+v: %v, want Temporary %v", test.fault, err, test.want)
		}
	}
}
