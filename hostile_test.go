package authcode_test

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// tokenServer is a server that a test makes misbehave: a function of the form.
type tokenServer func(r *http.Request, form url.Values) (*http.Response, error)

func (s tokenServer) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	return s(r, form)
}

func reply(r *http.Request, status int, body string, header ...string) (*http.Response, error) {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: readCloser(body), ContentLength: int64(len(body)), Request: r}, nil
}

const goodAnswer = `{"token_type":"Bearer","access_token":"at","refresh_token":"rt","expires_in":3600}`

var hostileServers atomic.Int32 // each at an address of its own, so that their pauses do not mix

func (s tokenServer) credential(t *testing.T, code string, options *authcode.AuthorizationCodeCredentialOptions) *authcode.AuthorizationCodeCredential {
	t.Helper()
	if options == nil {
		options = &authcode.AuthorizationCodeCredentialOptions{}
	}
	options.Transport = s
	options.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: fmt.Sprintf("https://hostile-%d.example", hostileServers.Add(1))}
	c, err := authcode.NewAuthorizationCodeCredential("tenant", "client", code, redirectURI, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func isCode(form url.Values) bool { return form.Get("grant_type") == "authorization_code" }

// Real codes are longer than what an error quotes, and contain characters that every notation spells in its own way.
func TestAnEchoInAnySpellingIsMasked(t *testing.T) { // threat row 9
	const short, long = "4/0Ab+secret&part=xyz", "4/0Ab+secret&part=xyz"
	answers := map[string]func(code string) (status int, body string, header []string){
		"description":     func(c string) (int, string, []string) { return 400, errorJSON(c), nil },
		"escaped slashes": func(c string) (int, string, []string) { return 400, errorJSON(strings.ReplaceAll(c, "/", `\/`)), nil },
		"percent":         func(c string) (int, string, []string) { return 400, errorJSON(url.QueryEscape(c)), nil },
		"lower percent": func(c string) (int, string, []string) {
			return 400, errorJSON(strings.NewReplacer("%2F", "%2f", "%2B", "%2b", "%3D", "%3d").Replace(url.QueryEscape(c))), nil
		},
		"HTML": func(c string) (int, string, []string) {
			return 400, errorJSON(strings.ReplaceAll(c, "&", "&amp;")), nil
		},
		"JSON": func(c string) (int, string, []string) {
			return 400, errorJSON(strings.ReplaceAll(c, "&", `\u0026`)), nil
		},
		"token type": func(c string) (int, string, []string) {
			return 200, fmt.Sprintf(`{"token_type":%q,"access_token":"x","expires_in":1}`, c), nil
		},
		"member name":       func(c string) (int, string, []string) { return 200, fmt.Sprintf(`{%[1]q:1,%[1]q:2}`, c), nil },
		"content encoding":  func(c string) (int, string, []string) { return 200, goodAnswer, []string{"Content-Encoding", c} },
		"status of a fault": func(c string) (int, string, []string) { return 500, c, nil },
		"header":            func(c string) (int, string, []string) { return 400, errorJSON("no"), []string{"X-Echo", c} },
	}
	for name, answer := range answers {
		for _, code := range []string{short, strings.Repeat(long, 40)} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, len(code)), func(t *testing.T) {
				c := tokenServer(func(r *http.Request, form url.Values) (*http.Response, error) {
					status, body, header := answer(form.Get("code"))
					return reply(r, status, body, header...)
				}).credential(t, code, nil)
				_, err := c.GetToken(t.Context(), tokenFor("scope"))
				said := &canary{}
				said.inspect(err)
				if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok {
					t.Fatalf("got %v", err)
				} else {
					said.inspect(failed)
				}
				if strings.Contains(said.said.String(), "0Ab") {
					t.Errorf("the code shows: %.300s", said.said.String())
				}
			})
		}
	}
}

func errorJSON(description string) string {
	return `{"error":"invalid_grant","error_description":"bad code ` + description + `"}`
}

func TestAPauseTellsNothingOfAnotherUser(t *testing.T) {
	server := tokenServer(func(r *http.Request, _ url.Values) (*http.Response, error) {
		return reply(r, 429, `{"error":"slow_down","error_description":"alice is throttled","claims":"{\"alice\":1}","correlation_id":"alice"}`, "Retry-After", "60")
	})
	options := func() *authcode.AuthorizationCodeCredentialOptions {
		return &authcode.AuthorizationCodeCredentialOptions{Endpoints: &authcode.Endpoints{Token: "https://paused.example/token"}}
	}
	var wg sync.WaitGroup
	for range 20 { // together, for the race detector
		wg.Go(func() { _, _ = server.credential(t, "code", options()).GetToken(t.Context(), tokenFor("scope")) })
	}
	wg.Wait()
	_, err := server.credential(t, "code", options()).GetToken(t.Context(), tokenFor("scope"))
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
	if !ok || failed.RetryAfter == 0 || failed.Claims != "" || failed.RawResponse != nil || failed.CorrelationID != "" || strings.Contains(err.Error(), "alice") {
		t.Errorf("got %v", err)
	}
}

func TestQueuedTurnsHeedAPauseThatBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refreshes atomic.Int32
		c := tokenServer(func(r *http.Request, form url.Values) (*http.Response, error) {
			if isCode(form) {
				return reply(r, 200, goodAnswer)
			}
			refreshes.Add(1)
			time.Sleep(time.Second)
			return reply(r, 429, `{}`, "Retry-After", "60")
		}).credential(t, "code", nil)
		mustToken(t, c, tokenFor("scope"))
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, err := c.GetToken(t.Context(), tokenFor(fmt.Sprint("other-", i)))
				if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed.RetryAfter == 0 {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if got := refreshes.Load(); got != 1 {
			t.Errorf("%d POSTs to an endpoint that asked to be left alone, want 1", got)
		}
	})
}

func TestEveryTryHasItsOwnAssertion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		var sent []string
		c := tokenServer(func(r *http.Request, form url.Values) (*http.Response, error) {
			sent = append(sent, form.Get("client_assertion"))
			if len(sent) == 2 || len(sent) == 3 {
				return reply(r, 500, "")
			}
			return reply(r, 200, goodAnswer)
		}).credential(t, "code", &authcode.AuthorizationCodeCredentialOptions{ClientAuth: authcode.AssertionAuth(func(context.Context) (string, error) {
			made++
			return fmt.Sprint("jwt-", made), nil
		})})
		mustToken(t, c, tokenFor("one"))
		mustToken(t, c, tokenFor("two"))
		if got, want := strings.Join(sent, " "), "jwt-1 jwt-2 jwt-3 jwt-4"; got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
	})
}

// A managed identity's client inside the callback is an azcore client too: what the caller hung on the context is not for it.
func TestTheAssertionFunctionGetsAContextOfItsOwn(t *testing.T) {
	identity := runtime.NewPipeline("identity", "v1", runtime.PipelineOptions{}, &policy.ClientOptions{Transport: transporter(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("X-Caller") != "" {
			t.Error("the caller's header went along")
		}
		return reply(r, 200, `{"access_token":"of the identity"}`)
	})})
	c := tokenServer(func(r *http.Request, _ url.Values) (*http.Response, error) { return reply(r, 200, goodAnswer) }).credential(t, "code", &authcode.AuthorizationCodeCredentialOptions{
		ClientAuth: authcode.AssertionAuth(func(ctx context.Context) (string, error) {
			req, err := runtime.NewRequest(ctx, http.MethodGet, "https://identity.example/token")
			if err != nil {
				return "", err
			}
			_, err = identity.Do(req)
			return "jwt", err
		}),
	})
	var captured *http.Response
	ctx := policy.WithHTTPHeader(policy.WithCaptureResponse(t.Context(), &captured), http.Header{"X-Caller": {"1"}})
	if _, err := c.GetToken(ctx, tokenFor("scope")); err != nil {
		t.Fatal(err)
	}
	if captured != nil {
		t.Error("the caller captured the identity's token")
	}
}

func TestAPanicAfterSendingCountsAsALostAnswer(t *testing.T) {
	posts := 0
	c := tokenServer(func(*http.Request, url.Values) (*http.Response, error) {
		posts++
		panic("secret in a panic")
	}).credential(t, "code", nil)
	for range 5 {
		_, err := c.GetToken(t.Context(), tokenFor("scope"))
		if _, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || strings.Contains(err.Error(), "secret in a panic") {
			t.Errorf("got %v", err)
		}
	}
	if posts != 2 {
		t.Errorf("the code was sent %d times, want twice", posts)
	}
}

func TestAttemptsBehindAStaleTokenAreBounded(t *testing.T) {
	info := func(uid string) string {
		encoded := base64.RawURLEncoding.EncodeToString([]byte(`{"uid":"` + uid + `","utid":"t"}`))
		return strings.Replace(goodAnswer, "{", `{"client_info":"`+encoded+`",`, 1)
	}
	for name, refresh := range map[string]func(*http.Request) (*http.Response, error){
		"another user": func(r *http.Request) (*http.Response, error) { return reply(r, 200, info("bob")) },
		"malformed":    func(r *http.Request) (*http.Response, error) { return reply(r, 200, "{}") },
		"refused":      func(r *http.Request) (*http.Response, error) { return reply(r, 400, `{"error":"invalid_scope"}`) },
		"a panic":      func(*http.Request) (*http.Response, error) { panic("x") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				refreshes := 0
				c := tokenServer(func(r *http.Request, form url.Values) (*http.Response, error) {
					if isCode(form) {
						return reply(r, 200, info("alice"))
					}
					refreshes++
					return refresh(r)
				}).credential(t, "code", nil)
				first := mustToken(t, c, tokenFor("scope"))
				time.Sleep(time.Until(first.RefreshOn))
				for range 50 {
					mustToken(t, c, tokenFor("scope"))
					synctest.Wait()
				}
				if refreshes != 1 {
					t.Errorf("%d attempts at once, want 1", refreshes)
				}
				time.Sleep(30 * time.Second)
				mustToken(t, c, tokenFor("scope"))
				synctest.Wait()
				if refreshes != 2 {
					t.Errorf("%d attempts after 30 seconds, want 2", refreshes)
				}
			})
		})
	}
}

func TestASmallRefreshInIsNotALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		posts := 0
		c := tokenServer(func(r *http.Request, _ url.Values) (*http.Response, error) {
			posts++
			return reply(r, 200, strings.Replace(goodAnswer, `"expires_in":3600`, `"expires_in":86400,"refresh_in":60`, 1))
		}).credential(t, "code", nil)
		for range 200 {
			mustToken(t, c, tokenFor("scope"))
			synctest.Wait()
		}
		if posts != 1 {
			t.Errorf("%d POSTs in one instant", posts)
		}
	})
}

func TestScopesThatLookLikeModesDoNotCollide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		posts := 0
		c := tokenServer(func(r *http.Request, _ url.Values) (*http.Response, error) {
			posts++
			time.Sleep(time.Second)
			return reply(r, 200, strings.Replace(goodAnswer, `"at"`, fmt.Sprintf(`"at-%d"`, posts), 1))
		}).credential(t, "code", nil)
		mustToken(t, c, tokenFor("scope"))
		tokens := make(chan string, 2)
		for _, options := range []policy.TokenRequestOptions{tokenFor("cae", "x"), {Scopes: []string{"x"}, EnableCAE: true}} {
			go func() { tokens <- mustToken(t, c, options).Token }()
		}
		if a, b := <-tokens, <-tokens; a == b {
			t.Errorf("both got %s", a)
		}
	})
}

func TestARefusalOfAReplacedRefreshTokenSaysNothing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, e *entra) {
		app := e.newApp(nil)
		c := e.signIn(app, alice, graphScope)
		e.Inject(entratest.Fault{GrantType: "refresh_token", Times: 1, Latency: time.Second, Error: "invalid_grant", AADSTS: 700082})
		refreshed := make(chan error, 1)
		go func() {
			_, err := c.GetToken(t.Context(), tokenFor(storageScope))
			refreshed <- err
		}()
		synctest.Wait()
		e.signIn(app, alice, graphScope)
		if err := <-refreshed; err != nil {
			t.Errorf("the user had signed in again, and yet: %v", err)
		}
	})
}

func TestATokenObtainedForClaimsStandsBeforeOlderOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		posts := 0
		c := tokenServer(func(r *http.Request, form url.Values) (*http.Response, error) {
			posts++
			life := "3600"
			if form.Get("claims") != "" {
				life = "600"
			}
			return reply(r, 200, strings.NewReplacer(`"at"`, fmt.Sprintf(`"at-%d"`, posts), "3600", life).Replace(goodAnswer))
		}).credential(t, "code", nil)
		mustToken(t, c, tokenFor("read", "write"))
		stepped := mustToken(t, c, policy.TokenRequestOptions{Scopes: []string{"read"}, Claims: challenge})
		time.Sleep(6 * time.Minute) // it is stale now, the one from before is fresh
		if got := mustToken(t, c, tokenFor("read")); got.Token != stepped.Token {
			t.Errorf("got %s, want the one obtained for the claims", got.Token)
		}
	})
}

func TestTheEndOfAContextIsFoundByItsErrorAndItsCause(t *testing.T) { // B66
	synctest.Test(t, func(t *testing.T) {
		c := tokenServer(func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}).credential(t, "code", nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		shutdown := errors.New("shutting down")
		got := make(chan error, 1)
		go func() {
			_, err := c.GetToken(ctx, tokenFor("scope"))
			got <- err
		}()
		synctest.Wait()
		cancel(shutdown)
		if err := <-got; !errors.Is(err, context.Canceled) || !errors.Is(err, shutdown) {
			t.Errorf("got %v", err)
		}
	})
}

func TestACallThatIsOverSpendsNothing(t *testing.T) {
	posts := 0
	c := tokenServer(func(r *http.Request, _ url.Values) (*http.Response, error) {
		posts++
		return reply(r, 200, goodAnswer)
	}).credential(t, "code", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.GetToken(ctx, tokenFor("scope")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Account(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	mustToken(t, c, tokenFor("scope"))
	if posts != 1 {
		t.Errorf("%d POSTs, want 1", posts)
	}
}

func TestWhoseGrantItIsIsLearnedFromARefresh(t *testing.T) {
	refreshes := 0
	c := tokenServer(func(r *http.Request, form url.Values) (*http.Response, error) {
		if isCode(form) {
			return reply(r, 200, goodAnswer)
		}
		refreshes++
		info := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"uid":"u%d","utid":"t"}`, refreshes))
		return reply(r, 200, strings.Replace(goodAnswer, "{", `{"client_info":"`+info+`",`, 1))
	}).credential(t, "code", nil)
	mustToken(t, c, tokenFor("one"))
	mustToken(t, c, tokenFor("two"))
	if account, err := c.Account(t.Context()); err != nil || account.ID != "u1.t" {
		t.Errorf("account %v, %v", account, err)
	}
	if _, err := c.GetToken(t.Context(), tokenFor("three")); err == nil {
		t.Error("a refresh for another user went unnoticed")
	}
}

func TestNobodyWatchesTheAuthorizationHeader(t *testing.T) { // threat row 8
	e := newEntra(t, nil)
	server, err := entratest.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: server.URL()}, Transport: server.Client()}
	c, err := authcode.NewAuthorizationCodeCredential(e.tenant.ID, e.app.ClientID, "made-up", redirectURI, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: client, ClientAuth: authcode.SecretBasicAuth("hush-hush")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteHeaderField: func(name string, value []string) {
		t.Errorf("the caller's trace saw %s", name)
	}})
	_, _ = c.GetToken(ctx, tokenFor(graphScope))
}

func TestAFlowMarshalsRedacted(t *testing.T) {
	e := newEntra(t, nil)
	flow, err := e.newApp(nil).Begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := xml.Marshal(flow)
	if strings.Contains(string(text), flow.CodeVerifier) || strings.Contains(string(text), flow.State) {
		t.Errorf("XML: %s", text)
	}
}

func TestTheNamesOfUsersForgeNoLogLines(t *testing.T) { // threat row 51
	text := fmt.Sprint(authcode.Account{ID: "x", Name: "a\nERROR forged \x1b[31m"})
	if strings.ContainsAny(text, "\n\x1b") {
		t.Errorf("%q", text)
	}
}
