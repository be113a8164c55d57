package authcode_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
)

type countedConn struct {
	net.Conn
	writes *atomic.Int32
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// net/http sends the headers ahead of a body that it does not know to be in memory: two packets, and two TLS records.
func TestATokenRequestLeavesInOnePacket(t *testing.T) {
	for name, auth := range map[string]authcode.ClientAuth{
		"secret": authcode.SecretAuth(constructionSecret),
		"basic":  authcode.SecretBasicAuth(constructionSecret),
		"public": authcode.PublicAuth(),
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, answersGood)
			}))
			defer server.Close()
			var writes atomic.Int32
			transport := &http.Transport{DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) { // without TLS, whose own packets would count
				conn, err := new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
				return countedConn{conn, &writes}, err
			}}
			defer transport.CloseIdleConnections()
			options := &authcode.AuthorizationCodeCredentialOptions{ClientAuth: auth}
			options.Cloud.ActiveDirectoryAuthorityHost = constructionHost
			options.Transport = &http.Client{Transport: transport}
			c, err := authcode.NewAuthorizationCodeCredential(constructionTenant, constructionClientID, constructionCode, redirectURI, options)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			mustToken(t, c, tokenFor(graphScope))
			if got := writes.Load(); got != 1 {
				t.Errorf("%d writes, want 1", got)
			}
		})
	}
}

// A policy that leaves a form of another length than it says is found before anything is sent, and costs no code.
func TestAFormOfAnotherLengthIsNotSent(t *testing.T) {
	for _, body := range []string{"short", strings.Repeat("long", 1000)} {
		posts, broken := 0, true
		var client azcore.ClientOptions
		client.PerRetryPolicies = []policy.Policy{policyFunc(func(r *policy.Request) (*http.Response, error) {
			if broken {
				r.Raw().Body = readCloser(body)
			}
			return r.Next()
		})}
		client.Transport = answersScript(func(req *http.Request) (*http.Response, error) {
			posts++
			return answersJSON(req, http.StatusOK, answersGood), nil
		})
		c := answersCredential(t, client)
		if _, err := c.GetToken(t.Context(), tokenFor(graphScope)); err == nil || !strings.Contains(err.Error(), "form") || posts != 0 {
			t.Errorf("%d bytes: %v, %d POSTs", len(body), err, posts)
		}
		broken = false
		mustToken(t, c, tokenFor(graphScope))
	}
}
