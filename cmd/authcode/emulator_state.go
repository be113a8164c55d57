package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

// The files of a state directory.
const (
	stateFile = "emulator.json"
	caFile    = "ca.pem"
	caKeyFile = "ca-key.pem"
)

// stateDir is where an emulator keeps its certificate authority, and tells programs about itself.
type stateDir struct {
	dir       string
	published []byte // what emulator.json holds
}

func openStateDir(dir string) (stateDir, error) {
	if dir == "" {
		var err error
		if dir, err = defaultStateDir(); err != nil {
			return stateDir{}, err
		}
	}
	dir, err := filepath.Abs(dir) // clients have other working directories
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return stateDir{}, fmt.Errorf("--state-dir: %s cannot be made: %w", dir, reasonOf(err))
	}
	return stateDir{dir: dir}, nil
}

func (s *stateDir) path(name string) string { return filepath.Join(s.dir, name) }

// authority is the certificate authority of the last start, or a new one if there is none that will do for the host;
// renewed reports whether it replaces another, which clients have to trust anew.
func (s *stateDir) authority(host string, now time.Time) (ca tls.Certificate, renewed bool, err error) {
	path := s.path(caKeyFile)
	_, statErr := os.Lstat(path)
	if there := !errors.Is(statErr, fs.ErrNotExist); there {
		if ca, err = readAuthority(path); err != nil {
			return ca, false, err
		}
		if !expiresSoon(ca, now) && speaksFor(ca.Leaf, host) {
			return ca, false, s.write(caFile, certificatePEM(ca), 0o644)
		}
		renewed = true
	}
	if ca, err = entratest.NewCA(host); err != nil {
		return ca, false, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(ca.PrivateKey)
	if err != nil {
		return ca, false, fmt.Errorf("certificate authority: %w", err)
	}
	// One file, so that key and certificate cannot get out of step.
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), certificatePEM(ca)...)
	if err := s.write(caKeyFile, both, 0o600); err != nil {
		return ca, false, err
	}
	return ca, renewed, s.write(caFile, certificatePEM(ca), 0o644)
}

func readAuthority(path string) (tls.Certificate, error) {
	content, err := readSecretFile("--state-dir", path)
	if err != nil {
		return tls.Certificate{}, err
	}
	ca, err := tls.X509KeyPair(content, content)
	if err != nil {
		return ca, fmt.Errorf("--state-dir: %s holds no certificate authority: remove it, and there will be a new one", path)
	}
	if ca.Leaf == nil { // by GODEBUG=x509keypairleaf=0
		if ca.Leaf, err = x509.ParseCertificate(ca.Certificate[0]); err != nil {
			return ca, fmt.Errorf("--state-dir: %s: %w", path, err)
		}
	}
	return ca, nil
}

// speaksFor reports whether an authority's name constraints permit a host.
func speaksFor(authority *x509.Certificate, host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return slices.ContainsFunc(authority.PermittedIPRanges, func(n *net.IPNet) bool { return n.Contains(ip) })
	}
	return slices.ContainsFunc(authority.PermittedDNSDomains, func(name string) bool { return strings.EqualFold(name, host) })
}

func certificatePEM(c tls.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}

// stateDocument is emulator.json.
type stateDocument struct {
	Authority string        `json:"authority"`
	CAFile    string        `json:"ca_file"`
	Tenants   []stateTenant `json:"tenants"`
	Apps      []stateApp    `json:"apps"`
	Users     []stateUser   `json:"users"`
}

type stateTenant struct {
	ID     string `json:"id"`
	Domain string `json:"domain"`
}

type stateApp struct {
	Name         string            `json:"name"`
	Type         entratest.AppType `json:"type"`
	TenantID     string            `json:"tenant_id"`
	ClientID     string            `json:"client_id"`
	Secrets      []string          `json:"client_secrets"`
	RedirectURIs []string          `json:"redirect_uris"`
}

type stateUser struct {
	Username string `json:"username"`
	Password string `json:"password"`
	TenantID string `json:"tenant_id"`
	ObjectID string `json:"object_id"`
	Name     string `json:"name"`
}

func newStateDocument(server *entratest.Server, caFile string) stateDocument {
	d := stateDocument{Authority: server.URL(), CAFile: caFile, Tenants: []stateTenant{}, Apps: []stateApp{}, Users: []stateUser{}}
	directory := server.Directory()
	for _, t := range directory.Tenants {
		d.Tenants = append(d.Tenants, stateTenant{ID: t.ID, Domain: t.Domain})
	}
	for _, a := range directory.Apps {
		d.Apps = append(d.Apps, stateApp{
			Name: a.Name, Type: a.Type, TenantID: a.TenantID, ClientID: a.ClientID,
			// Never null: programs go through them.
			Secrets: append([]string{}, a.Secrets...), RedirectURIs: append([]string{}, a.RedirectURIs...),
		})
	}
	for _, u := range directory.Users {
		d.Users = append(d.Users, stateUser{Username: u.Username, Password: u.Password, TenantID: u.TenantID, ObjectID: u.ObjectID, Name: u.Name})
	}
	return d
}

// publish writes emulator.json, for the user alone: it holds passwords and secrets.
func (s *stateDir) publish(d stateDocument) error {
	var content bytes.Buffer
	if err := writeJSON(&content, d); err != nil {
		return fmt.Errorf("%s: %w", stateFile, err)
	}
	s.published = content.Bytes()
	return s.write(stateFile, s.published, 0o600)
}

// withdraw removes emulator.json, unless another emulator's is there by now.
func (s *stateDir) withdraw() {
	if content, err := os.ReadFile(s.path(stateFile)); err == nil && bytes.Equal(content, s.published) {
		_ = os.Remove(s.path(stateFile)) // there is nothing to do about it, nor anybody to tell
	}
}

// write replaces a file as a whole: readers see the old one or the new one.
func (s *stateDir) write(name string, content []byte, mode fs.FileMode) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("--state-dir: %s cannot be written: %w", s.path(name), reasonOf(err))
		}
	}()
	if old, err := os.ReadFile(s.path(name)); err == nil && bytes.Equal(old, content) {
		return os.Chmod(s.path(name), mode)
	}
	file, err := os.CreateTemp(s.dir, "."+name+"-*")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), s.path(name))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}
