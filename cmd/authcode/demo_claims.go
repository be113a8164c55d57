package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/authcode-go/authcode/entratest"
)

// meetClaimsChallenge is continuous access evaluation from end to end: the API learns that a token was revoked before its
// time, and says so with a challenge that any Azure SDK client answers by asking its credential again.
func meetClaimsChallenge(ctx context.Context, j *journey) ([]detail, error) {
	api := &ordersAPI{emulator: j.emulator.Emulator, audience: j.emulator.Directory().Resource("api://orders").AppID}
	server := httptest.NewTLSServer(api)
	defer server.Close()
	client := runtime.NewPipeline("demo", "v1", runtime.PipelineOptions{
		PerRetry: []policy.Policy{runtime.NewBearerTokenPolicy(j.credential, []string{ordersScope}, nil)},
	}, &policy.ClientOptions{Transport: server.Client()})

	if err := listOrders(ctx, client, server.URL); err != nil {
		return nil, err
	}
	j.emulator.RevokeAccessTokens(demoUser)
	if err := listOrders(ctx, client, server.URL); err != nil {
		return nil, err
	}
	answers := strings.Join(api.seen(), ", ")
	claims := j.lastTokenRequest().Form.Get("claims")
	return []detail{
			{label: "API", value: server.URL, note: "through azcore's BearerTokenPolicy; wants xms_cc CP1"},
			{label: "answers", value: answers, note: "the caller saw 200 twice"},
			{label: "claims", value: "went along with the refresh token: nbf since the revocation, xms_cc cp1", data: claims},
		}, cmp.Or(
			expect("the API's answers", "200, 401 insufficient_claims, 200", answers),
			expect("that the claims ask for nbf", true, strings.Contains(claims, `"nbf"`)),
			expect("that the claims name the capability cp1", true, strings.Contains(claims, `"cp1"`)),
		)
}

func listOrders(ctx context.Context, client runtime.Pipeline, url string) error {
	request, err := runtime.NewRequest(ctx, http.MethodGet, url)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	runtime.Drain(response)
	return expect("the status that the client got in the end", http.StatusOK, response.StatusCode)
}

// ordersAPI is a resource server. It is safe for concurrent use.
type ordersAPI struct {
	emulator *entratest.Emulator
	audience string

	mu      sync.Mutex
	answers []string
}

// ServeHTTP answers 200 to a token for this API, 401 with a challenge to one that was revoked, and 403 to others.
func (a *ordersAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := a.emulator.VerifyAccessToken(token)
	revoked, challenged := errors.AsType[*entratest.RevokedError](err)
	switch {
	case challenged:
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="", error="insufficient_claims", claims="%s"`,
			base64.StdEncoding.EncodeToString([]byte(revoked.Claims))))
		a.answer(w, http.StatusUnauthorized, " insufficient_claims")
	case err != nil || claims["aud"] != a.audience || claims["scp"] != "Orders.Read" || !announcesCAE(claims):
		a.answer(w, http.StatusForbidden, "")
	default:
		a.answer(w, http.StatusOK, "")
	}
}

// announcesCAE reports whether the token's client said that it can handle a challenge.
func announcesCAE(claims map[string]any) bool {
	capabilities, _ := claims["xms_cc"].([]any)
	return slices.Contains(capabilities, any("CP1"))
}

func (a *ordersAPI) answer(w http.ResponseWriter, status int, remark string) {
	a.mu.Lock()
	a.answers = append(a.answers, fmt.Sprint(status)+remark)
	a.mu.Unlock()
	w.WriteHeader(status)
}

func (a *ordersAPI) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.answers)
}
