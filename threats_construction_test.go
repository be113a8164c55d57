package authcode_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// constructionText is a string of a vector file. JSON can hold neither bytes that are no UTF-8 nor, within reason, very
// long strings, so these have spellings of their own: {"base64": "..."} and {"repeat": "a", "times": 300}.
type constructionText string

func (s *constructionText) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return json.Unmarshal(data, (*string)(s))
	}
	var special struct {
		Base64 []byte `json:"base64"`
		Repeat string `json:"repeat"`
		Times  int    `json:"times"`
	}
	if err := constructionUnmarshal(data, &special); err != nil {
		return err
	}
	*s = constructionText(string(special.Base64) + strings.Repeat(special.Repeat, special.Times))
	return nil
}

func (s *constructionText) or(other string) string {
	if s == nil {
		return other
	}
	return string(*s)
}

// constructionUnmarshal is strict: a misspelt member of a vector would silently test nothing.
func constructionUnmarshal(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v)
}

// constructionInput is all that a caller can say; what a vector leaves out is valid.
type constructionInput struct {
	Additional       []constructionText  `json:"additionallyAllowedTenants"`
	Auth             string              `json:"auth"` // "": secret
	Authority        *constructionText   `json:"authority"`
	BeginRedirectURI constructionText    `json:"beginRedirectURI"`
	CallTenantID     constructionText    `json:"callTenantID"`
	Claims           constructionText    `json:"claims"`
	ClientID         *constructionText   `json:"clientID"`
	Code             *constructionText   `json:"code"`
	EnableCAE        bool                `json:"enableCAE"`
	Endpoints        *authcode.Endpoints `json:"endpoints"`
	Environment      *constructionText   `json:"environment"`
	RedirectURI      *constructionText   `json:"redirectURI"`
	Scopes           *[]constructionText `json:"scopes"`
	Secret           *constructionText   `json:"secret"`
	SignInTenants    []constructionText  `json:"signInTenants"`
	TenantID         *constructionText   `json:"tenantID"`
	Verifier         constructionText    `json:"verifier"`
}

const (
	constructionTenant   = "a0000000-0000-4000-8000-00000000000a"
	constructionClientID = "3eb00000-4f1d-4c8e-a2b7-60d5c4b3a291"
	constructionCode     = "construction-code-0.AXsA"
	constructionSecret   = "construction-secret"
	constructionHost     = "https://login.example.com"
)

func constructionStrings(texts []constructionText) []string {
	var all []string
	for _, text := range texts {
		all = append(all, string(text))
	}
	return all
}

func (in *constructionInput) scopes() []string {
	if in.Scopes == nil {
		return []string{graphScope}
	}
	return constructionStrings(*in.Scopes)
}

func (in *constructionInput) secret() string { return in.Secret.or(constructionSecret) }

func (in *constructionInput) auth(tb testing.TB) authcode.ClientAuth {
	switch in.Auth {
	case "", "secret", "both":
		return authcode.SecretAuth(in.secret())
	case "basic":
		return authcode.SecretBasicAuth(in.secret())
	case "public":
		return authcode.PublicAuth()
	case "assertion":
		return authcode.AssertionAuth(func(context.Context) (string, error) { return "header.claims.signature", nil })
	case "nil assertion":
		return authcode.AssertionAuth(nil)
	case "nil":
		return nil
	}
	tb.Fatalf("unknown auth %q", in.Auth)
	return nil
}

func (in *constructionInput) client(transport policy.Transporter) azcore.ClientOptions {
	authority := in.Authority.or(constructionHost)
	if in.Environment != nil && in.Authority == nil {
		authority = ""
	}
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: authority},
		Transport: transport,
	}
}

func (in *constructionInput) newCredential(tb testing.TB, transport policy.Transporter) (*authcode.AuthorizationCodeCredential, error) {
	options := &authcode.AuthorizationCodeCredentialOptions{
		AdditionallyAllowedTenants: constructionStrings(in.Additional),
		ClientAuth:                 in.auth(tb),
		ClientOptions:              in.client(transport),
		CodeVerifier:               string(in.Verifier),
		Endpoints:                  in.Endpoints,
	}
	if in.Auth == "both" {
		options.ClientSecret = in.secret()
	}
	credential, err := authcode.NewAuthorizationCodeCredential(in.TenantID.or(constructionTenant), in.ClientID.or(constructionClientID), in.Code.or(constructionCode), in.RedirectURI.or(redirectURI), options)
	if credential != nil {
		tb.Cleanup(func() { _ = credential.Close() })
	}
	return credential, err
}

func (in *constructionInput) newApp(tb testing.TB, transport policy.Transporter) (*authcode.App, error) {
	app, err := authcode.NewApp(in.TenantID.or(constructionTenant), in.ClientID.or(constructionClientID), in.RedirectURI.or(redirectURI), in.auth(tb), &authcode.AppOptions{
		AdditionallyAllowedTenants: constructionStrings(in.Additional),
		ClientOptions:              in.client(transport),
		Endpoints:                  in.Endpoints,
		SignInTenants:              constructionStrings(in.SignInTenants),
	})
	if app != nil {
		tb.Cleanup(func() { _ = app.Close() })
	}
	return app, err
}

func (in *constructionInput) tokenOptions() policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Claims: string(in.Claims), EnableCAE: in.EnableCAE, Scopes: in.scopes(), TenantID: string(in.CallTenantID)}
}

// constructionForbidden is the Transporter of inputs that must be refused before anything is sent.
type constructionForbidden struct{ tb testing.TB }

func (f constructionForbidden) Do(req *http.Request) (*http.Response, error) {
	f.tb.Errorf("a request was sent to %s", req.URL)
	return nil, errors.New("no request may be sent")
}

// constructionRecorder answers every token request with a token and keeps what was sent.
type constructionRecorder struct {
	mu     sync.Mutex
	url    string
	header http.Header
	form   url.Values
}

func (r *constructionRecorder) Do(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.url, r.header, r.form = req.URL.String(), req.Header.Clone(), form
	const answer = `{"token_type":"Bearer","access_token":"construction-access-token","expires_in":3600,"refresh_token":"construction-refresh-token"}`
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(strings.NewReader(answer)),
		ContentLength: int64(len(answer)),
		Request:       req,
	}, nil
}

// constructionVector is one input and what becomes of it.
type constructionVector struct {
	Name  string            `json:"name"`
	Input constructionInput `json:"input"`
	On    []string          `json:"on"`    // credential, app, call, begin, import, redeem; empty: credential and app
	Error []string          `json:"error"` // what its text says; empty: it is accepted
	Posts string            `json:"posts"` // accepted: where a redemption goes; "": it is not looked at
}

func constructionVectors(t testing.TB, file string) []constructionVector {
	t.Helper()
	var vectors struct {
		About   string               `json:"about"`
		Vectors []constructionVector `json:"vectors"`
	}
	constructionRead(t, file, &vectors)
	return vectors.Vectors
}

func constructionRead(t testing.TB, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "construction", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := constructionUnmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// constructionWantError holds an error to what every error of this package is: one line that names the argument, without
// control characters and without secrets.
func constructionWantError(t *testing.T, err error, texts []string, secrets ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	text := err.Error()
	if !strings.HasPrefix(text, "authcode: ") {
		t.Errorf("error %q does not say whose it is", text)
	}
	if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		t.Errorf("error %q holds control characters or is not UTF-8", text)
	}
	if len(text) > 2000 {
		t.Errorf("error of %d bytes", len(text))
	}
	for _, part := range texts {
		if !strings.Contains(text, part) {
			t.Errorf("error %q does not say %q", text, part)
		}
	}
	for _, secret := range secrets {
		if len(strings.TrimSpace(secret)) >= 4 && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("error %q repeats a secret", text)
		}
	}
}

// run takes a vector down one of the ways its input can enter.
func (v *constructionVector) run(t *testing.T, way string) {
	in := &v.Input
	var transport policy.Transporter = constructionForbidden{t}
	recorder := &constructionRecorder{}
	if len(v.Error) == 0 && (way == "credential" || way == "call") {
		transport = recorder
	}
	err := in.enter(t, way, transport)
	if len(v.Error) > 0 {
		constructionWantError(t, err, v.Error, in.Code.or(constructionCode), string(in.Verifier), in.secret())
		return
	}
	if err != nil {
		t.Errorf("refused: %v", err)
	}
	if v.Posts != "" && way == "credential" && recorder.url != v.Posts {
		t.Errorf("posted to %q, want %q", recorder.url, v.Posts)
	}
	if way == "credential" {
		in.wantSent(t, recorder)
	}
}

func (in *constructionInput) enter(t *testing.T, way string, transport policy.Transporter) error {
	switch way {
	case "credential":
		credential, err := in.newCredential(t, transport)
		if err != nil {
			return err
		}
		if _, forbidden := transport.(constructionForbidden); forbidden {
			return nil // it should have been refused: no request is needed to see that
		}
		_, err = credential.GetToken(t.Context(), tokenFor(graphScope))
		return err
	case "app":
		_, err := in.newApp(t, transport)
		return err
	case "call":
		credential, err := in.newCredential(t, transport)
		if err != nil {
			t.Fatal(err)
		}
		_, err = credential.GetToken(t.Context(), in.tokenOptions())
		return err
	}
	app, err := in.newApp(t, transport)
	if err != nil {
		t.Fatal(err)
	}
	begin := &authcode.BeginOptions{
		Claims: string(in.Claims), RedirectURI: string(in.BeginRedirectURI), Scopes: in.scopes(), TenantID: string(in.CallTenantID),
	}
	switch way {
	case "begin":
		_, err = app.Begin(begin)
	case "import":
		_, err = app.ImportRefreshToken(t.Context(), "construction-refresh-token", in.scopes()...)
	case "redeem":
		var flow *authcode.Flow
		if flow, err = app.Begin(begin); err == nil {
			_, err = app.Redeem(t.Context(), flow, url.Values{"state": {flow.State}, "code": {constructionCode}})
		}
	default:
		t.Fatalf("unknown way %q", way)
	}
	return err
}

// wantSent checks that what was accepted was sent byte for byte.
func (in *constructionInput) wantSent(t *testing.T, r *constructionRecorder) {
	t.Helper()
	want := map[string]string{
		"client_id":     in.ClientID.or(constructionClientID),
		"code":          in.Code.or(constructionCode),
		"code_verifier": string(in.Verifier),
		"grant_type":    "authorization_code",
		"redirect_uri":  in.RedirectURI.or(redirectURI),
	}
	switch in.Auth {
	case "", "secret":
		want["client_secret"] = in.secret()
	case "basic":
		constructionWantBasic(t, r.header, in.ClientID.or(constructionClientID), in.secret())
		fallthrough
	default:
		want["client_secret"] = ""
	}
	for name, value := range want {
		if got := r.form[name]; strings.Join(got, "\x00") != value || value == "" && len(got) > 0 {
			t.Errorf("%s sent as %q, want %q", name, got, value)
		}
	}
}

// constructionWantBasic reads the header as RFC 6749 section 2.3.1 has the server read it.
func constructionWantBasic(t *testing.T, header http.Header, clientID, secret string) {
	t.Helper()
	user, password, ok := (&http.Request{Header: header}).BasicAuth()
	gotID, err1 := url.QueryUnescape(user)
	gotSecret, err2 := url.QueryUnescape(password)
	if !ok || err1 != nil || err2 != nil || gotID != clientID || gotSecret != secret {
		t.Errorf("the Authorization header does not read back as client ID and secret: %v %v", err1, err2)
	}
}

func TestConstructionNamesTheWrongArgument(t *testing.T) {
	for _, file := range []string{
		"23-tenant.json", "23-tenant-of-a-call.json", "24-authority.json", "25-client-id.json", "26-scopes.json", "26-claims.json",
		"27-redirect-uri.json", "28-code.json", "28-code-verifier.json", "28-client-auth.json", "31-sign-in-tenants.json", "31-endpoints.json",
	} {
		t.Run(strings.TrimSuffix(file, ".json"), func(t *testing.T) {
			t.Parallel()
			for _, vector := range constructionVectors(t, file) {
				ways := vector.On
				if ways == nil {
					ways = []string{"credential", "app"}
				}
				for _, way := range ways {
					t.Run(vector.Name+"/"+way, func(t *testing.T) { vector.run(t, way) })
				}
			}
		})
	}
}

// Not parallel: the environment is one.
func TestConstructionChecksTheAuthorityOfTheEnvironment(t *testing.T) {
	for _, vector := range constructionVectors(t, "24-authority-environment.json") {
		for _, way := range []string{"credential", "app"} {
			t.Run("24 "+vector.Name+"/"+way, func(t *testing.T) {
				t.Setenv("AZURE_AUTHORITY_HOST", vector.Input.Environment.or(""))
				vector.run(t, way)
			})
		}
	}
}

func TestConstructionWantsAnAuthorityOfACustomCloud(t *testing.T) {
	t.Parallel()
	for name, configuration := range map[string]cloud.Configuration{
		"24 services without authority": {Services: map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: "https://management.example.com"}}},
	} {
		t.Run(name, func(t *testing.T) {
			client := azcore.ClientOptions{Cloud: configuration, Transport: constructionForbidden{t}}
			_, err := authcode.NewAuthorizationCodeCredential(constructionTenant, constructionClientID, constructionCode, redirectURI, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: client})
			constructionWantError(t, err, []string{"ActiveDirectoryAuthorityHost"})
			_, err = authcode.NewApp(constructionTenant, constructionClientID, redirectURI, authcode.PublicAuth(), &authcode.AppOptions{ClientOptions: client})
			constructionWantError(t, err, []string{"ActiveDirectoryAuthorityHost"})
		})
	}
}

func TestScopesAreASet(t *testing.T) {
	t.Parallel()
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	first := mustToken(t, c, tokenFor(graphScope, mailScope))
	for name, scopes := range map[string][]string{
		"26 another order": {mailScope, graphScope},
		"26 twice":         {graphScope, mailScope, graphScope},
		"26 other case":    {strings.ToUpper(graphScope), strings.ToLower(mailScope)},
		"26 reserved":      {"openid", graphScope, "offline_access", mailScope, "Profile"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustToken(t, c, tokenFor(scopes...)); got != first {
				t.Error("another token for the same set")
			}
		})
	}
	e.wantRequests(1, 0)
}

// Which scopes belong to which resource only the server knows, so it refuses; the words must be of use all the same.
func TestScopesOfTwoResourcesAreRefusedInWords(t *testing.T) {
	t.Parallel()
	e := newEntra(t, nil)
	c := e.newCredential(alice, nil)
	mustToken(t, c, tokenFor(graphScope))
	_, err := c.GetToken(t.Context(), tokenFor(mailScope, storageScope))
	constructionWantError(t, err, []string{"28000", "scopes", "one resource per call"}, e.secret())
	if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || failed.Code == "" {
		t.Errorf("26: %T, want the server's error", err)
	}
	mustToken(t, c, tokenFor(storageScope)) // the grant is as it was
}

func TestSecretsAuthenticateHoweverTheyAreSpelt(t *testing.T) {
	t.Parallel()
	var vectors struct {
		About   string `json:"about"`
		Vectors []struct {
			Name   string           `json:"name"`
			Secret constructionText `json:"secret"`
		} `json:"vectors"`
	}
	constructionRead(t, "29-secrets.json", &vectors)
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		if directory.Apps[i].Type == entratest.Confidential {
			directory.Apps[i].Secrets = nil
			for _, vector := range vectors.Vectors {
				directory.Apps[i].Secrets = append(directory.Apps[i].Secrets, string(vector.Secret))
			}
		}
	}
	e := newEntra(t, &entratest.Options{Directory: directory})
	for _, vector := range vectors.Vectors {
		for name, auth := range map[string]authcode.ClientAuth{
			"post":  authcode.SecretAuth(string(vector.Secret)),
			"basic": authcode.SecretBasicAuth(string(vector.Secret)),
		} {
			t.Run("29 "+vector.Name+"/"+name, func(t *testing.T) {
				c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientAuth: auth})
				mustToken(t, c, tokenFor(graphScope))
				mustToken(t, c, tokenFor(storageScope)) // by the refresh token
			})
		}
	}
	t.Run("29 a secret with a byte more does not", func(t *testing.T) {
		// The proof that the server looks at all.
		wrong := string(vectors.Vectors[0].Secret) + "!"
		c := e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientAuth: authcode.SecretBasicAuth(wrong)})
		_, err := c.GetToken(t.Context(), tokenFor(graphScope))
		constructionWantError(t, err, []string{"invalid_client"}, wrong)
	})
}

// constructionKeys are made once: RSA keys take their time under the race detector.
var constructionKeys = sync.OnceValue(func() (keys struct{ app, other, weak *rsa.PrivateKey }) {
	for key, bits := range map[**rsa.PrivateKey]int{&keys.app: 2048, &keys.other: 2048, &keys.weak: 1024} {
		made, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		*key = made
	}
	return keys
})

// constructionCertificate is signed by parent, or by itself.
func constructionCertificate(t *testing.T, name string, key, signer crypto.Signer, parent *x509.Certificate, from, to time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, IsCA: parent == nil, BasicConstraintsValid: true}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// constructionVault is a key that never leaves its vault.
type constructionVault struct{ crypto.Signer }

func TestCertificatesThatCannotAuthenticateAreNamed(t *testing.T) {
	t.Parallel()
	keys := constructionKeys()
	now := time.Now()
	good := constructionCertificate(t, "app", keys.app, keys.app, nil, now.Add(-time.Hour), now.Add(time.Hour))
	other := constructionCertificate(t, "other", keys.other, keys.other, nil, now.Add(-time.Hour), now.Add(time.Hour))
	weak := constructionCertificate(t, "weak", keys.weak, keys.weak, nil, now.Add(-time.Hour), now.Add(time.Hour))
	past := constructionCertificate(t, "past", keys.app, keys.app, nil, now.Add(-48*time.Hour), now.Add(-24*time.Hour))
	future := constructionCertificate(t, "future", keys.app, keys.app, nil, now.Add(24*time.Hour), now.Add(48*time.Hour))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecCertificate := constructionCertificate(t, "ec", ec, ec, nil, now.Add(-time.Hour), now.Add(time.Hour))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	type certs = []*x509.Certificate
	for _, vector := range []struct {
		name  string
		certs certs
		key   crypto.PrivateKey
		want  []string
	}{
		{"30 no key", certs{good}, nil, []string{"private key"}},
		{"30 nil RSA key", certs{good}, (*rsa.PrivateKey)(nil), []string{"private key", "nil"}},
		{"30 nil EC key", certs{good}, (*ecdsa.PrivateKey)(nil), []string{"key"}},
		{"30 empty Ed25519 key", certs{good}, ed25519.PrivateKey(nil), []string{"key"}},
		{"30 RSA key without numbers", certs{good}, &rsa.PrivateKey{}, []string{"RSA key", "2048"}},
		{"30 a public key", certs{good}, &keys.app.PublicKey, []string{"private key", "sign"}},
		{"30 a string for a key", certs{good}, "-----BEGIN PRIVATE KEY-----", []string{"private key", "sign"}},
		{"30 key of another certificate", certs{good}, keys.other, []string{"private key", "none of the certificates"}},
		{"30 key of none in a chain", certs{good, weak, ecCertificate}, keys.other, []string{"none of the certificates"}},
		{"30 RSA 1024", certs{weak}, keys.weak, []string{"2048"}},
		{"30 EC key", certs{ecCertificate}, ec, []string{"RSA"}},
		{"30 Ed25519 key", certs{good}, ed, []string{"RSA"}},
		{"30 expired", certs{past}, keys.app, []string{"certificate", "expired"}},
		{"30 not yet valid", certs{future}, keys.app, []string{"certificate", "not valid before"}},
		{"30 no certificate", nil, keys.app, []string{"certificate"}},
		{"30 nil certificate", certs{nil}, keys.app, []string{"certificate", "nil"}},
		{"30 nil certificate in a chain", certs{good, nil}, keys.app, []string{"certificate", "nil"}},
	} {
		t.Run(vector.name, func(t *testing.T) {
			defer constructionNoPanic(t)
			auth, err := authcode.CertificateAuth(vector.certs, vector.key, nil)
			if auth != nil {
				t.Error("there is an authentication beside the error")
			}
			constructionWantError(t, err, vector.want)
		})
	}
	t.Run("30 audience with a newline", func(t *testing.T) {
		_, err := authcode.CertificateAuth(certs{good}, keys.app, &authcode.CertificateAuthOptions{Audience: "https://a.example/\r\n"})
		constructionWantError(t, err, []string{"audience"})
	})
	for name, accepted := range map[string]struct {
		certs certs
		key   crypto.PrivateKey
	}{
		"30 one certificate":       {certs{good}, keys.app},
		"30 beside another":        {certs{other, good}, keys.app},
		"30 beside an EC key's":    {certs{ecCertificate, good}, keys.app},
		"30 beside an expired one": {certs{constructionCertificate(t, "old root", keys.other, keys.other, nil, now.Add(-48*time.Hour), now.Add(-24*time.Hour)), good}, keys.app},
		"30 a signer in a vault":   {certs{good}, constructionVault{keys.app}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := authcode.CertificateAuth(accepted.certs, accepted.key, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCertificateChainsAuthenticateInAnyOrder(t *testing.T) {
	t.Parallel()
	keys := constructionKeys()
	now := time.Now()
	root := constructionCertificate(t, "root", keys.other, keys.other, nil, now.Add(-time.Hour), now.Add(time.Hour))
	leaf := constructionCertificate(t, "leaf", keys.app, keys.other, root, now.Add(-time.Hour), now.Add(time.Hour))
	directory := entratest.DefaultDirectory()
	for i := range directory.Apps {
		if directory.Apps[i].Type == entratest.Confidential {
			directory.Apps[i].Certificates = []*x509.Certificate{leaf}
		}
	}
	e := newEntra(t, &entratest.Options{Directory: directory})
	for name, chain := range map[string][]*x509.Certificate{
		"30 leaf first":  {leaf, root},
		"30 root first":  {root, leaf},
		"30 leaf twice":  {leaf, root, leaf},
		"30 leaf alone":  {leaf},
		"30 root twice":  {root, root, leaf},
		"30 leaf inside": {root, leaf, root},
	} {
		t.Run(name, func(t *testing.T) {
			auth, err := authcode.CertificateAuth(chain, keys.app, &authcode.CertificateAuthOptions{SendCertificateChain: true})
			if err != nil {
				t.Fatal(err)
			}
			mustToken(t, e.newCredential(alice, &authcode.AuthorizationCodeCredentialOptions{ClientAuth: auth}), tokenFor(graphScope))
			requests := e.tokenRequests("authorization_code")
			header, _, _ := strings.Cut(requests[len(requests)-1].Form.Get("client_assertion"), ".")
			decoded, err := base64.RawURLEncoding.DecodeString(header)
			if err != nil {
				t.Fatal(err)
			}
			var parsed struct {
				X5C []string `json:"x5c"`
			}
			if err := json.Unmarshal(decoded, &parsed); err != nil {
				t.Fatal(err)
			}
			if len(parsed.X5C) == 0 || parsed.X5C[0] != base64.StdEncoding.EncodeToString(leaf.Raw) {
				t.Errorf("x5c of %d certificates does not begin with the key's own", len(parsed.X5C))
			}
		})
	}
}

func TestSealerKeysAreChecked(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][][]byte{
		"31 no key":                {},
		"31 nil key":               {nil},
		"31 31 bytes":              {make([]byte, 31)},
		"31 33 bytes":              {make([]byte, 33)},
		"31 64 hex digits":         {[]byte(strings.Repeat("0f", 32))},
		"31 a short key behind":    {make([]byte, 32), make([]byte, 16)},
		"31 an empty key in front": {{}, make([]byte, 32)},
	} {
		t.Run(name, func(t *testing.T) {
			sealer, err := authcode.NewSealer(keys...)
			if sealer != nil {
				t.Error("there is a Sealer beside the error")
			}
			constructionWantError(t, err, []string{"NewSealer", "32"}, strings.Repeat("0f", 32))
		})
	}
	if _, err := authcode.NewSealer(make([]byte, 32), bytes.Repeat([]byte{1}, 32)); err != nil {
		t.Error(err)
	}
}

func constructionNoPanic(t *testing.T) {
	t.Helper()
	if p := recover(); p != nil {
		t.Errorf("panic: %v", p)
	}
}

func TestNilArgumentsAreDefaultsOrErrors(t *testing.T) {
	t.Parallel()
	// Construction sends nothing, so these never reach the public cloud.
	t.Run("31 nil options", func(t *testing.T) {
		defer constructionNoPanic(t)
		c, err := authcode.NewAuthorizationCodeCredential(constructionTenant, constructionClientID, constructionCode, redirectURI, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		app, err := authcode.NewApp(constructionTenant, constructionClientID, redirectURI, authcode.PublicAuth(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = app.Close() }()
		flow, err := app.Begin(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(flow.URL, "https://login.microsoftonline.com/"+constructionTenant+"/oauth2/v2.0/authorize?") {
			t.Errorf("URL %s", flow.URL)
		}
		if got := app.SignOutURL(nil); !strings.HasPrefix(got, "https://login.microsoftonline.com/") {
			t.Errorf("sign-out URL %s", got)
		}
		if app.Sealer() == nil {
			t.Error("no Sealer")
		}
	})
	t.Run("31 nil Transport", func(t *testing.T) {
		defer constructionNoPanic(t)
		for name, transport := range map[string]policy.Transporter{"nil": nil, "nil *http.Client": (*http.Client)(nil), "empty *http.Client": &http.Client{}} {
			in := constructionInput{}
			if _, err := in.newCredential(t, transport); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := in.newApp(t, transport); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("31 nil context", func(t *testing.T) {
		defer constructionNoPanic(t)
		in := constructionInput{}
		c, err := in.newCredential(t, constructionForbidden{t})
		if err != nil {
			t.Fatal(err)
		}
		app, err := in.newApp(t, constructionForbidden{t})
		if err != nil {
			t.Fatal(err)
		}
		flow, err := app.Begin(nil)
		if err != nil {
			t.Fatal(err)
		}
		var none context.Context
		for name, call := range map[string]func() error{
			"GetToken": func() error { _, err := c.GetToken(none, tokenFor(graphScope)); return err },
			"Account":  func() error { _, err := c.Account(none); return err },
			"Redeem": func() error {
				_, err := app.Redeem(none, flow, url.Values{"state": {flow.State}, "code": {"x"}})
				return err
			},
			"ImportRefreshToken":   func() error { _, err := app.ImportRefreshToken(none, "token", graphScope); return err },
			"Forget":               func() error { return app.Forget(none, "account") },
			"Credential, GetToken": func() error { _, err := app.Credential("account").GetToken(none, tokenFor(graphScope)); return err },
			"Credential, Account":  func() error { _, err := app.Credential("account").Account(none); return err },
		} {
			err := call()
			if err == nil {
				t.Errorf("%s: no error", name)
				continue
			}
			constructionWantError(t, err, []string{"context is nil"})
		}
	})
	t.Run("31 nil and empty flows and callbacks", func(t *testing.T) {
		defer constructionNoPanic(t)
		in := constructionInput{}
		app, err := in.newApp(t, constructionForbidden{t})
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range map[string]func() error{
			"Redeem, nil flow": func() error { _, err := app.Redeem(t.Context(), nil, nil); return err },
			"Redeem, empty flow": func() error {
				_, err := app.Redeem(t.Context(), &authcode.Flow{}, url.Values{"state": {""}, "code": {"x"}})
				return err
			},
			"SealFlow, nil flow":   func() error { _, err := app.SealFlow(nil); return err },
			"SealFlow, empty flow": func() error { _, err := app.SealFlow(&authcode.Flow{}); return err },
			"OpenFlow, empty":      func() error { _, err := app.OpenFlow(""); return err },
		} {
			if err := call(); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		flow, err := app.Begin(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := app.Redeem(t.Context(), flow, nil); !errors.Is(err, authcode.ErrStateMismatch) {
			t.Errorf("nil callback: %v", err)
		}
	})
	t.Run("31 refresh token empty or broken", func(t *testing.T) {
		in := constructionInput{}
		app, err := in.newApp(t, constructionForbidden{t})
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{"", "construction-refresh\r\nX: y", "construction-refresh\x00", "construction-refr\u00e9sh", "construction-refresh\xff", strings.Repeat("r", 512<<10+1)} {
			_, err := app.ImportRefreshToken(t.Context(), token, graphScope)
			constructionWantError(t, err, []string{"refresh token"}, token)
		}
	})
}

func TestZeroValuesAreErrorsAndNoPanics(t *testing.T) {
	t.Parallel()
	defer constructionNoPanic(t)
	for name, c := range map[string]*authcode.AuthorizationCodeCredential{"31 zero credential": new(authcode.AuthorizationCodeCredential)} {
		t.Run(name, func(t *testing.T) {
			defer constructionNoPanic(t)
			_, err := c.GetToken(t.Context(), tokenFor(graphScope))
			constructionWantError(t, err, []string{"NewAuthorizationCodeCredential"})
			_, err = c.Account(t.Context())
			constructionWantError(t, err, []string{"NewAuthorizationCodeCredential"})
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, "PANIC") {
				t.Errorf("printed as %s", text)
			}
		})
	}
	t.Run("31 zero errors", func(t *testing.T) {
		defer constructionNoPanic(t)
		for _, err := range []error{&authcode.AuthenticationFailedError{}, &authcode.AuthenticationRequiredError{}} {
			constructionWantError(t, err, nil)
			if _, err := json.Marshal(err); err != nil {
				t.Error(err)
			}
			_ = errors.Unwrap(err)
		}
	})
}
