package entratest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/authcode-go/authcode/entratest"
)

const (
	cluster = "https://oidc.cluster.example/abc/"
	pod     = "system:serviceaccount:shop:orders"
)

// issuer is another identity provider, without a socket: it answers with the documents it has, and counts.
type issuer struct {
	mu        sync.Mutex
	documents map[string]string
	status    int
	asked     map[string]int
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	address := r.URL.String()
	i.asked[address]++
	body, ok := i.documents[address]
	status := i.status
	if !ok {
		status = http.StatusNotFound
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Location": {"https://elsewhere.example/"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func newIssuer(keys ...jose.JSONWebKey) *issuer {
	i := &issuer{status: http.StatusOK, asked: make(map[string]int), documents: map[string]string{
		cluster + ".well-known/openid-configuration": `{"issuer":"` + cluster + `","jwks_uri":"` + cluster + `keys"}`,
	}}
	i.publish(keys...)
	return i
}

func (i *issuer) publish(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.documents[cluster+"keys"] = string(must(json.Marshal(jose.JSONWebKeySet{Keys: keys})))
}

func publicKey(id string, key *rsa.PrivateKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: id}
}

// federation is a directory whose web app trusts the pod.
func federation(keys ...jose.JSONWebKey) *entratest.Directory {
	d := entratest.DefaultDirectory()
	d.Apps[0].FederatedCredentials = []entratest.FederatedCredential{
		{Issuer: cluster, Subject: pod, Keys: keys},
		{Issuer: cluster, Subject: "another pod", Audience: "api://other", Keys: keys},
	}
	return d
}

func podToken(t testing.TB, key any, algorithm jose.SignatureAlgorithm, pairs ...any) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": cluster, "sub": pod, "aud": []string{"api://AzureADTokenExchange", "https://kubernetes.default.svc"},
		"iat": now, "nbf": now, "exp": now + 3600,
	}
	header := map[jose.HeaderKey]any{"kid": "k1"}
	for i := 0; i < len(pairs); i += 2 {
		switch name := pairs[i].(string); {
		case name == "kid":
			header["kid"] = pairs[i+1]
		case pairs[i+1] == nil:
			delete(claims, name)
		default:
			claims[name] = pairs[i+1]
		}
	}
	return assertion(t, key, algorithm, header, claims)
}

func federatedForm(assertion string) url.Values {
	return appForm(graphDefault, "client_secret", "", "client_assertion", assertion,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
}

func TestFederatedAssertions(t *testing.T) {
	key, stranger := testKey(), must(rsa.GenerateKey(rand.Reader, 2048))
	f := start(t, &entratest.Options{Directory: federation(publicKey("k1", key))})
	now := time.Now().Unix()
	tests := []struct {
		name      string
		assertion string
		code      string
		number    int // 0: accepted
	}{
		{"RS256", podToken(t, key, jose.RS256), "", 0},
		{"RS512", podToken(t, key, jose.RS512), "", 0},
		{"one audience", podToken(t, key, jose.RS256, "aud", "api://AzureADTokenExchange"), "", 0},
		{"the other credential", podToken(t, key, jose.RS256, "sub", "another pod", "aud", "api://other"), "", 0},
		{"four minutes late", podToken(t, key, jose.RS256, "exp", now-240), "", 0},
		{"another issuer", podToken(t, key, jose.RS256, "iss", strings.TrimSuffix(cluster, "/")), "invalid_client", 700211},
		{"another audience", podToken(t, key, jose.RS256, "aud", "api://nothing"), "invalid_client", 700212},
		{"no audience", podToken(t, key, jose.RS256, "aud", nil), "invalid_client", 700212},
		{"another subject", podToken(t, key, jose.RS256, "sub", "x"), "invalid_client", 700213},
		{"the other credential's subject", podToken(t, key, jose.RS256, "sub", "another pod"), "invalid_client", 700213},
		{"another case", podToken(t, key, jose.RS256, "sub", strings.ToUpper(pod)), "invalid_client", 7002138},
		{"no subject", podToken(t, key, jose.RS256, "sub", nil), "invalid_client", 700213},
		{"another key", podToken(t, stranger, jose.RS256), "invalid_client", 700027},
		{"an unknown key ID", podToken(t, key, jose.RS256, "kid", "k2"), "invalid_client", 700027},
		{"ES256", podToken(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), jose.ES256), "invalid_client", 5002738},
		{"the public key as a secret", podToken(t, bytes.Repeat([]byte{1}, 32), jose.HS256), "invalid_client", 5002738},
		{"expired", podToken(t, key, jose.RS256, "exp", now-400), "invalid_client", 700024},
		{"not yet", podToken(t, key, jose.RS256, "nbf", now+400), "invalid_client", 700024},
		{"for ever", podToken(t, key, jose.RS256, "exp", nil), "invalid_client", 50013},
		{"not a JWT", "a.b.c", "invalid_request", 50027},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.in(t)
			if test.number != 0 {
				f.mustRefuse(federatedForm(test.assertion), test.code, test.number)
				return
			}
			for range 2 { // a pod finds the same token in its file for an hour
				if a := f.mustToken(federatedForm(test.assertion)); claimsOf(t, a.AccessToken)["appidacr"] != "2" {
					t.Error("appidacr of a federated assertion")
				}
			}
		})
	}
	f.mustToken(codeForm(f.signIn(alice), "client_secret", "", "client_assertion", podToken(t, key, jose.RS256),
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"))
	start(t, nil).mustRefuse(federatedForm(podToken(t, key, jose.RS256)), "invalid_request", 70021)
	// A key without an ID may be the one of any assertion.
	start(t, &entratest.Options{Directory: federation(publicKey("", key))}).mustToken(federatedForm(podToken(t, key, jose.RS256)))
}

// The keys come from the issuer, once; an unknown key ID makes the emulator look again, but not each time.
func TestFederatedKeysByDiscovery(t *testing.T) {
	key, next := testKey(), must(rsa.GenerateKey(rand.Reader, 2048))
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(publicKey("k1", key))
		f := start(t, &entratest.Options{Directory: federation(), HTTPClient: &http.Client{Transport: i}})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { f.mustToken(federatedForm(podToken(t, key, jose.RS256))) })
		}
		all.Wait()
		asked := func(want int) {
			t.Helper()
			i.mu.Lock()
			defer i.mu.Unlock()
			if got := i.asked[cluster+"keys"]; got != want {
				t.Fatalf("the key set was fetched %d times, want %d", got, want)
			}
		}
		asked(1)
		i.publish(publicKey("k1", key), publicKey("k2", next))
		rotated := func() url.Values { return federatedForm(podToken(t, next, jose.RS256, "kid", "k2")) }
		f.mustRefuse(rotated(), "invalid_client", 700027)
		asked(1)
		time.Sleep(time.Minute)
		f.mustToken(rotated())
		asked(2)
		time.Sleep(time.Minute)
		i.mu.Lock()
		i.status = http.StatusServiceUnavailable
		i.mu.Unlock()
		f.mustRefuse(federatedForm(podToken(t, next, jose.RS256, "kid", "k3")), "invalid_request", 90061)
		f.mustToken(federatedForm(podToken(t, key, jose.RS256))) // what is known stays good
	})
}

func TestFederatedIssuerMisbehaves(t *testing.T) {
	metadata := cluster + ".well-known/openid-configuration"
	tests := []struct {
		name   string
		change func(*issuer)
		number int
	}{
		{"not there", func(i *issuer) { delete(i.documents, metadata) }, 90061},
		{"no key set", func(i *issuer) { delete(i.documents, cluster+"keys") }, 90061},
		{"a redirect", func(i *issuer) { i.status = http.StatusFound }, 90061},
		{"HTML", func(i *issuer) { i.documents[metadata] = "<html>" }, 900612},
		{"metadata of another issuer", func(i *issuer) {
			i.documents[metadata] = `{"issuer":"https://elsewhere.example","jwks_uri":"` + cluster + `keys"}`
		}, 900612},
		{"keys without TLS", func(i *issuer) {
			i.documents[metadata] = `{"issuer":"` + cluster + `","jwks_uri":"http://oidc.cluster.example/abc/keys"}`
		}, 900612},
		{"no keys", func(i *issuer) { i.documents[cluster+"keys"] = `{"keys":[]}` }, 900612},
		{"keys of no use", func(i *issuer) { i.documents[cluster+"keys"] = `{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"?"},1]}` }, 900612},
		{"a document without end", func(i *issuer) { i.documents[metadata] = `{"x":"` + strings.Repeat("x", 1<<20) + `"}` }, 900612},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i := newIssuer(publicKey("k1", testKey()))
			test.change(i)
			f := start(t, &entratest.Options{Directory: federation(), HTTPClient: &http.Client{Transport: i}})
			f.mustRefuse(federatedForm(podToken(t, testKey(), jose.RS256)), "invalid_request", test.number)
			if i.asked["https://elsewhere.example/"] != 0 {
				t.Error("the emulator followed a redirect")
			}
		})
	}
}

// silent is an issuer that accepts connections and never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestFederatedIssuerIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &entratest.Options{Directory: federation(), HTTPClient: &http.Client{Transport: silent{}}})
		before := time.Now()
		f.mustRefuse(federatedForm(podToken(t, testKey(), jose.RS256)), "invalid_request", 90061)
		if waited := time.Since(before); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
		f.mustRefuse(federatedForm(podToken(t, testKey(), jose.RS256)), "invalid_request", 90061)
		if waited := time.Since(before); waited != 10*time.Second {
			t.Errorf("asked again after %v", waited)
		}
	})
}

// A client that leaves takes its fetch along, and the next one asks again.
func TestFederatedClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(publicKey("k1", testKey()))
		late := func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(5 * time.Second):
				return i.RoundTrip(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
		f := start(t, &entratest.Options{Directory: federation(), HTTPClient: &http.Client{Transport: roundTripper(late)}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := f.client.Do(f.tokenRequest(federatedForm(podToken(t, testKey(), jose.RS256))).WithContext(ctx)); err == nil {
				t.Error("the client did not leave")
			}
		})
		synctest.Wait()
		all.Go(func() { f.mustToken(federatedForm(podToken(t, testKey(), jose.RS256))) })
		all.Wait()
		if i.asked[cluster+"keys"] != 1 {
			t.Errorf("fetched %d times", i.asked[cluster+"keys"])
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A token of the emulator itself stands for another app's managed identity.
func TestFederatedByTheEmulatorItself(t *testing.T) {
	const exchange = "api://AzureADTokenExchange"
	d := entratest.DefaultDirectory()
	d.Resources = append(d.Resources, entratest.Resource{ID: exchange, AppID: "fb60f99c-7a34-4190-8149-302f77469936", TokenVersion: 2})
	f := start(t, &entratest.Options{Directory: d})
	api := []string{"client_id", api.ClientID, "client_secret", "api-secret"}
	identity := func() string { return f.mustToken(appForm(exchange+"/.default", api...)).AccessToken }
	oid := claimsOf(t, identity())["oid"].(string)
	d.Apps[0].FederatedCredentials = []entratest.FederatedCredential{{Issuer: f.URL() + "/" + contoso + "/v2.0", Subject: oid}}
	if err := f.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	f.Advance(100 * time.Hour) // it is the emulator's clock that made the token
	f.mustToken(federatedForm(identity()))
	f.RotateKeys()
	f.mustToken(federatedForm(identity()))
	f.mustRefuse(federatedForm(f.mustToken(appForm("api://orders/.default", api...)).AccessToken), "invalid_client", 700212)
	f.mustRefuse(federatedForm(f.mustToken(appForm(exchange+"/.default")).AccessToken), "invalid_client", 700213)
	old := identity()
	f.Advance(2 * time.Hour)
	f.mustRefuse(federatedForm(old), "invalid_client", 700024)
}
