package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// README's web app, as it stands there but for its port, signs a user in and reads Azurite as that user.
func TestReadmeWebAppRuns(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("Go reads SSL_CERT_FILE elsewhere: run it on Linux")
	}
	storage := startAzurite(t)
	port := unusedPort(t)
	origin := fmt.Sprintf("http://localhost:%d", port)
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		directory.Apps[i].RedirectURIs = append(directory.Apps[i].RedirectURIs, origin+"/auth/callback")
	}
	e := startEntra(t, &entratest.Options{Directory: directory})
	owner := storage.newClient(t, e.signIn(t, e.newApp(t), authcode.BeginOptions{Scopes: []string{storageScope}}))
	if _, err := owner.CreateContainer(t.Context(), "from-readme", nil); err != nil {
		t.Fatal(err)
	}

	program := filepath.Join(t.TempDir(), "readme")
	build(t, ".", program, readmeWebApp(t, port))
	certificate, err := os.ReadFile(storage.tls.certFile)
	if err != nil {
		t.Fatal(err)
	}
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trusted, append(certificate, e.CertPEM()...), 0o600); err != nil {
		t.Fatal(err)
	}
	startProgram(t, port, []string{program}, "AZURE_AUTHORITY_HOST="+e.URL(), "AZURE_TENANT_ID="+e.tenant.ID, "AZURE_CLIENT_ID="+e.app.ClientID,
		"AZURE_CLIENT_SECRET="+e.app.Secrets[0], "STORAGE_URL="+storage.url, "SSL_CERT_FILE="+trusted)

	b := newBrowser(t, readsPages{e.Client().Transport}, aliceAtContoso)
	callback := b.visit(origin+"/", origin+"/auth/callback")
	request := b.open(b.get(callback.String()))
	if request.URL.String() != origin+"/" {
		t.Fatalf("the callback leads to %s", request.URL)
	}
	response, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if got := string(body); err != nil || got != "Hello Alice Anders\nfrom-readme\n" {
		t.Errorf("the page says %q, %v", got, err)
	}
}

// readsPages says, as browsers do, that it wants a page.
type readsPages struct{ next http.RoundTripper }

func (p readsPages) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "text/html")
	return p.next.RoundTrip(r)
}

// readmeWebApp writes the program into a directory of this module.
func readmeWebApp(t *testing.T, port int) (file string) {
	t.Helper()
	for _, program := range goBlocks(t, "../README.md", true) {
		if !strings.Contains(program, "signin.New(") {
			continue
		}
		dir, err := os.MkdirTemp(".", "readme-program-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		file = filepath.Join(dir, "main.go")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(program, "localhost:3000", fmt.Sprintf("localhost:%d", port))), 0o600); err != nil {
			t.Fatal(err)
		}
		return "./" + file
	}
	t.Fatal("README has no program with signin")
	return ""
}
