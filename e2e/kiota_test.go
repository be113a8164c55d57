package e2e

import (
	"net/http"
	"net/url"
	"sync"
	"testing"

	abstractions "github.com/microsoft/kiota-abstractions-go"
	kiota "github.com/microsoft/kiota-authentication-azure-go"
)

const (
	graph      = "https://graph.microsoft.com"
	graphScope = graph + "/User.Read"
)

// The Microsoft Graph SDK (kiota) keeps no token: it asks the credential at every request. A hundred requests on ten
// goroutines cost one redemption.
func TestKiotaAsksAtEveryRequest(t *testing.T) {
	t.Parallel()
	e := startEntra(t, nil)
	r := startResource(t, e, graph)
	provider, err := kiota.NewAzureIdentityAuthenticationProviderWithScopes(e.newPlainCredential(t, graphScope), []string{graphScope})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 10 {
				if status, err := requestAsKiota(t, r, provider); err != nil || status != http.StatusOK {
					t.Errorf("status %d, %v", status, err)
				}
			}
		})
	}
	wg.Wait()
	e.wantRequests(t, 1, 0)
	tokens := map[string]bool{}
	for _, s := range r.requests() {
		tokens[s.token] = true
	}
	if requests := len(r.requests()); requests != 100 || len(tokens) != 1 {
		t.Errorf("%d requests with %d tokens", requests, len(tokens))
	}
}

// requestAsKiota sends one request as kiota's request adapter does.
func requestAsKiota(t *testing.T, r *resource, provider *kiota.AzureIdentityAuthenticationProvider) (int, error) {
	address, err := url.Parse(r.URL)
	if err != nil {
		return 0, err
	}
	information := abstractions.NewRequestInformation()
	information.Method = abstractions.GET
	information.SetUri(*address)
	if err := provider.AuthenticateRequest(t.Context(), information, nil); err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL, nil)
	if err != nil {
		return 0, err
	}
	for _, value := range information.Headers.Get("Authorization") {
		request.Header.Add("Authorization", value)
	}
	response, err := r.Client().Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
