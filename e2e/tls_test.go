package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// loopbackTLS is a certificate for 127.0.0.1 that is its own authority, made for one server of one test.
type loopbackTLS struct {
	certFile, keyFile string // PEM
	roots             *x509.CertPool
}

func newLoopbackTLS(t *testing.T) loopbackTLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := selfSigned(t, key.Public(), key, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "authcode e2e"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:        true,
	})
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	directory := t.TempDir()
	return loopbackTLS{
		certFile: writePEM(t, filepath.Join(directory, "cert.pem"), "CERTIFICATE", der),
		keyFile:  writePEM(t, filepath.Join(directory, "key.pem"), "PRIVATE KEY", keyDER),
		roots:    roots,
	}
}

// selfSigned fills in what every certificate needs.
func selfSigned(t *testing.T, public, private any, template *x509.Certificate) []byte {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	template.BasicConstraintsValid = true
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(24 * time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writePEM(t *testing.T, file, kind string, der []byte) string {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// transport is connections that trust this server alone, closed when the test ends.
func (l loopbackTLS) transport(t *testing.T) *http.Transport {
	transport := &http.Transport{
		MaxIdleConnsPerHost: 64,
		TLSClientConfig:     &tls.Config{RootCAs: l.roots, MinVersion: tls.VersionTLS12},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}
