package entratest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// NewCA makes a certificate authority for [Options].CA, good for a year, for an emulator whose clients are to trust it
// for longer than one run. Whoever keeps it keeps its private key, PKCS #8 of [crypto/x509.MarshalPKCS8PrivateKey],
// as a secret: name constraints, RFC 5280 section 4.2.1.10, let it speak for localhost, the loopback addresses and the
// hosts named here, DNS names or IP addresses, and for no other, so that a person who trusts it risks little.
func NewCA(hosts ...string) (tls.Certificate, error) {
	fail := func(err error) (tls.Certificate, error) {
		return tls.Certificate{}, fmt.Errorf("entratest: certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	// A name of its own for each: browsers refuse two authorities of one name, or two certificates of one number.
	serial := newSerial()
	name := "entratest CA " + hex.EncodeToString(serial.Bytes()[:4])
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:                serial,
		Subject:                     pkix.Name{CommonName: name},
		NotBefore:                   now.Add(-time.Hour),
		NotAfter:                    now.AddDate(1, 0, 0),
		KeyUsage:                    x509.KeyUsageCertSign,
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	for _, host := range hosts {
		if ip := parseIP(host); ip != nil {
			template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
		} else {
			template.PermittedDNSDomains = append(template.PermittedDNSDomains, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fail(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return fail(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// serverCertificate is a certificate for this machine and the host, made by the authority, which it brings along.
func serverCertificate(ca tls.Certificate, host string) (server tls.Certificate, authority *x509.Certificate, err error) {
	fail := func(err error) (tls.Certificate, *x509.Certificate, error) {
		return tls.Certificate{}, nil, fmt.Errorf("entratest: certificate: %w", err)
	}
	if authority, err = x509.ParseCertificate(ca.Certificate[0]); err != nil {
		return fail(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: host},
		NotBefore:    authority.NotBefore,
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback},
	}
	if ip := parseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if !slices.Contains(template.DNSNames, host) {
		template.DNSNames = append(template.DNSNames, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), ca.PrivateKey)
	if err != nil {
		return fail(err)
	}
	if err := checkCertificate(der, authority, host); err != nil {
		return fail(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, authority.Raw}, PrivateKey: key}, authority, nil
}

// checkCertificate finds out now what clients would find out later: that the authority is none, has expired, or must
// not speak for the host.
func checkCertificate(der []byte, authority *x509.Certificate, host string) error {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	if _, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
		return fmt.Errorf("the certificate authority of Options.CA is no good for %s: %w: make one with NewCA", host, err)
	}
	return nil
}

// certificates are what a server shows, and the authority to trust for it.
func (o *Options) certificates(host string) (server tls.Certificate, authority *x509.Certificate, err error) {
	ca := o.CA
	if len(ca.Certificate) == 0 {
		// Its key is gone when this function returns.
		if ca, err = NewCA(host); err != nil {
			return tls.Certificate{}, nil, err
		}
	}
	if ca.PrivateKey == nil {
		return tls.Certificate{}, nil, errors.New("entratest: certificate: Options.CA has no private key: make one with NewCA")
	}
	return serverCertificate(ca, host)
}

// newSerial is a random serial number, RFC 5280 section 4.1.2.2.
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] = b[0]&0x3f | 0x40 // positive, and as long as all others
	return new(big.Int).SetBytes(b[:])
}

// parseIP is an IP address in its shortest form, or nil for a name.
func parseIP(host string) net.IP {
	ip := net.ParseIP(host)
	if v4 := ip.To4(); v4 != nil {
		return v4
	}
	return ip
}

// certPEM is a certificate as files hold it, RFC 7468.
func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
