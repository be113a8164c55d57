// Package setup makes what the examples share of the environment: one app registration and one store, so that the job finds the
// users of the web app.
package setup

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"

	"github.com/authcode-go/authcode"
)

// Environment is where settings are looked up, such as os.Getenv.
type Environment func(name string) string

// RedirectURI is where the browser comes back to. REDIRECT_URI, or one in development.
func (env Environment) RedirectURI() string {
	return cmp.Or(env("REDIRECT_URI"), "http://localhost:3000/auth/callback")
}

// HTTPClient reaches servers whose certificates are of a public authority or of the file CA_FILE: emulators on this machine.
func (env Environment) HTTPClient() (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if path := env("CA_FILE"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("CA_FILE: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA_FILE: %s holds no certificate in PEM", path)
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	return &http.Client{Transport: transport}, nil
}

// App makes the App of AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET with the store of STORE; the package itself heeds
// AZURE_AUTHORITY_HOST. end closes both.
func (env Environment) App(ctx context.Context, client *http.Client) (app *authcode.App, end func(), err error) {
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"} {
		if env(name) == "" {
			return nil, nil, fmt.Errorf("%s is not set: it is on the overview page of the app registration, or for the secret under Certificates & secrets", name)
		}
	}
	store, closeStore, err := openStore(ctx, env("STORE"))
	if err != nil {
		return nil, nil, fmt.Errorf("STORE: %w", err)
	}
	options := &authcode.AppOptions{Store: store}
	options.Transport = client
	if store != nil {
		options.Sealer, err = env.sealer()
	}
	if err == nil {
		app, err = authcode.NewApp(env("AZURE_TENANT_ID"), env("AZURE_CLIENT_ID"), env.RedirectURI(), authcode.SecretAuth(env("AZURE_CLIENT_SECRET")), options)
	}
	if err != nil {
		closeStore()
		return nil, nil, err
	}
	return app, func() {
		_ = app.Close() // always nil
		closeStore()
	}, nil
}

// sealer is of SEALER_KEY, which all replicas share, and the job with them.
func (env Environment) sealer() (authcode.Sealer, error) {
	key, err := base64.StdEncoding.DecodeString(env("SEALER_KEY"))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("SEALER_KEY is no base64 of 32 bytes: make one with: openssl rand -base64 32")
	}
	return authcode.NewSealer(key)
}
