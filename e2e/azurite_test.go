package e2e

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

const (
	storageScope   = "https://storage.azure.com/.default"
	storageAccount = "devstoreaccount1" // Azurite's own
)

// azurite is the Azure storage emulator, which takes bearer tokens as Azure does: it checks issuer, audience and times,
// though no signature. https://github.com/Azure/Azurite
type azurite struct {
	tls loopbackTLS
	url string
}

func startAzurite(t *testing.T) *azurite {
	t.Helper()
	node, directory := needNode(t, "azurite")
	a := &azurite{tls: newLoopbackTLS(t)}
	address := startServer(t, regexp.MustCompile(`(?m)successfully listens on (https://\S+)$`), nil,
		node, filepath.Join(directory, "dist", "src", "blob", "main.js"),
		"--blobHost", "127.0.0.1", "--blobPort", "0", "--cert", a.tls.certFile, "--key", a.tls.keyFile,
		"--oauth", "basic", "--inMemoryPersistence", "--disableTelemetry",
		"--skipApiVersionCheck", // azblob speaks a newer version of the API than Azurite knows
	)
	a.url = address + "/" + storageAccount
	return a
}

func TestAzblobAtAzurite(t *testing.T) {
	t.Parallel()
	storage := startAzurite(t)
	for _, test := range []struct {
		name       string
		credential func(*testing.T, *entra) *authcode.AuthorizationCodeCredential
	}{
		{"App.Redeem", func(t *testing.T, e *entra) *authcode.AuthorizationCodeCredential {
			return e.signIn(t, e.newApp(t), authcode.BeginOptions{Scopes: []string{storageScope}})
		}},
		{"NewAuthorizationCodeCredential", func(t *testing.T, e *entra) *authcode.AuthorizationCodeCredential {
			return e.newPlainCredential(t, storageScope)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := startEntra(t, &entratest.Options{AccessTokenLifetime: 6 * time.Second})
			writeAcrossAnExpiry(t, e, storage, test.credential(t, e))
		})
	}
}

// writeAcrossAnExpiry writes a blob, lets the token expire, and reads the blob with the next one.
func writeAcrossAnExpiry(t *testing.T, e *entra, storage *azurite, credential *authcode.AuthorizationCodeCredential) {
	t.Helper()
	tokens := &countedTokens{credential: credential}
	client := storage.newClient(t, tokens)
	container := "c" + e.URL()[len("https://localhost:"):] // one per emulator, and so per test
	content := []byte("written and read as a user")
	if _, err := client.CreateContainer(t.Context(), container, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UploadBuffer(t.Context(), container, "blob", content, nil); err != nil {
		t.Fatal(err)
	}
	before := len(e.tokenRequests("refresh_token"))
	waitForExpiry(t, tokens.last)

	read := make([]byte, len(content))
	if n, err := client.DownloadBuffer(t.Context(), container, "blob", read, nil); err != nil || !bytes.Equal(read[:n], content) {
		t.Fatalf("read %q, %v", read[:n], err)
	}
	after := len(e.tokenRequests("refresh_token"))
	e.wantRequests(t, 1, after)
	if after == before {
		t.Error("the blob was read after the token's expiry, and no refresh was sent")
	}
	t.Logf("refreshes: %d before the expiry, %d after it; the client asked for a token %d times", before, after-before, tokens.asked)
}

func (a *azurite) newClient(t *testing.T, credential azcore.TokenCredential) *azblob.Client {
	t.Helper()
	client, err := azblob.NewClient(a.url, credential, &azblob.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: a.tls.transport(t)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// countedTokens remembers what an Azure client, which asks from one goroutine at a time, got.
type countedTokens struct {
	asked      int
	credential azcore.TokenCredential
	last       azcore.AccessToken
}

func (c *countedTokens) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.credential.GetToken(ctx, options)
	c.asked++
	c.last = token
	return token, err
}
