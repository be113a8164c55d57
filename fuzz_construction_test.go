package authcode_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/authcode-go/authcode"
)

// FuzzNewCredential gives a constructor any strings. What it accepts must arrive at the server as it was given, at the authority
// that was given and nowhere else: the request is written to the wire and read back to see.
func FuzzNewCredential(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "construction", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if name == "29-secrets.json" {
			continue // not inputs of construction
		}
		for _, vector := range constructionVectors(f, name) {
			in := &vector.Input
			scope := strings.Join(in.scopes(), " ")
			seed := constructionFuzzed{
				in.TenantID.or(constructionTenant), in.ClientID.or(constructionClientID), in.Code.or(constructionCode), in.RedirectURI.or(redirectURI),
				in.Authority.or(constructionHost), in.secret(), string(in.Verifier), scope, string(in.Claims), 0,
			}
			if seed.length() > 1<<10 {
				continue // a fuzzer that copies long texts finds little
			}
			for mode := range uint8(4) {
				f.Add(seed.tenantID, seed.clientID, seed.code, seed.redirectURI, seed.authority, seed.secret, seed.verifier, seed.scope, seed.claims, mode)
			}
		}
	}
	f.Fuzz(func(t *testing.T, tenantID, clientID, code, redirect, authority, secret, verifier, scope, claims string, mode uint8) {
		in := constructionFuzzed{tenantID, clientID, code, redirect, authority, secret, verifier, scope, claims, mode}
		in.checkCredential(t)
		in.checkApp(t)
	})
}

type constructionFuzzed struct {
	tenantID, clientID, code, redirectURI, authority, secret, verifier, scope, claims string
	mode                                                                              uint8
}

func (in *constructionFuzzed) length() int {
	return len(in.tenantID + in.clientID + in.code + in.redirectURI + in.authority + in.secret + in.verifier + in.scope + in.claims)
}

const (
	constructionFuzzBasic  = 1 << iota // the secret goes into the header
	constructionFuzzPublic             // there is none
)

func (in *constructionFuzzed) auth() authcode.ClientAuth {
	switch {
	case in.mode&constructionFuzzPublic != 0:
		return authcode.PublicAuth()
	case in.mode&constructionFuzzBasic != 0:
		return authcode.SecretBasicAuth(in.secret)
	}
	return authcode.SecretAuth(in.secret)
}

func (in *constructionFuzzed) checkCredential(t *testing.T) {
	var wire bytes.Buffer
	c, err := authcode.NewAuthorizationCodeCredential(in.tenantID, in.clientID, in.code, in.redirectURI, &authcode.AuthorizationCodeCredentialOptions{
		ClientAuth: in.auth(),
		ClientOptions: azcore.ClientOptions{
			Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: in.authority},
			Transport: answersScript(func(req *http.Request) (*http.Response, error) {
				if err := req.Write(&wire); err != nil {
					t.Errorf("the request cannot be written: %v", err)
				}
				if req.URL.Scheme != "https" {
					t.Errorf("sent by %q", req.URL.Scheme)
				}
				return answersJSON(req, http.StatusOK, answersGood), nil
			}),
		},
		CodeVerifier: in.verifier,
	})
	if err != nil {
		in.checkError(t, err)
		return
	}
	defer func() { _ = c.Close() }()
	options := tokenFor(in.scope)
	options.Claims = in.claims
	if _, err := c.GetToken(t.Context(), options); err != nil {
		in.checkError(t, err)
		if wire.Len() > 0 {
			t.Errorf("refused after it was sent: %v", err)
		}
		return
	}
	in.checkWire(t, &wire)
}

// checkError wants one line without what the caller keeps secret.
func (in *constructionFuzzed) checkError(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if !strings.HasPrefix(text, "authcode: ") || strings.ContainsFunc(text, unicode.IsControl) || len(text) > 2000 {
		t.Errorf("error %q", text)
	}
	shown := in.tenantID + in.clientID + in.redirectURI + in.authority + in.scope + in.claims // these may be repeated
	for _, secret := range []string{in.code, in.secret, in.verifier} {
		if len(secret) >= 12 && strings.Contains(text, secret) && !strings.Contains(shown, secret) && !strings.Contains(constructionOwnWords, secret) {
			t.Errorf("error %q repeats a secret", text)
		}
	}
}

// constructionOwnWords are long words of the errors themselves, which a fuzzer can find and use for a secret.
const constructionOwnWords = "authcode: invalid authorization code: give the decoded value of the callback's parameter alone, registered for the app"

func (in *constructionFuzzed) checkWire(t *testing.T, wire io.Reader) {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(wire))
	if err != nil {
		t.Fatalf("the request does not read back: %v", err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatalf("the request does not read back: %v", err)
	}
	authority, err := url.Parse(in.authority)
	if in.authority == "" {
		authority, err = url.Parse(cloud.AzurePublic.ActiveDirectoryAuthorityHost)
	}
	if err != nil || req.Host != strings.ToLower(authority.Host) {
		t.Errorf("sent to %q, want the authority's host of %q", req.Host, in.authority)
	}
	path := "/" + in.tenantID + "/oauth2/v2.0/token"
	if strings.EqualFold(in.tenantID, "adfs") {
		path = "/" + in.tenantID + "/oauth2/token"
	}
	if req.Method != http.MethodPost || req.RequestURI != path {
		t.Errorf("%s %q, want a POST to %q", req.Method, req.RequestURI, path)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		t.Fatalf("the form does not read back: %v", err)
	}
	want := url.Values{
		"client_id": {in.clientID}, "client_info": {"1"}, "code": {in.code}, "grant_type": {"authorization_code"}, "redirect_uri": {in.redirectURI},
	}
	if in.verifier != "" {
		want.Set("code_verifier", in.verifier)
	}
	if in.claims != "" {
		want.Set("claims", in.claims)
	}
	switch {
	case in.mode&constructionFuzzPublic != 0:
	case in.mode&constructionFuzzBasic != 0:
		constructionWantBasic(t, req.Header, in.clientID, in.secret)
	default:
		want.Set("client_secret", in.secret)
	}
	if scopes := strings.Split(form.Get("scope"), " "); len(form["scope"]) != 1 || scopes[0] != in.scope || len(scopes) > 4 {
		t.Errorf("scope %q, want %q and the reserved ones", form["scope"], in.scope)
	}
	form.Del("scope")
	for name := range form {
		if !slices.Equal(form[name], want[name]) {
			t.Errorf("%s sent as %q, want %q", name, form[name], want[name])
		}
	}
	if len(form) != len(want) {
		t.Errorf("%d fields, want %d", len(form), len(want))
	}
}

// checkApp has the same strings go through an authorize URL.
func (in *constructionFuzzed) checkApp(t *testing.T) {
	app, err := authcode.NewApp(in.tenantID, in.clientID, in.redirectURI, in.auth(), &authcode.AppOptions{
		ClientOptions: azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: in.authority}, Transport: constructionForbidden{t}},
		SignInTenants: in.signInTenants(),
	})
	if err != nil {
		in.checkError(t, err)
		return
	}
	defer func() { _ = app.Close() }()
	flow, err := app.Begin(&authcode.BeginOptions{Claims: in.claims, LoginHint: in.verifier, Scopes: []string{in.scope}})
	if err != nil {
		if text := err.Error(); !strings.HasPrefix(text, "authcode: ") || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("error %q", text)
		}
		return
	}
	u, err := url.Parse(flow.URL)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Fragment != "" {
		t.Fatalf("authorize URL %q: %v", flow.URL, err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatalf("authorize URL %q: %v", flow.URL, err)
	}
	for name, value := range map[string]string{"client_id": in.clientID, "redirect_uri": in.redirectURI, "claims": in.claims, "login_hint": in.verifier} {
		if got := strings.Join(query[name], "\x00"); got != value {
			t.Errorf("%s in the authorize URL is %q, want %q", name, got, value)
		}
	}
	if in.claims != "" && !json.Valid([]byte(in.claims)) {
		t.Errorf("claims %q are no JSON", in.claims)
	}
}

func (in *constructionFuzzed) signInTenants() []string {
	if strings.EqualFold(in.tenantID, "common") || strings.EqualFold(in.tenantID, "organizations") {
		return []string{"*"}
	}
	return nil
}
