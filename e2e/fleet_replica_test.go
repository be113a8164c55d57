package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/pgstore"
	"github.com/authcode-go/authcode/redisstore"
)

const fleetScope = "https://graph.microsoft.com/User.Read"

// replicaSpec is what it takes to be one more replica of an app, in any process.
type replicaSpec struct {
	Name      string // the replica's, which its requests bear
	Protocol  string // "authcode", or a naive one: "A" to "D"
	Authority string
	CA        []byte // PEM
	TenantID  string
	ClientID  string
	Secret    string
	// Own says that the server is not Entra: then authcode takes no refresh token to be good twice.
	Own   bool
	Key   []byte // the Sealer's
	Store storeSpec
}

// storeSpec is where the records are.
type storeSpec struct {
	Kind     string // "redis" or "postgres"
	Address  string // redis: host:port; postgres: the URL
	Password string // redis
}

// replica gives access tokens of any user.
type replica interface {
	token(ctx context.Context, accountID string) (string, error)
	close() error
}

// errLost means that a naive protocol has lost a user's grant: they must sign in again.
var errLost = errors.New("the grant is lost")

// openStore connects without asking anything of the server, which may be away.
func openStore(spec storeSpec) (store authcode.Store, closeStore func(), err error) {
	switch spec.Kind {
	case "redis":
		client := newRedisClient(spec)
		return redisstore.New(client, nil), func() { _ = client.Close() }, nil
	case "postgres":
		config, err := pgxpool.ParseConfig(spec.Address)
		if err != nil {
			return nil, nil, err
		}
		config.MaxConns = 8 // times the replicas, of the server's 100
		pool, err := pgxpool.NewWithConfig(context.Background(), config)
		if err != nil {
			return nil, nil, err
		}
		store, err := pgstore.New(pool, nil)
		return store, pool.Close, err
	}
	return nil, nil, fmt.Errorf("no store %q", spec.Kind)
}

func newRedisClient(spec storeSpec) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: spec.Address, Password: spec.Password})
}

// httpClient trusts the provider and no other, and names the replica.
func (s *replicaSpec) httpClient() (*http.Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CA) {
		return nil, errors.New("no certificate in the spec")
	}
	return &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}, nil
}

func (s *replicaSpec) tokenURL() string {
	return s.Authority + "/" + s.TenantID + "/oauth2/v2.0/token"
}

// openReplica starts a replica of the spec's protocol.
func openReplica(spec *replicaSpec) (replica, error) {
	client, err := spec.httpClient()
	if err != nil {
		return nil, err
	}
	if spec.Protocol != "authcode" {
		return newNaive(spec, client), nil
	}
	return openApp(spec, client)
}

// appReplica is authcode, as a server would use it.
type appReplica struct {
	*authcode.App
	store      authcode.Store
	closeStore func()
	client     *http.Client
}

func openApp(spec *replicaSpec, client *http.Client) (*appReplica, error) {
	store, closeStore, err := openStore(spec.Store)
	if err != nil {
		return nil, err
	}
	sealer, err := authcode.NewSealer(spec.Key)
	if err != nil {
		return nil, err
	}
	options := &authcode.AppOptions{
		ClientOptions: azcore.ClientOptions{
			Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: spec.Authority},
			Transport: client,
			Telemetry: policy.TelemetryOptions{ApplicationID: spec.Name},
		},
		Sealer: sealer,
		Store:  store,
	}
	if spec.Own {
		base := spec.Authority + "/" + spec.TenantID
		options.Endpoints = &authcode.Endpoints{
			Authorize: base + "/oauth2/v2.0/authorize",
			Issuer:    base + "/v2.0",
			JWKS:      base + "/discovery/v2.0/keys",
			Token:     spec.tokenURL(),
		}
	}
	app, err := authcode.NewApp(spec.TenantID, spec.ClientID, redirectURI, authcode.SecretAuth(spec.Secret), options)
	if err != nil {
		closeStore()
		return nil, err
	}
	return &appReplica{app, store, closeStore, client}, nil
}

func (r *appReplica) token(ctx context.Context, accountID string) (string, error) {
	token, err := r.Credential(accountID).GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{fleetScope}})
	if err == nil && !token.ExpiresOn.After(time.Now()) {
		return "", fmt.Errorf("a token that expired at %s", token.ExpiresOn)
	}
	return token.Token, err
}

func (r *appReplica) close() error {
	err := r.Close()
	r.closeStore()
	r.client.CloseIdleConnections()
	return err
}

// kindOf names an error as far as tests tell them apart.
func kindOf(err error) string {
	_, required := errors.AsType[*authcode.AuthenticationRequiredError](err)
	switch {
	case err == nil:
		return ""
	case required, errors.Is(err, errLost):
		return kindLost
	case errors.Is(err, authcode.ErrStoreUnavailable):
		return kindNoStore
	case errors.Is(err, authcode.ErrClosed):
		return kindClosed
	case errors.Is(err, context.DeadlineExceeded):
		return kindLate
	}
	return kindFailed
}

const (
	kindLost    = "lost"     // the user must sign in again
	kindNoStore = "no store" // ErrStoreUnavailable
	kindClosed  = "closed"   // ErrClosed
	kindLate    = "late"     // the caller's time was over
	kindFailed  = "failed"   // anything else
)
