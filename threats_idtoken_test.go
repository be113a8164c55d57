package authcode_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
)

// What an attacker would send in place of an ID token, as files in testdata/idtoken: each says what is done to a good
// token, and which words the refusal must have. They are signed here and by a server of this file alone: a forger that
// shared code with the emulator could only make the mistakes that the emulator's author thought of.

const (
	forgeTenant = "f0000000-1111-4222-8333-444455556666" // whose users sign in
	forgeOther  = "0e000000-1111-4222-8333-444455556666" // somebody else's
	forgeDomain = "forge.example"                        // another name of forgeTenant
	forgeClient = "c1000000-1111-4222-8333-444455556666"
	forgeSecret = "forge-secret: %/+&= q9Zx"
)

// forgeUser is who signs in.
type forgeUser struct{ name, oid, tid, sub string }

func forgeNewUser(name string) forgeUser {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	return forgeUser{
		name: name,
		oid:  sum[:8] + "-" + sum[8:12] + "-4" + sum[12:15] + "-8" + sum[15:18] + "-" + sum[18:30],
		tid:  forgeTenant,
		sub:  "sub-" + sum[30:54],
	}
}

func (u forgeUser) home() string { return u.oid + "." + u.tid }

// forge is an authorization server that signs whatever it is told to. It has no socket, so it works in a synctest
// bubble, and it is the only host there is: a request to another one fails the test.
type forge struct {
	tb      testing.TB
	origin  string
	segment string // the tenant in its paths, laid out as Entra's; "" for a server with Endpoints of its own
	user    forgeUser

	// What it does. Tests set it before the first request, and by change after that: old documents are read again behind
	// the back of whoever signs in.
	document   func(map[string]any)                        // edits the metadata
	published  []forgeJWK                                  // the key set
	mint       func(forgeCode) string                      // the ID token; "" leaves it out
	answerWith func(map[string]any)                        // edits a token answer
	instead    map[string]func(*http.Request) *forgeAnswer // by endpoint; a nil answer is the usual one
	latency    map[string]time.Duration                    // by endpoint

	mu       sync.Mutex
	codes    map[string]*forgeCode
	grants   map[string]*forgeCode // by refresh token
	issued   int
	requests []forgeRequest
	secrets  []string // all it gave away and was given: none may show in an error
}

type forgeRequest struct {
	endpoint string
	form     url.Values
	header   http.Header
}

// forgeCode is a sign-in: what the authorize URL asked for.
type forgeCode struct {
	query   url.Values
	user    forgeUser
	spent   bool
	refresh bool // the token is for a refresh

	access, code, verifier string // what the server knows of it
}

// forgeAnswer stands in for the usual answer.
type forgeAnswer struct {
	status int
	header http.Header
	body   io.Reader
	err    error
}

var forgeNumber atomic.Int64

// newForge makes a server laid out as Entra's, for a tenant's name in the path; "" is one with Endpoints of its own.
func newForge(tb testing.TB, segment string) *forge {
	f := &forge{
		tb: tb,
		// Of its own each, since the package keeps a pause per token endpoint.
		origin:  fmt.Sprintf("https://forge-%d.example", forgeNumber.Add(1)),
		segment: segment,
		user:    forgeNewUser("mallory"),
		codes:   map[string]*forgeCode{},
		grants:  map[string]*forgeCode{},
		instead: map[string]func(*http.Request) *forgeAnswer{},
		latency: map[string]time.Duration{},
	}
	f.published = []forgeJWK{{Key: "rsa-1"}}
	f.mint = f.goodIDToken
	f.secrets = []string{forgeSecret, url.QueryEscape(forgeSecret)}
	return f
}

func (f *forge) isOwn() bool  { return f.segment == "" }
func (f *forge) isADFS() bool { return f.segment == "adfs" }

// hasTenants: its tokens say which directory the user is of, and who they are at home.
func (f *forge) hasTenants() bool { return !f.isOwn() && !f.isADFS() }

// issuer is the iss of its tokens, or of its metadata where tid is a template.
func (f *forge) issuer(tid string) string {
	switch {
	case f.isOwn():
		return f.origin
	case f.isADFS():
		return f.origin + "/adfs"
	}
	return f.origin + "/" + tid + "/v2.0"
}

func (f *forge) endpoints() *authcode.Endpoints {
	if !f.isOwn() {
		return nil
	}
	return &authcode.Endpoints{
		Authorize:  f.origin + "/authorize",
		EndSession: f.origin + "/logout",
		Issuer:     f.issuer(""),
		JWKS:       f.origin + "/keys",
		Token:      f.origin + "/token",
	}
}

// client is what an App is given to reach it. Retries would only wait: what fails here fails again.
func (f *forge) client() azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: f.origin},
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Transport: &http.Client{Transport: f},
	}
}

func (f *forge) newApp(options *authcode.AppOptions) *authcode.App {
	f.tb.Helper()
	return f.newAppAs(authcode.SecretAuth(forgeSecret), options)
}

func (f *forge) newAppAs(auth authcode.ClientAuth, options *authcode.AppOptions) *authcode.App {
	f.tb.Helper()
	if options == nil {
		options = &authcode.AppOptions{}
	}
	if options.Transport == nil {
		options.ClientOptions = f.client()
	}
	options.Endpoints = cmp.Or(options.Endpoints, f.endpoints())
	if f.segment == "common" || f.segment == "organizations" {
		if options.SignInTenants == nil {
			options.SignInTenants = []string{forgeTenant}
		}
	}
	app, err := authcode.NewApp(f.segment, forgeClient, redirectURI, auth, options)
	if err != nil {
		f.tb.Fatal(err)
	}
	f.tb.Cleanup(func() { _ = app.Close() })
	return app
}

// begin starts a sign-in; callback is what the browser brings back of it.
func (f *forge) begin(app *authcode.App, options *authcode.BeginOptions) (*authcode.Flow, url.Values) {
	f.tb.Helper()
	flow, err := app.Begin(options)
	if err != nil {
		f.tb.Fatal(err)
	}
	return flow, f.callback(flow, f.user)
}

func (f *forge) callback(flow *authcode.Flow, user forgeUser) url.Values {
	f.tb.Helper()
	u, err := url.Parse(flow.URL)
	if err != nil {
		f.tb.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	code := f.newSecret("code")
	f.codes[code] = &forgeCode{query: u.Query(), user: user}
	f.secrets = append(f.secrets, flow.CodeVerifier, flow.Nonce, flow.State)
	return url.Values{"code": {code}, "state": {u.Query().Get("state")}}
}

// newSecret makes a code or token that is easy to find in text. The caller holds mu.
func (f *forge) newSecret(kind string) string {
	f.issued++
	sum := sha256.Sum256(fmt.Append(nil, f.origin, kind, f.issued))
	secret := fmt.Sprintf("%s-%x", kind, sum[:12])
	f.secrets = append(f.secrets, secret)
	return secret
}

// change changes what the server does while requests may be on their way.
func (f *forge) change(edit func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit()
}

// count is how many requests an endpoint had.
func (f *forge) count(endpoint string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if r.endpoint == endpoint {
			n++
		}
	}
	return n
}

func (f *forge) wantCount(endpoint string, want int) {
	f.tb.Helper()
	if got := f.count(endpoint); got != want {
		f.tb.Errorf("%d requests of %s, want %d", got, endpoint, want)
	}
}

// RoundTrip implements http.RoundTripper.
func (f *forge) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	if origin := r.URL.Scheme + "://" + r.URL.Host; origin != f.origin {
		f.tb.Errorf("egress: a request to %s%s", origin, r.URL.Path)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route")}
	}
	form, _ := url.ParseQuery(string(body))
	endpoint := f.endpointOf(r)
	f.mu.Lock()
	f.requests = append(f.requests, forgeRequest{endpoint, form, r.Header.Clone()})
	instead, latency := f.instead[endpoint], f.latency[endpoint]
	f.mu.Unlock()
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	var answer *forgeAnswer
	if instead != nil {
		answer = instead(r)
	}
	if answer == nil {
		answer = f.usual(endpoint, form, r.Header)
	}
	return answer.response(r)
}

func (f *forge) endpointOf(r *http.Request) string {
	for suffix, endpoint := range map[string]string{
		"/.well-known/openid-configuration": "discovery", "/keys": "keys", "/token": "token",
	} {
		if strings.HasSuffix(r.URL.Path, suffix) {
			return endpoint
		}
	}
	f.tb.Errorf("egress: a request for %s, which nobody should ask for", r.URL.Path)
	return "other"
}

func (f *forge) usual(endpoint string, form url.Values, header http.Header) *forgeAnswer {
	switch endpoint {
	case "discovery":
		return forgeJSON(http.StatusOK, f.metadata())
	case "keys":
		f.mu.Lock()
		published := f.published
		f.mu.Unlock()
		return &forgeAnswer{status: http.StatusOK, body: bytes.NewReader(forgeKeySet(f.tb, published, f.placeholders("")))}
	case "token":
		return f.token(form, header)
	}
	return forgeJSON(http.StatusNotFound, nil)
}

func (f *forge) metadata() map[string]any {
	issuer := f.issuer(forgeTenant)
	if f.segment == "common" || f.segment == "organizations" {
		issuer = f.issuer("{tenantid}")
	}
	base := f.origin + "/" + f.segment
	document := map[string]any{
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"issuer":                                issuer,
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"token_endpoint":                        base + "/oauth2/v2.0/token",
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.document != nil {
		f.document(document)
	}
	return document
}

// token is a token endpoint that holds clients to RFC 6749 section 4.1.3 and RFC 7636 section 4.6.
func (f *forge) token(form url.Values, header http.Header) *forgeAnswer {
	f.mu.Lock()
	defer f.mu.Unlock()
	refuse := func(status int, code, why string) *forgeAnswer {
		return forgeJSON(status, map[string]any{"error": code, "error_description": why})
	}
	if !f.authenticates(form, header) {
		return refuse(http.StatusUnauthorized, "invalid_client", "the secret is wrong")
	}
	var signIn *forgeCode
	switch form.Get("grant_type") {
	case "authorization_code":
		signIn = f.codes[form.Get("code")]
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		switch {
		case signIn == nil || signIn.spent:
			return refuse(http.StatusBadRequest, "invalid_grant", "there is no such code any more")
		case form.Get("redirect_uri") != signIn.query.Get("redirect_uri"):
			return refuse(http.StatusBadRequest, "invalid_grant", "the redirect URI is another")
		case base64.RawURLEncoding.EncodeToString(sum[:]) != signIn.query.Get("code_challenge"):
			return refuse(http.StatusBadRequest, "invalid_grant", "the code verifier does not fit")
		}
		signIn.spent, signIn.code, signIn.verifier = true, form.Get("code"), form.Get("code_verifier")
	case "refresh_token":
		held := f.grants[form.Get("refresh_token")]
		if held == nil {
			return refuse(http.StatusBadRequest, "invalid_grant", "there is no such refresh token any more")
		}
		again := *held
		again.refresh = true
		signIn = &again
	default:
		return refuse(http.StatusBadRequest, "unsupported_grant_type", "only codes and refresh tokens")
	}
	return forgeJSON(http.StatusOK, f.answer(signIn))
}

func (f *forge) authenticates(form url.Values, header http.Header) bool {
	if form.Get("client_secret") != "" {
		return form.Get("client_secret") == forgeSecret && form.Get("client_id") == forgeClient
	}
	encoded, basic := strings.CutPrefix(header.Get("Authorization"), "Basic ")
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	name, secret, _ := strings.Cut(string(decoded), ":")
	name, err1 := url.QueryUnescape(name)
	secret, err2 := url.QueryUnescape(secret)
	return basic && err == nil && err1 == nil && err2 == nil && name == forgeClient && secret == forgeSecret
}

func (f *forge) answer(signIn *forgeCode) map[string]any {
	signIn.access = f.newSecret("access")
	refresh := f.newSecret("refresh")
	f.grants[refresh] = signIn
	answer := map[string]any{
		"access_token":  signIn.access,
		"expires_in":    3600,
		"refresh_token": refresh,
		"token_type":    "Bearer",
	}
	if idToken := f.mint(*signIn); idToken != "" {
		answer["id_token"] = idToken
		f.secrets = append(f.secrets, idToken)
	}
	if f.hasTenants() {
		info, _ := json.Marshal(map[string]string{"uid": signIn.user.oid, "utid": signIn.user.tid})
		answer["client_info"] = base64.RawURLEncoding.EncodeToString(info)
	}
	if f.answerWith != nil {
		f.answerWith(answer)
	}
	return answer
}

func forgeJSON(status int, body any) *forgeAnswer {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &forgeAnswer{status: status, body: bytes.NewReader(encoded)}
}

func (a *forgeAnswer) response(r *http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	header := a.header
	if header == nil {
		header = http.Header{"Content-Type": {"application/json"}}
	}
	body := a.body
	if body == nil {
		body = strings.NewReader("")
	}
	return &http.Response{
		StatusCode:    a.status,
		Status:        strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(body),
		ContentLength: -1,
		Request:       r,
	}, nil
}

// forgeObject is a JSON object as a forger wants it: in order, with members twice, with values that are no JSON values.
type forgeObject []forgeMember

type forgeMember struct{ name, raw string }

func (o forgeObject) with(name, raw string) forgeObject {
	for i := range o {
		if o[i].name == name {
			o = slices.Clone(o)
			o[i].raw = raw
			return o
		}
	}
	return append(slices.Clone(o), forgeMember{name, raw})
}

func (o forgeObject) without(name string) forgeObject {
	return slices.DeleteFunc(slices.Clone(o), func(m forgeMember) bool { return m.name == name })
}

func (o forgeObject) text(more string) string {
	members := make([]string, 0, len(o)+1)
	for _, m := range o {
		members = append(members, strconv.Quote(m.name)+":"+m.raw)
	}
	if more != "" {
		members = append(members, more)
	}
	return "{" + strings.Join(members, ",") + "}"
}

// goodHeader and goodClaims are of a token that verifies, with the placeholders of the files in it.
func (f *forge) goodHeader() forgeObject {
	return forgeObject{{"typ", `"JWT"`}, {"alg", `"RS256"`}, {"kid", `"rsa-1"`}}
}

func (f *forge) goodClaims() forgeObject {
	o := forgeObject{
		{"iss", `"$issuer"`}, {"sub", `"$sub"`}, {"aud", `"$client"`}, {"exp", `"$now+3600"`}, {"iat", `"$now"`},
		{"nonce", `"$nonce"`}, {"name", `"Mallory"`}, {"preferred_username", `"$user@forge.example"`},
	}
	if f.hasTenants() {
		o = append(o, forgeMember{"nbf", `"$now"`}, forgeMember{"oid", `"$oid"`}, forgeMember{"tid", `"$tid"`}, forgeMember{"ver", `"2.0"`})
	}
	return o
}

func (f *forge) goodIDToken(signIn forgeCode) string {
	return (&forgeVector{}).mint(f, signIn)
}

// placeholders are what the files write for values that only the run knows.
func (f *forge) placeholders(nonce string) func(string) string {
	return f.placeholdersOf(forgeCode{user: f.user, query: url.Values{"nonce": {nonce}}}, time.Now())
}

var forgeTime = regexp.MustCompile(`"\$now([+-][0-9]+)?(\.[0-9]+)?"`)

func (f *forge) placeholdersOf(signIn forgeCode, now time.Time) func(string) string {
	hash := sha256.Sum256([]byte(signIn.access))
	replacer := strings.NewReplacer(
		"$issuer", f.issuer(signIn.user.tid),
		"$origin", f.origin,
		"$nonce", signIn.query.Get("nonce"),
		"$client", forgeClient,
		"$tenant", forgeTenant,
		"$other", forgeOther,
		"$secret", strings.Trim(strconv.Quote(forgeSecret), `"`),
		"$code", signIn.code,
		"$access", signIn.access,
		"$verifier", signIn.verifier,
		"$athash", base64.RawURLEncoding.EncodeToString(hash[:16]),
		"$user", signIn.user.name,
		"$oid", signIn.user.oid,
		"$tid", signIn.user.tid,
		"$sub", signIn.user.sub,
	)
	return func(s string) string {
		if !strings.Contains(s, "$") {
			return s
		}
		s = forgeTime.ReplaceAllStringFunc(s, func(match string) string {
			parts := forgeTime.FindStringSubmatch(match)
			offset, _ := strconv.ParseInt(cmp.Or(parts[1], "0"), 10, 64)
			return strconv.FormatInt(now.Unix()+offset, 10) + parts[2]
		})
		return replacer.Replace(forgeRepeat(s))
	}
}

var forgeRepeated = regexp.MustCompile(`\$repeat\(([^,)]*),([0-9]+)\)`)

// forgeRepeat writes out "$repeat(A,1000)", so that no file is a megabyte.
func forgeRepeat(s string) string {
	return forgeRepeated.ReplaceAllStringFunc(s, func(match string) string {
		parts := forgeRepeated.FindStringSubmatch(match)
		n, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[1], n)
	})
}

// forgeFile is a file of vectors: one case of the list of bad inputs.
type forgeFile[V any] struct {
	Case    int    `json:"case"`
	Says    string `json:"says"`
	Vectors []V    `json:"vectors"`
}

// forgeFiles reads the vectors of a directory, in the order of the cases. A member that nobody reads is a mistake in
// the file.
func forgeFiles[V any](tb testing.TB, pattern string) []forgeFile[V] {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", filepath.FromSlash(pattern)))
	if err != nil || len(names) == 0 {
		tb.Fatalf("no vectors in testdata/%s: %v", pattern, err)
	}
	var all []forgeFile[V]
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		var file forgeFile[V]
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&file); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		all = append(all, file)
	}
	return all
}

// forgeVector is one forged ID token: a good one, and what is done to it.
type forgeVector struct {
	Name string `json:"name"`
	Why  string `json:"why"`

	// Where the user signs in: a tenant's name for an Entra layout, "adfs" or "own". Empty: forgeTenant.
	At            string     `json:"at"`
	SignInTenants []string   `json:"signInTenants"`
	Published     []forgeJWK `json:"published"` // the key set; empty: rsa-1
	User          string     `json:"user"`      // "foreign": of forgeOther

	Header        map[string]json.RawMessage `json:"header"` // set, in the order of their names
	HeaderWithout []string                   `json:"headerWithout"`
	HeaderMore    string                     `json:"headerMore"` // raw text behind the last member
	Claims        map[string]json.RawMessage `json:"claims"`
	ClaimsWithout []string                   `json:"claimsWithout"`
	ClaimsMore    string                     `json:"claimsMore"`
	Payload       string                     `json:"payload"` // in place of the claims

	Alg     string          `json:"alg"`     // of the signature; empty: RS256. "none": an empty one
	Key     string          `json:"key"`     // that signs; empty: rsa-1
	Shape   string          `json:"shape"`   // what is done to the finished token
	IDToken json.RawMessage `json:"idToken"` // in place of the token; "absent": none

	Error      []string `json:"error"`      // the words its text must have; none: the user signs in
	KeyFetches int      `json:"keyFetches"` // 0: one
}

func (v *forgeVector) mint(f *forge, signIn forgeCode) string {
	return v.mintAt(f, signIn, time.Now())
}

func (v *forgeVector) mintAt(f *forge, signIn forgeCode, now time.Time) string {
	fill := f.placeholdersOf(signIn, now)
	header, claims := f.goodHeader(), f.goodClaims()
	for _, name := range v.HeaderWithout {
		header = header.without(name)
	}
	for _, name := range forgeNames(v.Header) {
		header = header.with(name, string(v.Header[name]))
	}
	for _, name := range v.ClaimsWithout {
		claims = claims.without(name)
	}
	for _, name := range forgeNames(v.Claims) {
		claims = claims.with(name, string(v.Claims[name]))
	}
	payload := claims.text(v.ClaimsMore)
	if v.Payload != "" {
		payload = forgeUnescape(v.Payload)
	}
	return forgeShape(f.tb, v.Shape, forgeSign(f.tb, fill(header.text(v.HeaderMore)), fill(payload), cmp.Or(v.Alg, "RS256"), cmp.Or(v.Key, "rsa-1")))
}

// forgeMembers makes members of names and raw values by turns.
func forgeMembers(pairs ...string) map[string]json.RawMessage {
	members := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		members[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return members
}

func forgeNames(members map[string]json.RawMessage) []string {
	var names []string
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// forgeUnescape turns "\xff" into the byte: what no JSON file can hold.
func forgeUnescape(s string) string {
	return regexp.MustCompile(`\\x[0-9a-f]{2}`).ReplaceAllStringFunc(s, func(match string) string {
		b, _ := strconv.ParseUint(match[2:], 16, 8)
		return string([]byte{byte(b)})
	})
}

// newForge makes the server of a vector, and an App to sign in with.
func (v *forgeVector) newForge(tb testing.TB) (*forge, *authcode.App) {
	tb.Helper()
	segment := cmp.Or(v.At, forgeTenant)
	if segment == "own" {
		segment = ""
	}
	f := newForge(tb, segment)
	if v.User == "foreign" {
		f.user.tid = forgeOther
	}
	if v.Published != nil {
		f.published = v.Published
	}
	f.mint = func(signIn forgeCode) string { return v.mint(f, signIn) }
	if v.IDToken != nil {
		f.mint = func(forgeCode) string { return "" }
		f.answerWith = func(answer map[string]any) {
			if string(v.IDToken) != `"absent"` {
				answer["id_token"] = v.IDToken
			}
		}
	}
	return f, f.newApp(&authcode.AppOptions{SignInTenants: v.SignInTenants})
}

func TestThreatsIDToken(t *testing.T) {
	for _, file := range forgeFiles[forgeVector](t, "idtoken/*.json") {
		t.Run(strconv.Itoa(file.Case), func(t *testing.T) {
			for _, v := range file.Vectors {
				t.Run(v.Name, func(t *testing.T) { v.run(t) })
			}
		})
	}
}

func (v *forgeVector) run(t *testing.T) {
	f, app := v.newForge(t)
	flow, callback := f.begin(app, nil)
	credential, err := app.Redeem(t.Context(), flow, callback)
	f.wantCount("token", 1)
	f.wantCount("keys", cmp.Or(v.KeyFetches, 1))
	if len(v.Error) > 0 {
		f.wantRefused(app, err, v.Error...)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := credential.Account(t.Context()); err != nil {
		t.Error(err)
	}
}

// wantRefused checks a refusal of what the server sent: it says why, repeats no secret, and leaves nothing behind.
func (f *forge) wantRefused(app *authcode.App, err error, words ...string) {
	f.tb.Helper()
	f.wantError(err, words...)
	if err == nil {
		return
	}
	if _, failed := errors.AsType[*authcode.AuthenticationFailedError](err); !failed {
		f.tb.Errorf("the error is %T, not an *AuthenticationFailedError: %v", err, err)
	}
	f.wantNothingKept(app)
}

// wantError checks that an error has the words and no secret.
func (f *forge) wantError(err error, words ...string) {
	f.tb.Helper()
	if err == nil {
		f.tb.Errorf("no error, want one with the words %q", words)
		return
	}
	for _, word := range words {
		if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(word)) {
			f.tb.Errorf("the error does not name %q: %v", word, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	forgeWantNoSecrets(f.tb, err, f.secrets)
}

// forgeWantNoSecrets looks for secrets in every way an error is printed.
func forgeWantNoSecrets(tb testing.TB, err error, secrets []string) {
	tb.Helper()
	asJSON, jsonErr := json.Marshal(err)
	if jsonErr != nil {
		tb.Errorf("the error cannot be marshalled: %v", jsonErr)
	}
	text := fmt.Sprintf("%v\n%+v\n%#v\n%q\n%s", err, err, err, err, asJSON)
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += "\n" + e.Error()
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(text, secret) {
			tb.Errorf("the error repeats the secret %.40q: %v", secret, err)
		}
	}
}

// wantNothingKept asks for the account under every name a server could have given it: none may be known, and no request
// may be made to find out.
func (f *forge) wantNothingKept(app *authcode.App) {
	f.tb.Helper()
	before := f.count("token")
	for _, user := range []forgeUser{f.user, forgeNewUser("victim")} {
		for _, accountID := range []string{user.home(), user.oid + "." + forgeTenant, user.oid + "." + forgeOther, user.sub + "@" + f.issuer(user.tid)} {
			_, err := app.Credential(accountID).GetToken(context.Background(), tokenFor(graphScope))
			if _, required := errors.AsType[*authcode.AuthenticationRequiredError](err); !required || !errors.Is(err, authcode.ErrUnknownAccount) {
				f.tb.Errorf("something was kept for %s: %v", accountID, err)
			}
		}
	}
	f.wantCount("token", before)
}

// TestThreatsImportedIDToken: an imported refresh token's ID token is verified as well, though there is no nonce.
func TestThreatsImportedIDToken(t *testing.T) {
	for name, v := range map[string]*forgeVector{
		"audience":  {Claims: forgeMembers("aud", `"$other"`)},
		"signature": {Key: "rsa-2"},
		"tenant":    {Claims: forgeMembers("tid", `"$other"`)},
		"issuer":    {Claims: forgeMembers("iss", `"https://sts.windows.net/$tenant/"`)},
		"algorithm": {Alg: "none", Header: forgeMembers("alg", `"none"`)},
		"(exp)":     {Claims: forgeMembers("exp", `"$now-310"`)},
	} {
		t.Run(name, func(t *testing.T) {
			f, app := v.newForge(t)
			f.grants["theirs"] = &forgeCode{user: f.user, query: url.Values{}}
			_, err := app.ImportRefreshToken(t.Context(), "theirs", graphScope)
			f.wantCount("token", 1)
			f.wantRefused(app, err, name)
		})
	}
	t.Run("good", func(t *testing.T) {
		f, app := (&forgeVector{}).newForge(t)
		f.grants["theirs"] = &forgeCode{user: f.user, query: url.Values{}}
		credential, err := app.ImportRefreshToken(t.Context(), "theirs", graphScope)
		if err != nil {
			t.Fatal(err)
		}
		if app.Credential(f.user.home()) != credential {
			t.Error("the account is another")
		}
	})
}

// TestThreatsIDTokenEchoesSecrets: a server knows the secret, the code, the verifier and the tokens, and a refusal that
// quotes its ID token must not repeat them (row 9 of the threats).
func TestThreatsIDTokenEchoesSecrets(t *testing.T) {
	for _, secret := range []string{"$secret", "$code", "$verifier", "$access"} {
		value := strconv.Quote(secret)
		for _, claim := range []string{"aud", "azp", "exp", "iss", "oid", "sub", "tid"} {
			t.Run(secret+" as "+claim, func(t *testing.T) {
				v := &forgeVector{Claims: forgeMembers(claim, value), ClaimsWithout: []string{"nonce"}}
				f, app := v.newForge(t)
				flow, callback := f.begin(app, nil)
				_, err := app.Redeem(t.Context(), flow, callback)
				f.wantError(err)
			})
		}
		t.Run(secret+" as a claim's name, twice", func(t *testing.T) {
			v := &forgeVector{ClaimsMore: value + `:1,` + value + `:2`}
			f, app := v.newForge(t)
			flow, callback := f.begin(app, nil)
			_, err := app.Redeem(t.Context(), flow, callback)
			f.wantError(err, "twice")
		})
		for _, member := range []string{"alg", "kid"} {
			t.Run(secret+" as "+member, func(t *testing.T) {
				v := &forgeVector{Header: forgeMembers(member, value)}
				f, app := v.newForge(t)
				flow, callback := f.begin(app, nil)
				_, err := app.Redeem(t.Context(), flow, callback)
				f.wantError(err)
			})
		}
	}
}

// TestThreatsIDTokenOfAnotherFlow: a server that checks no PKCE takes a stolen code from anyone; the nonce still tells whose
// sign-in it was (OpenID Connect Core 1.0 section 3.1.2.1).
func TestThreatsIDTokenOfAnotherFlow(t *testing.T) {
	f := newForge(t, forgeTenant)
	app := f.newApp(nil)
	_, stolen := f.begin(app, nil)
	flow, callback := f.begin(app, nil)
	f.codes[stolen.Get("code")].query.Set("code_challenge", f.codes[callback.Get("code")].query.Get("code_challenge"))
	callback.Set("code", stolen.Get("code"))
	_, err := app.Redeem(t.Context(), flow, callback)
	f.wantCount("token", 1)
	f.wantRefused(app, err, "nonce")
}
