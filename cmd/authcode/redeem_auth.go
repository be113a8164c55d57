package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/authcode-go/authcode"
)

// clientAuth is how the app proves itself: by what a flag names, else by what is in the environment, else not at all.
func (f redeemFlags) clientAuth(getenv func(string) string) (authcode.ClientAuth, error) {
	if f.certificateFile != "" {
		return certificateAuth(f.certificateFile)
	}
	secret, err := secretFrom("--secret-file", f.secretFile, getenv(envClientSecret))
	switch {
	case err != nil:
		return nil, err
	case secret == "":
		return authcode.PublicAuth(), nil
	}
	return authcode.SecretAuth(secret), nil
}

// secretFrom reads a secret from the file that a flag names, or takes the one from the environment. Empty: neither.
func secretFrom(flag, path, fromEnvironment string) (string, error) {
	if path == "" {
		return fromEnvironment, nil
	}
	content, err := readSecretFile(flag, path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r") // editors end files with one
	if secret == "" {
		return "", fmt.Errorf("%s: %s is empty", flag, path)
	}
	return secret, nil
}

func certificateAuth(path string) (authcode.ClientAuth, error) {
	const flag = "--certificate-file"
	content, err := readSecretFile(flag, path)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(content, content)
	if err != nil {
		return nil, fmt.Errorf("%s: %s does not hold a certificate and its private key, unencrypted, in PEM: %w", flag, path, err)
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", flag, path, err)
		}
		chain = append(chain, certificate)
	}
	return authcode.CertificateAuth(chain, pair.PrivateKey, nil)
}

// trusting gives a client that trusts the authorities in a PEM file and no others; nil without a file.
func trusting(path string) (*http.Client, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM", path)
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("--ca-file: the HTTP transport of this process cannot be told what to trust")
	}
	transport = transport.Clone() // with its proxies and timeouts
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport}, nil
}
