package authcode_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
)

// answersSpec says what the token endpoint answers: a text of its own, or the emulator's answer changed, where the ID token
// has to be genuine.
type answersSpec struct {
	Body       *string         `json:"body"`
	BodyBase64 []byte          `json:"bodyBase64"`
	Edit       *answersEdit    `json:"edit"`
	Generate   *answersNesting `json:"generate"`
	Header     http.Header     `json:"header"` // an empty list removes one
	Length     string          `json:"length"` // "unknown": the answer does not say how long it is
	Status     int             `json:"status"` // 0: 200
}

// answersEdit changes the members of a real answer; their values are JSON, valid or not.
type answersEdit struct {
	Append string            `json:"append"` // more members
	Prefix string            `json:"prefix"`
	Remove []string          `json:"remove"`
	Repeat *answersRepeat    `json:"repeat"`
	Set    map[string]string `json:"set"`
	Suffix string            `json:"suffix"`
}

type answersRepeat struct {
	Member string `json:"member"`
	Text   string `json:"text"`
	Times  int    `json:"times"`
}

// answersNesting is prefix, text and then as often as it says with middle between them, suffix.
type answersNesting struct {
	Middle string `json:"middle"`
	Prefix string `json:"prefix"`
	Suffix string `json:"suffix"`
	Text   string `json:"text"`
	Then   string `json:"then"`
	Times  int    `json:"times"`
}

// answersWant is what becomes of an answer. The last three say what is different on one route.
type answersWant struct {
	Claims    string   `json:"claims"` // that the user's sign-in must meet
	Code      string   `json:"code"`
	Grant     string   `json:"grant"`   // "": a refresh leaves it as it is; "marked": sign-in required
	Granted   *string  `json:"granted"` // the scope that OnEvent is told
	Lifetime  int      `json:"lifetime"`
	More      int      `json:"more"`    // POSTs that the next two calls cause: 0, the code is spent; 1, the answer was lost; 2, it was not looked at
	Never     []string `json:"never"`   // what no error may say
	Outcome   string   `json:"outcome"` // token, failed, required, lost
	Posts     int      `json:"posts"`   // of the call itself; 0: one
	RefreshOn bool     `json:"refreshOn"`
	STSCodes  []int    `json:"stsCodes"`
	Text      []string `json:"text"`

	App     json.RawMessage `json:"app"`
	Redeem  json.RawMessage `json:"redeem"`
	Refresh json.RawMessage `json:"refresh"`
}

type answersVector struct {
	Answer answersSpec `json:"answer"`
	Name   string      `json:"name"`
	Own    bool        `json:"own"`    // the server is one of own Endpoints
	Routes []string    `json:"routes"` // redeem, app, refresh; empty: all
	Want   answersWant `json:"want"`
}

func (v *answersVector) want(t *testing.T, route string) answersWant {
	t.Helper()
	want := v.Want
	if other := map[string]json.RawMessage{"app": v.Want.App, "redeem": v.Want.Redeem, "refresh": v.Want.Refresh}[route]; other != nil {
		if err := constructionUnmarshal(other, &want); err != nil {
			t.Fatal(err)
		}
	}
	want.Posts = cmp.Or(want.Posts, 1)
	return want
}

// answer makes the answer to a request; real is what the emulator says to it.
func (s *answersSpec) answer(req *http.Request, real func() (*http.Response, error)) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	var body []byte
	switch {
	case s.Body != nil:
		body = []byte(*s.Body)
	case s.BodyBase64 != nil:
		body = s.BodyBase64
	case s.Generate != nil:
		g := s.Generate
		body = []byte(g.Prefix + strings.Repeat(g.Text, g.Times) + g.Middle + strings.Repeat(g.Then, g.Times) + g.Suffix)
	case s.Edit != nil:
		resp, err := real()
		if err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(resp.Body); err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the emulator refused: %s", body)
		}
		header = resp.Header.Clone()
		header.Del("Content-Length")
		if body, err = s.Edit.apply(body); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("the vector has no answer")
	}
	for name, values := range s.Header {
		header.Del(name)
		for _, value := range values {
			header.Add(name, value)
		}
	}
	resp := answersResponse(req, cmp.Or(s.Status, http.StatusOK), header, body)
	if s.Length == "unknown" {
		resp.ContentLength = -1
	}
	return resp, nil
}

func (e *answersEdit) apply(body []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	for _, name := range e.Remove {
		delete(members, name)
	}
	for name, value := range e.Set {
		members[name] = json.RawMessage(value)
	}
	if r := e.Repeat; r != nil {
		members[r.Member] = json.RawMessage(`"` + strings.Repeat(r.Text, r.Times) + `"`)
	}
	parts := []string{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		parts = append(parts, strconv.Quote(name)+":"+string(members[name])) // as it stands: a value may be broken JSON
	}
	if e.Append != "" {
		parts = append(parts, e.Append)
	}
	return []byte(e.Prefix + "{" + strings.Join(parts, ",") + "}" + e.Suffix), nil
}

func answersResponse(req *http.Request, status int, header http.Header, body []byte) *http.Response {
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}

// answersFunc makes the answer to a token request.
type answersFunc func(req *http.Request, real func() (*http.Response, error)) (*http.Response, error)

// answersTransport leads to an emulator and comes between it and its token endpoint. It counts what was posted and remembers
// the secrets in it.
type answersTransport struct {
	emulator http.RoundTripper

	mu      sync.Mutex
	fault   answersFunc // nil: none
	times   int         // how many requests it still befalls
	posts   int
	secrets map[string]bool
	issued  []byte // the last answer of the emulator
	sent    url.Values
}

func (a *answersTransport) Do(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPost {
		return a.emulator.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	fault := a.note(form)
	real := func() (*http.Response, error) {
		again := req.Clone(req.Context())
		again.Body = io.NopCloser(bytes.NewReader(body))
		resp, err := a.emulator.RoundTrip(again)
		if err != nil {
			return nil, err
		}
		resp.Request = req
		return a.keep(resp)
	}
	if fault == nil {
		return real()
	}
	return fault(req, real)
}

func (a *answersTransport) note(form url.Values) answersFunc {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.posts++
	a.sent = form
	for _, name := range []string{"code", "code_verifier", "client_secret", "refresh_token", "client_assertion"} {
		if value := form.Get(name); value != "" {
			a.secrets[value] = true
		}
	}
	if a.fault == nil || a.times == 0 {
		return nil
	}
	a.times--
	return a.fault
}

// keep reads an answer of the emulator, for those who want to look at it or give it to another.
func (a *answersTransport) keep(resp *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		a.mu.Lock()
		a.issued = body
		a.mu.Unlock()
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp, err
}

// inject lets answers of a function befall the next requests, as many as times says; negative: all.
func (a *answersTransport) inject(times int, f answersFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault, a.times = f, times
}

func (a *answersTransport) heal() { a.inject(0, nil) }

// count gives how many POSTs there were since the last count.
func (a *answersTransport) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.posts
	a.posts = 0
	return n
}

func (a *answersTransport) lastIssued() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.issued
}

func (a *answersTransport) allSecrets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.secrets))
}

// answersWorld is an emulator with such a transport.
type answersWorld struct {
	*entra
	*answersTransport
	events atomic.Pointer[authcode.Event] // the last one
}

func newAnswersWorld(t *testing.T, options *entratest.Options) *answersWorld {
	t.Helper()
	e := newEntra(t, options)
	return &answersWorld{entra: e, answersTransport: &answersTransport{emulator: e.Transport(), secrets: make(map[string]bool)}}
}

func (w *answersWorld) clientOptions() azcore.ClientOptions {
	client := w.client()
	client.Transport = w.answersTransport
	return client
}

func (w *answersWorld) ownEndpoints() *authcode.Endpoints {
	base := w.URL() + "/" + w.tenant.ID
	return &authcode.Endpoints{Authorize: base + "/oauth2/v2.0/authorize", Token: base + "/oauth2/v2.0/token"}
}

func (w *answersWorld) credential(user string, own bool) *authcode.AuthorizationCodeCredential {
	options := &authcode.AuthorizationCodeCredentialOptions{ClientOptions: w.clientOptions()}
	if own {
		options.Endpoints = w.ownEndpoints()
	}
	return w.newCredential(user, options)
}

func (w *answersWorld) application() *authcode.App {
	return w.newApp(&authcode.AppOptions{ClientOptions: w.clientOptions(), OnEvent: func(_ context.Context, event authcode.Event) { w.events.Store(&event) }})
}

// answersCheck holds an outcome to what is wanted of it.
func (w *answersWorld) answersCheck(t *testing.T, want *answersWant, token azcore.AccessToken, err error) {
	t.Helper()
	if posts := w.count(); posts != want.Posts {
		t.Errorf("%d POSTs, want %d", posts, want.Posts)
	}
	if want.Outcome == "token" {
		if err != nil {
			t.Fatalf("no token: %v", err)
		}
		want.checkToken(t, token)
		return
	}
	if token.Token != "" {
		t.Error("there is a token beside the error")
	}
	want.checkError(t, err, w.allSecrets())
}

func (want *answersWant) checkToken(t *testing.T, token azcore.AccessToken) {
	t.Helper()
	if token.Token == "" || strings.ContainsFunc(token.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		t.Errorf("token %.20q cannot stand in a header", token.Token)
	}
	now := time.Now() // a bubble's: no time has passed since the answer
	lifetime := time.Duration(want.Lifetime) * time.Second
	if got := token.ExpiresOn.Sub(now); got != lifetime {
		t.Errorf("expires in %s, want %s", got, lifetime)
	}
	if want.RefreshOn { // as if there were no hint: five minutes early, and up to 5 % of the life earlier than that
		latest := lifetime - 5*time.Minute
		if got := token.RefreshOn.Sub(now); got > latest || got < latest-lifetime/20 {
			t.Errorf("to be refreshed in %s, want %s or a little less", got, latest)
		}
	}
}

func (want *answersWant) checkError(t *testing.T, err error, secrets []string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	failed, isFailed := errors.AsType[*authcode.AuthenticationFailedError](err)
	required, isRequired := errors.AsType[*authcode.AuthenticationRequiredError](err)
	isLost := strings.Contains(err.Error(), "was lost")
	switch want.Outcome {
	case "failed":
		if !isFailed || isRequired || isLost {
			t.Errorf("%T %v, want an AuthenticationFailedError with an answer", err, err)
		}
	case "lost":
		if !isFailed || isRequired || !isLost {
			t.Errorf("%T %v, want an AuthenticationFailedError that names the lost answer", err, err)
		}
	case "required":
		if !isRequired || isLost {
			t.Errorf("%T %v, want an AuthenticationRequiredError", err, err)
		} else if required.Claims != want.Claims {
			t.Errorf("claims %q, want %q", required.Claims, want.Claims)
		}
	default:
		t.Fatalf("unknown outcome %q", want.Outcome)
	}
	if want.Code != "" && (!isFailed || failed.Code != want.Code) {
		t.Errorf("%v: code is not %q", err, want.Code)
	}
	if want.STSCodes != nil && (!isFailed || !slices.Equal(failed.STSCodes, want.STSCodes)) {
		t.Errorf("%v: numbers are not %v", err, want.STSCodes)
	}
	for _, part := range want.Text {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	answersWantSafe(t, err, secrets, want.Never...)
}

// answersWantSafe searches an error, all it wraps, all ways to print it and its copy of the answer for secrets, and wants its
// text in one line without anything that steers a terminal. What it may never say may stand in the copy of the answer.
func answersWantSafe(t *testing.T, err error, secrets []string, never ...string) {
	t.Helper()
	text := err.Error()
	if strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
	}) || !utf8.ValidString(text) {
		t.Errorf("error %q holds control characters or is not UTF-8", text)
	}
	if n := utf8.RuneCountInString(text); n > 2000 {
		t.Errorf("error of %d characters", n)
	}
	var leaks, slips []string
	for where, said := range answersSaid(t, err) {
		if slices.ContainsFunc(secrets, func(secret string) bool { return len(secret) >= 4 && strings.Contains(said, secret) }) {
			leaks = append(leaks, where)
		}
		if where != "RawResponse" && slices.ContainsFunc(never, func(text string) bool { return strings.Contains(said, text) }) {
			slips = append(slips, where)
		}
	}
	slices.Sort(leaks)
	slices.Sort(slips)
	if leaks != nil {
		t.Errorf("a secret shows in %q of the error %.300q", leaks, text)
	}
	if slips != nil {
		t.Errorf("what may not be repeated shows in %q of the error %.300q", slips, text)
	}
}

// answersSaid is everything an error can be made to say.
func answersSaid(t *testing.T, err error) map[string]string {
	t.Helper()
	said := make(map[string]string)
	asJSON, _ := json.Marshal(err)
	said["JSON"] = string(asJSON)
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("failed", "error", err)
	said["log"] = logged.String()
	queue := []error{err}
	for depth := 0; len(queue) > 0 && depth < 50; depth++ {
		e := queue[0]
		queue = queue[1:]
		said[fmt.Sprintf("text (%d, %T)", depth, e)] = fmt.Sprintf("%v\n%+v\n%#v\n%q", e, e, e, e)
		switch wrapper := e.(type) {
		case interface{ Unwrap() error }:
			if inner := wrapper.Unwrap(); inner != nil {
				queue = append(queue, inner)
			}
		case interface{ Unwrap() []error }:
			queue = append(queue, wrapper.Unwrap()...)
		}
	}
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err)
	if !ok || failed.RawResponse == nil {
		return said
	}
	raw := failed.RawResponse
	first, err1 := io.ReadAll(raw.Body)
	second, err2 := io.ReadAll(raw.Body)
	if err1 != nil || err2 != nil || !bytes.Equal(first, second) {
		t.Errorf("RawResponse cannot be read again: %v, %v", err1, err2)
	}
	said["RawResponse"] = fmt.Sprintf("%s\n%v\n%s", raw.Status, raw.Header, first)
	if raw.Request != nil {
		if raw.Request.Body != nil || raw.Request.Header.Get("Authorization") != "" {
			t.Error("RawResponse.Request has a body or credentials")
		}
		said["RawResponse.Request"] = fmt.Sprintf("%s %v", raw.Request.URL, raw.Request.Header)
	}
	return said
}

// redeem gives the answer to a plain credential's code.
func (v *answersVector) redeem(t *testing.T) {
	w := newAnswersWorld(t, nil)
	want := v.want(t, "redeem")
	c := w.credential(alice, v.Own)
	w.inject(-1, v.Answer.answer)
	token, err := c.GetToken(t.Context(), tokenFor(graphScope))
	w.answersCheck(t, &want, token, err)
	if want.Outcome == "token" {
		for range 2 {
			if again := mustToken(t, c, tokenFor(graphScope)); again != token {
				t.Error("another token")
			}
		}
		if posts := w.count(); posts != 0 {
			t.Errorf("%d POSTs for a token that is cached", posts)
		}
		return
	}
	_, second := c.GetToken(t.Context(), tokenFor(storageScope))
	_, third := c.GetToken(t.Context(), tokenFor(graphScope))
	want.checkMore(t, w, err, second, third)
	v.redeemAfter(t, w, &want)
}

// checkMore holds the next two calls with a code, while the server goes on answering the same, to what is left of the code.
func (want *answersWant) checkMore(t *testing.T, w *answersWorld, err, second, third error) {
	t.Helper()
	if more := w.count(); more != want.More {
		t.Errorf("%d POSTs in the next two calls, want %d", more, want.More)
	}
	for _, again := range []error{second, third} {
		if again == nil {
			t.Error("a later call has a token")
		} else if want.More == 0 && again != err {
			t.Errorf("a later call gives another error: %v", again)
		} else {
			answersWantSafe(t, again, w.allSecrets(), want.Never...)
		}
	}
	if want.More == 1 && !strings.Contains(third.Error(), "an earlier answer for this code was lost") {
		t.Errorf("the last word on the code does not name the lost answer: %v", third)
	}
}

// redeemAfter has the answer come once, and the server be itself again: a code that was kept works.
func (v *answersVector) redeemAfter(t *testing.T, w *answersWorld, want *answersWant) {
	t.Helper()
	c := w.credential(alice, v.Own)
	w.inject(1, v.Answer.answer)
	_, first := c.Account(t.Context())
	w.count()
	token, err := c.GetToken(t.Context(), tokenFor(graphScope))
	switch posts := w.count(); {
	case want.More > 0 && (err != nil || posts != 1 || token.Token == ""):
		t.Errorf("the code was not kept: %d POSTs, %v", posts, err)
	case want.More == 0 && (err != first || posts != 0):
		t.Errorf("the code was kept: %d POSTs, %v", posts, err)
	}
}

// app gives the answer to App.Redeem, for a user who is signed in already.
func (v *answersVector) app(t *testing.T) {
	w := newAnswersWorld(t, nil)
	want := v.want(t, "app")
	app := w.application()
	before := w.signIn(app, alice, graphScope)
	had := mustToken(t, before, tokenFor(graphScope))
	flow, callback := w.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
	w.count()
	w.inject(-1, v.Answer.answer)
	c, err := app.Redeem(t.Context(), flow, callback)
	if want.Outcome == "token" {
		if err != nil {
			t.Fatalf("not signed in: %v", err)
		}
		token, err := c.GetToken(t.Context(), tokenFor(graphScope))
		w.answersCheck(t, &want, token, err)
		if token.Token == had.Token {
			t.Error("the token is the one from before")
		}
		w.wantGranted(t, &want)
		return
	}
	if c != nil {
		t.Error("there is a credential beside the error")
	}
	w.answersCheck(t, &want, azcore.AccessToken{}, err)
	_, second := app.Redeem(t.Context(), flow, callback)
	_, third := app.Redeem(t.Context(), flow, callback)
	want.checkMore(t, w, err, second, third)
	w.heal()
	if token := mustToken(t, before, tokenFor(graphScope)); token != had || w.count() != 0 {
		t.Error("the grant from before has changed")
	}
	mustToken(t, before, tokenFor(storageScope))
	w.count()
	flow, callback = w.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
	w.inject(1, v.Answer.answer)
	_, first := app.Redeem(t.Context(), flow, callback)
	w.count()
	c, err = app.Redeem(t.Context(), flow, callback)
	switch posts := w.count(); {
	case want.More > 0 && (err != nil || posts != 1 || c == nil):
		t.Errorf("the same callback cannot be redeemed again: %d POSTs, %v", posts, err)
	case want.More == 0 && (err != first || posts != 0):
		t.Errorf("the same callback is redeemed again: %d POSTs, %v", posts, err)
	}
}

func (w *answersWorld) wantGranted(t *testing.T, want *answersWant) {
	t.Helper()
	if event := w.events.Load(); want.Granted != nil && (event == nil || event.GrantedScope != *want.Granted) {
		t.Errorf("event %+v, want the granted scope %q", event, *want.Granted)
	}
}

// refresh gives the answer to the refresh of a grant that is held.
func (v *answersVector) refresh(t *testing.T) {
	w := newAnswersWorld(t, nil)
	want := v.want(t, "refresh")
	user := func(name string) *authcode.AuthorizationCodeCredential { return w.credential(name, true) }
	if !v.Own {
		app := w.application()
		user = func(name string) *authcode.AuthorizationCodeCredential { return w.signIn(app, name, graphScope) }
	}
	c, other := user(alice), user(bob)
	had := mustToken(t, c, tokenFor(graphScope))
	mustToken(t, other, tokenFor(graphScope))
	w.count()
	w.inject(-1, v.Answer.answer)
	token, err := c.GetToken(t.Context(), tokenFor(storageScope))
	w.answersCheck(t, &want, token, err)
	w.wantGranted(t, &want)
	if want.Outcome == "token" {
		if again := mustToken(t, c, tokenFor(storageScope)); again != token || w.count() != 0 {
			t.Error("the token was not kept")
		}
	}
	w.heal()
	if token := mustToken(t, c, tokenFor(graphScope)); token != had || w.count() != 0 {
		t.Error("the token that was held is gone")
	}
	mustToken(t, other, tokenFor(storageScope))
	w.count()
	_, err = c.GetToken(t.Context(), tokenFor(vaultScope))
	switch posts := w.count(); {
	case want.Grant == "marked":
		if _, ok := errors.AsType[*authcode.AuthenticationRequiredError](err); !ok || posts != 0 {
			t.Errorf("a dead refresh token: %v, %d POSTs", err, posts)
		}
	case err != nil || posts != 1:
		t.Errorf("the grant was not kept: %v, %d POSTs", err, posts)
	}
	if want.Outcome != "token" && want.Grant == "" { // nothing was cached of it
		mustToken(t, c, tokenFor(storageScope))
		if posts := w.count(); posts != 1 {
			t.Errorf("%d POSTs for what was refused before", posts)
		}
	}
}

func TestTokenAnswers(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "answers", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if name == answersRetryAfter {
			continue // its own kind of vector
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			number, _, _ := strings.Cut(name, "-")
			for _, vector := range answersVectors(t, file) {
				routes := vector.Routes
				if routes == nil {
					routes = []string{"redeem", "app", "refresh"}
				}
				for _, route := range routes {
					run, ok := map[string]func(*answersVector, *testing.T){
						"redeem": (*answersVector).redeem, "app": (*answersVector).app, "refresh": (*answersVector).refresh,
					}[route]
					if !ok {
						t.Fatalf("unknown route %q", route)
					}
					t.Run(number+" "+vector.Name+"/"+route, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { run(&vector, t) })
					})
				}
			}
		})
	}
}

func answersVectors(t testing.TB, file string) []answersVector {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		About   string          `json:"about"`
		Vectors []answersVector `json:"vectors"`
	}
	if err := constructionUnmarshal(data, &vectors); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return vectors.Vectors
}

const answersRetryAfter = "62-retry-after"

// answersScript is a Transporter of its own: the test is the server.
type answersScript func(*http.Request) (*http.Response, error)

func (s answersScript) Do(req *http.Request) (*http.Response, error) { return s(req) }

const answersGood = `{"token_type":"Bearer","x":"ü","expires_in":3600,"access_token":"answers-issued-token","refresh_token":"answers-issued-refresh"}`

func answersJSON(req *http.Request, status int, body string) *http.Response {
	return answersResponse(req, status, http.Header{"Content-Type": {"application/json"}}, []byte(body))
}

// answersCredential is a plain credential whose server the test plays.
func answersCredential(t *testing.T, client azcore.ClientOptions) *authcode.AuthorizationCodeCredential {
	t.Helper()
	if client.Cloud.ActiveDirectoryAuthorityHost == "" {
		client.Cloud.ActiveDirectoryAuthorityHost = constructionHost
	}
	c, err := authcode.NewAuthorizationCodeCredential(constructionTenant, constructionClientID, constructionCode, redirectURI, &authcode.AuthorizationCodeCredentialOptions{ClientOptions: client, ClientSecret: constructionSecret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var answersSecrets = []string{constructionCode, constructionSecret, "answers-issued-refresh", "answers-issued-token"}

// answersWantError is checkError for tests that play the server themselves.
func answersWantError(t *testing.T, err error, outcome string, texts ...string) {
	t.Helper()
	(&answersWant{Outcome: outcome, Text: texts}).checkError(t, err, answersSecrets)
}

func TestAGrantWithoutRefreshTokenEndsWithItsToken(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]func(*answersWorld) *authcode.AuthorizationCodeCredential{
		"40 plain": func(w *answersWorld) *authcode.AuthorizationCodeCredential { return w.credential(alice, false) },
		"40 app": func(w *answersWorld) *authcode.AuthorizationCodeCredential {
			return w.signIn(w.application(), alice, graphScope)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newAnswersWorld(t, nil)
				w.inject(1, (&answersSpec{Edit: &answersEdit{Remove: []string{"refresh_token"}}}).answer)
				c := get(w)
				token := mustToken(t, c, tokenFor(graphScope))
				w.count()
				want := answersWant{Outcome: "required", Text: []string{"offline_access"}}
				// Another scope cannot be had now, and the one that can stays.
				_, err := c.GetToken(t.Context(), tokenFor(storageScope))
				want.checkError(t, err, w.allSecrets())
				time.Sleep(58 * time.Minute)
				if again := mustToken(t, c, tokenFor(graphScope)); again != token {
					t.Error("another token")
				}
				time.Sleep(2 * time.Minute)
				_, err = c.GetToken(t.Context(), tokenFor(graphScope))
				want.checkError(t, err, w.allSecrets())
				if required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err); !ok || required.AccountID == "" || !slices.Equal(required.Scopes, []string{graphScope}) {
					t.Errorf("%+v does not say who must sign in for what", required)
				}
				if posts := w.count(); posts != 0 {
					t.Errorf("%d POSTs that cannot succeed", posts)
				}
			})
		})
	}
}

func TestRefreshTokensThatStayOrChangeAreSentNext(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(sent string) *answersEdit{
		"41 none": func(string) *answersEdit { return &answersEdit{Remove: []string{"refresh_token"}} },
		"42 the same": func(sent string) *answersEdit {
			return &answersEdit{Set: map[string]string{"refresh_token": strconv.Quote(sent)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newAnswersWorld(t, nil)
				c := w.credential(alice, false)
				mustToken(t, c, tokenFor(graphScope))
				w.inject(-1, func(req *http.Request, real func() (*http.Response, error)) (*http.Response, error) {
					return (&answersSpec{Edit: edit(w.lastSent("refresh_token"))}).answer(req, real)
				})
				var sent []string
				w.count()
				for _, scope := range []string{storageScope, vaultScope, armScope, mailScope} {
					mustToken(t, c, tokenFor(scope))
					sent = append(sent, w.lastSent("refresh_token"))
				}
				if posts := w.count(); posts != 4 {
					t.Errorf("%d POSTs for four tokens", posts)
				}
				if sent = slices.Compact(sent); len(sent) != 1 || sent[0] == "" {
					t.Errorf("%d refresh tokens were sent, want the one", len(sent))
				}
				for _, scope := range []string{storageScope, vaultScope, armScope, mailScope, graphScope} {
					mustToken(t, c, tokenFor(scope))
				}
				if posts := w.count(); posts != 0 {
					t.Errorf("%d POSTs for tokens that are cached", posts)
				}
			})
		})
	}
}

// lastSent is a field of the last form that was posted.
func (a *answersTransport) lastSent(field string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent.Get(field)
}

// answersCut is an answer that ends after n bytes.
type answersCut struct {
	name   string
	from   int  // the fewest bytes: an empty body whose length nobody said is just an empty one
	length bool // the whole length was promised
	end    error
}

func (cut answersCut) response(req *http.Request, n int) *http.Response {
	resp := answersJSON(req, http.StatusOK, answersGood)
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(answersGood[:n]), answersEnd{cut.end}))
	if !cut.length {
		resp.ContentLength = -1
	}
	return resp
}

type answersEnd struct{ err error }

func (e answersEnd) Read([]byte) (int, error) { return 0, e.err }

func TestTruncatedAnswersAreLost(t *testing.T) {
	t.Parallel()
	for _, cut := range []answersCut{
		{"46 length promised, connection cut", 0, true, io.ErrUnexpectedEOF},
		{"46 no length, connection cut", 0, false, io.ErrUnexpectedEOF},
		{"46 no length, connection closed", 1, false, io.EOF},
	} {
		t.Run(cut.name+"/redeem", func(t *testing.T) {
			t.Parallel()
			for n := cut.from; n < len(answersGood); n++ {
				t.Run("byte "+strconv.Itoa(n), func(t *testing.T) { cut.redeem(t, n) })
			}
		})
		t.Run(cut.name+"/refresh", func(t *testing.T) {
			t.Parallel()
			for n := cut.from; n < len(answersGood); n++ {
				t.Run("byte "+strconv.Itoa(n), func(t *testing.T) { cut.refresh(t, n) })
			}
		})
	}
}

func (cut answersCut) redeem(t *testing.T, n int) {
	posts := 0
	c := answersCredential(t, azcore.ClientOptions{Transport: answersScript(func(req *http.Request) (*http.Response, error) {
		if posts++; posts == 1 {
			return cut.response(req, n), nil
		}
		return answersJSON(req, http.StatusBadRequest, `{"error":"invalid_grant","error_description":"AADSTS54005: already redeemed","error_codes":[54005]}`), nil
	})})
	_, err := c.GetToken(t.Context(), tokenFor(graphScope))
	answersWantError(t, err, "lost", "kept for one more")
	if posts != 1 {
		t.Errorf("%d POSTs in the call, want 1", posts)
	}
	_, second := c.GetToken(t.Context(), tokenFor(graphScope))
	(&answersWant{Outcome: "failed", Code: "invalid_grant"}).checkLostGrant(t, second)
	_, third := c.GetToken(t.Context(), tokenFor(graphScope))
	if third != second || posts != 2 {
		t.Errorf("the second word was not the last: %d POSTs, %v", posts, third)
	}
}

// checkLostGrant wants the refusal of a code whose answer was lost before: the user must sign in, and the text says why.
func (want *answersWant) checkLostGrant(t *testing.T, err error) {
	t.Helper()
	required, ok := errors.AsType[*authcode.AuthenticationRequiredError](err)
	failed, ok2 := errors.AsType[*authcode.AuthenticationFailedError](err)
	if !ok || !ok2 || failed.Code != want.Code || required == nil {
		t.Errorf("%T %v, want %s inside an AuthenticationRequiredError", err, err, want.Code)
		return
	}
	if !strings.Contains(err.Error(), "an earlier answer for this code was lost") {
		t.Errorf("error %q does not name the lost answer", err)
	}
	answersWantSafe(t, err, answersSecrets)
}

func (cut answersCut) refresh(t *testing.T, n int) {
	posts := 0
	c := answersCredential(t, azcore.ClientOptions{Transport: answersScript(func(req *http.Request) (*http.Response, error) {
		if posts++; posts == 2 {
			return cut.response(req, n), nil
		}
		return answersJSON(req, http.StatusOK, answersGood), nil
	})})
	mustToken(t, c, tokenFor(graphScope))
	_, err := c.GetToken(t.Context(), tokenFor(storageScope))
	answersWantError(t, err, "lost")
	mustToken(t, c, tokenFor(graphScope))
	if posts != 2 {
		t.Errorf("%d POSTs, want 2", posts)
	}
	mustToken(t, c, tokenFor(storageScope))
}

func TestTruncatedAnswersOfARealSignInAreLost(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 100, 1000, 2000} {
		t.Run("46 App.Redeem, byte "+strconv.Itoa(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newAnswersWorld(t, nil)
				app := w.application()
				flow, callback := w.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
				w.Inject(entratest.Fault{TruncateAt: n, Times: 1})
				c, err := app.Redeem(t.Context(), flow, callback)
				if c != nil {
					t.Error("there is a credential beside the error")
				}
				w.answersCheck(t, &answersWant{Outcome: "lost", Posts: 1, Text: []string{"the code is kept for one more"}}, azcore.AccessToken{}, err)
				// The server has processed it, and says so.
				_, err = app.Redeem(t.Context(), flow, callback)
				(&answersWant{Code: "invalid_grant"}).checkLostGrant(t, err)
				if _, again := app.Redeem(t.Context(), flow, callback); again != err || w.count() != 1 {
					t.Errorf("the second word was not the last: %v", again)
				}
			})
		})
	}
}

// answersServer is a TLS server and a client with the limits of the default one.
type answersServer struct {
	*httptest.Server
	transport *http.Transport
	posts     atomic.Int32
}

func newAnswersServer(t *testing.T, http2 bool, handler func(http.ResponseWriter, *http.Request)) *answersServer {
	t.Helper()
	s := &answersServer{transport: authcode.AnswersDefaultTransport()}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		s.posts.Add(1)
		handler(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // clients that leave are what is tested
	s.EnableHTTP2 = http2
	s.StartTLS()
	s.transport.TLSClientConfig.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	t.Cleanup(func() {
		s.transport.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *answersServer) clientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: s.URL},
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Transport: &http.Client{Transport: s.transport},
	}
}

// count gives how many POSTs there were since the last count.
func (s *answersServer) count() int { return int(s.posts.Swap(0)) }

func answersProtocols(t *testing.T, run func(t *testing.T, http2 bool)) {
	t.Helper()
	t.Run("HTTP1", func(t *testing.T) { run(t, false) })
	t.Run("HTTP2", func(t *testing.T) { run(t, true) })
}

// answersHijack takes over the connection of a request, to write what no handler would.
func answersHijack(w http.ResponseWriter, write func(net.Conn)) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer func() { _ = connection.Close() }()
	write(connection)
}

func TestTruncatedAnswersOfARealConnectionAreLost(t *testing.T) {
	t.Parallel()
	var at atomic.Int32
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, write := range map[string]func(http.ResponseWriter, int){
		"46 Content-Length cut short": func(w http.ResponseWriter, n int) {
			answersHijack(w, func(c net.Conn) {
				_, _ = fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(answersGood), answersGood[:n])
			})
		},
		"46 chunks without the last": func(w http.ResponseWriter, n int) {
			answersHijack(w, func(c net.Conn) {
				_, _ = fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\n", head)
				if n > 0 {
					_, _ = fmt.Fprintf(c, "%x\r\n%s\r\n", n, answersGood[:n])
				}
			})
		},
		"46 headers cut short": func(w http.ResponseWriter, n int) {
			answersHijack(w, func(c net.Conn) { _, _ = io.WriteString(c, head[:min(n, len(head))]) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAnswersServer(t, false, func(w http.ResponseWriter, _ *http.Request) { write(w, int(at.Load())) })
			step := 1
			if name != "46 Content-Length cut short" {
				step = 7 // each is three connections
			}
			for n := 0; n < len(answersGood); n += step {
				at.Store(int32(n))
				answersLostOnce(t, s, "byte "+strconv.Itoa(n))
			}
		})
	}
	t.Run("46 HTTP2 stream cut", func(t *testing.T) {
		s := newAnswersServer(t, true, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answersGood[:at.Load()])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		for n := range len(answersGood) {
			at.Store(int32(n))
			answersLostOnce(t, s, "byte "+strconv.Itoa(n))
		}
	})
}

// answersLostOnce redeems a code at a server that loses the answer: one POST, the code kept for one more.
func answersLostOnce(t *testing.T, s *answersServer, name string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		c := answersCredential(t, s.clientOptions())
		_, err := c.GetToken(t.Context(), tokenFor(graphScope))
		answersWantError(t, err, "lost", s.Listener.Addr().String())
		if posts := s.count(); posts != 1 {
			t.Errorf("%d POSTs in the call, want 1", posts)
		}
		_, _ = c.GetToken(t.Context(), tokenFor(graphScope))
		_, err = c.GetToken(t.Context(), tokenFor(graphScope))
		(&answersWant{}).checkLostGrant(t, err) // only a new sign-in helps now
		if posts := s.count(); posts != 1 {
			t.Errorf("%d POSTs in two more calls, want 1", posts)
		}
	})
}

// answersWithin fails if what is live on the heap of the whole process, the server included, grows by 8 MiB or more meanwhile. It
// is for tests that run alone. Garbage does not count: how much of it lies about depends on how busy the machine is.
func answersWithin(t *testing.T, call func()) {
	t.Helper()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var isOver atomic.Bool
	peak := make(chan uint64)
	go func() {
		var now runtime.MemStats
		most := uint64(0)
		for !isOver.Load() {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		peak <- most
	}()
	call()
	isOver.Store(true)
	if most := <-peak; most >= before.HeapAlloc+8<<20 {
		t.Errorf("the heap grew by %d KiB, want less than 8 MiB", (most-before.HeapAlloc)>>10)
	}
}

// answersBounded redeems a code and refreshes a grant at a server whose answers have no end: final for the code, harmless for
// the grant, little memory.
func answersBounded(t *testing.T, http2 bool, outcome string, texts []string, hostile func(http.ResponseWriter)) {
	t.Helper()
	var isGood atomic.Bool
	s := newAnswersServer(t, http2, func(w http.ResponseWriter, _ *http.Request) {
		if isGood.Load() {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answersGood)
			return
		}
		hostile(w)
	})
	c := answersCredential(t, s.clientOptions())
	answersWithin(t, func() {
		_, err := c.GetToken(t.Context(), tokenFor(graphScope))
		answersWantError(t, err, outcome, texts...)
	})
	if posts := s.count(); posts != 1 {
		t.Errorf("%d POSTs, want 1", posts)
	}
	isGood.Store(true)
	_, err := c.GetToken(t.Context(), tokenFor(graphScope))
	if posts := s.count(); (outcome == "lost") != (posts == 1) || (outcome == "lost") != (err == nil) {
		t.Errorf("%d POSTs in the next call, %v", posts, err)
	}
	c = answersCredential(t, s.clientOptions())
	mustToken(t, c, tokenFor(graphScope))
	isGood.Store(false)
	s.count()
	answersWithin(t, func() {
		_, err := c.GetToken(t.Context(), tokenFor(storageScope))
		answersWantError(t, err, outcome, texts...)
	})
	isGood.Store(true)
	mustToken(t, c, tokenFor(storageScope))
	if posts := s.count(); posts != 2 {
		t.Errorf("%d POSTs for a refusal and a refresh, want 2", posts)
	}
}

// answersForever writes a chunk until the client has had enough, or until 1 GiB went through and nobody stopped it.
func answersForever(w io.Writer, chunk []byte) {
	for written := 0; written < 1<<30; written += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func TestEndlessAnswersEndAtOneMiB(t *testing.T) {
	chunk := bytes.Repeat([]byte(" "), 64<<10)
	for name, hostile := range map[string]func(http.ResponseWriter){
		"51 endless blanks":    func(w http.ResponseWriter) { answersForever(w, chunk) },
		"51 an endless string": func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"x":"`); answersForever(w, chunk) },
		"51 an endless error":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest); answersForever(w, chunk) },
		"51 1 GiB, announced": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", strconv.Itoa(1<<30))
			answersForever(w, chunk)
		},
		"51 a byte over 1 MiB": func(w http.ResponseWriter) {
			_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20+1-len(answersGood)))
			_, _ = io.WriteString(w, answersGood)
		},
		"51 endless small ones": func(w http.ResponseWriter) { answersForever(w, chunk[:512]) },
	} {
		t.Run(name, func(t *testing.T) {
			answersProtocols(t, func(t *testing.T, http2 bool) {
				answersBounded(t, http2, "failed", []string{"1 MiB"}, func(w http.ResponseWriter) {
					w.Header().Set("Content-Type", "application/json")
					hostile(w)
				})
			})
		})
	}
	t.Run("51 1 MiB to the byte is fine", func(t *testing.T) {
		s := newAnswersServer(t, false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, strings.Repeat(" ", 1<<20-len(answersGood))+answersGood)
		})
		mustToken(t, answersCredential(t, s.clientOptions()), tokenFor(graphScope))
	})
}

func answersGzip(t *testing.T, data []byte) []byte {
	t.Helper()
	var compressed bytes.Buffer
	writer := gzip.NewWriter(&compressed)
	if _, err := writer.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed.Bytes()
}

func TestCompressedAnswersAreBounded(t *testing.T) {
	// A member of 10 MiB in 10 KiB, again and again: as many gibibytes as the client will read.
	bomb := answersGzip(t, make([]byte, 10<<20))
	good := answersGzip(t, []byte(answersGood))
	corrupt := bytes.Clone(good)
	corrupt[len(corrupt)-6] ^= 0xff // the checksum
	answer := func(encoding string, write func(http.ResponseWriter)) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", encoding)
			write(w)
		}
	}
	whole := func(body []byte) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
		}
	}
	for name, vector := range map[string]struct {
		texts   []string
		hostile func(http.ResponseWriter)
	}{
		"52 gzip bomb":                 {[]string{"1 MiB"}, answer("gzip", func(w http.ResponseWriter) { answersForever(w, bomb) })},
		"52 gzip bomb as an error":     {[]string{"1 MiB"}, answer("gzip", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest); answersForever(w, bomb) })},
		"52 gzip in gzip":              {[]string{"malformed"}, answer("gzip", whole(answersGzip(t, good)))},
		"52 deflate":                   {[]string{"malformed", "Content-Encoding"}, answer("deflate", whole(good))},
		"52 br":                        {[]string{"malformed", "Content-Encoding"}, answer("br", whole(good))},
		"52 zstd":                      {[]string{"malformed", "Content-Encoding"}, answer("zstd", whole(good))},
		"52 gzip twice, said so":       {[]string{"malformed", "Content-Encoding"}, answer("gzip, gzip", whole(answersGzip(t, good)))},
		"52 gzip said, text sent":      {[]string{"malformed"}, answer("gzip", whole([]byte(answersGood)))},
		"52 gzip with a wrong sum":     {[]string{"malformed"}, answer("gzip", whole(corrupt))},
		"52 gzip with garbage behind":  {[]string{"malformed"}, answer("gzip", whole(append(bytes.Clone(good), "garbage behind it"...)))},
		"52 gzip sent, nothing said":   {[]string{"malformed"}, func(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/json"); whole(good)(w) }},
		"52 identity said, gzip sent":  {[]string{"malformed"}, answer("identity", whole(good))},
		"52 deflate bomb, never asked": {[]string{"Content-Encoding"}, answer("deflate", func(w http.ResponseWriter) { _, _ = w.Write(bomb) })},
	} {
		t.Run(name, func(t *testing.T) {
			answersProtocols(t, func(t *testing.T, http2 bool) { answersBounded(t, http2, "failed", vector.texts, vector.hostile) })
		})
	}
	t.Run("52 gzip cut short", func(t *testing.T) {
		answersProtocols(t, func(t *testing.T, http2 bool) {
			answersBounded(t, http2, "lost", nil, answer("gzip", func(w http.ResponseWriter) {
				w.Header().Set("Content-Length", strconv.Itoa(len(good)))
				_, _ = w.Write(good[:len(good)/2])
				panic(http.ErrAbortHandler)
			}))
		})
	})
	t.Run("52 gzip is fine", func(t *testing.T) {
		s := newAnswersServer(t, true, func(w http.ResponseWriter, _ *http.Request) { answer("gzip", whole(good))(w) })
		mustToken(t, answersCredential(t, s.clientOptions()), tokenFor(graphScope))
	})
}

func TestBigHeadersAreRefused(t *testing.T) {
	for name, vector := range map[string]func(http.Header){
		"53 one header of 10 MB": func(h http.Header) { h.Set("X-Big", strings.Repeat("a", 10_000_000)) },
		"53 100 000 headers": func(h http.Header) {
			for i := range 100_000 {
				h.Set("X-"+strconv.Itoa(i), "a")
			}
		},
		"53 100 000 values": func(h http.Header) { h["X-Many"] = slices.Repeat([]string{"a"}, 100_000) },
		"53 300 KB":         func(h http.Header) { h.Set("X-Big", strings.Repeat("a", 300_000)) },
	} {
		t.Run(name, func(t *testing.T) {
			answersProtocols(t, func(t *testing.T, http2 bool) {
				header := make(http.Header)
				vector(header)
				s := newAnswersServer(t, http2, func(w http.ResponseWriter, _ *http.Request) {
					maps.Copy(w.Header(), header)
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, answersGood)
				})
				c := answersCredential(t, s.clientOptions())
				_, err := c.GetToken(t.Context(), tokenFor(graphScope))
				answersWantError(t, err, "lost")
				if posts := s.count(); posts != 1 {
					t.Errorf("%d POSTs, want 1", posts)
				}
			})
		})
	}
}

func TestInformationalFloodsEnd(t *testing.T) {
	for _, status := range []int{100, 102, 103} {
		t.Run(fmt.Sprintf("55 %d without end", status), func(t *testing.T) {
			one := []byte(fmt.Sprintf("HTTP/1.1 %d Wait\r\nLink: </x>; rel=preload\r\n\r\n", status))
			s := newAnswersServer(t, false, func(w http.ResponseWriter, _ *http.Request) {
				answersHijack(w, func(c net.Conn) { answersForever(c, bytes.Repeat(one, 100)) })
			})
			c := answersCredential(t, s.clientOptions())
			answersWithin(t, func() {
				_, err := c.GetToken(t.Context(), tokenFor(graphScope))
				answersWantError(t, err, "lost")
			})
			if posts := s.count(); posts != 1 {
				t.Errorf("%d POSTs, want 1", posts)
			}
		})
	}
	t.Run("55 HTTP2", func(t *testing.T) {
		s := newAnswersServer(t, true, func(w http.ResponseWriter, r *http.Request) {
			for range 100_000 {
				if r.Context().Err() != nil {
					return
				}
				w.WriteHeader(http.StatusEarlyHints)
			}
		})
		_, err := answersCredential(t, s.clientOptions()).GetToken(t.Context(), tokenFor(graphScope))
		answersWantError(t, err, "lost")
		if posts := s.count(); posts != 1 {
			t.Errorf("%d POSTs, want 1", posts)
		}
	})
	t.Run("55 a few are fine", func(t *testing.T) {
		answersProtocols(t, func(t *testing.T, http2 bool) {
			s := newAnswersServer(t, http2, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusProcessing)
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, answersGood)
			})
			mustToken(t, answersCredential(t, s.clientOptions()), tokenFor(graphScope))
		})
	})
}

// answersElsewhere is a second server, under another name, that a redirect leads to.
type answersElsewhere struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // whole requests
}

const answersElsewhereHost = "example.com" // httptest's certificate is good for it

func newAnswersElsewhere(t *testing.T, back func() string) *answersElsewhere {
	t.Helper()
	e := &answersElsewhere{}
	e.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		e.seen = append(e.seen, fmt.Sprintf("%s %s %v %s", r.Method, r.URL, r.Header, body))
		e.mu.Unlock()
		if to := back(); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answersGood)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *answersElsewhere) requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	seen := e.seen
	e.seen = nil
	return seen
}

// answersFollower is a Transporter that follows redirects and is no *http.Client that could be told not to.
type answersFollower struct{ client *http.Client }

func (f answersFollower) Do(req *http.Request) (*http.Response, error) { return f.client.Do(req) }

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, transporter := range map[string]func(*http.Transport) policy.Transporter{
			"client": func(tr *http.Transport) policy.Transporter { return &http.Client{Transport: tr} },
			"client that follows": func(tr *http.Transport) policy.Transporter {
				return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
			},
			"Transporter that follows": func(tr *http.Transport) policy.Transporter {
				return answersFollower{&http.Client{Transport: tr}}
			},
		} {
			for proof, auth := range map[string]authcode.ClientAuth{"post": authcode.SecretAuth(constructionSecret), "basic": authcode.SecretBasicAuth(constructionSecret)} {
				t.Run(fmt.Sprintf("54 %d/%s/%s", status, name, proof), func(t *testing.T) {
					t.Parallel()
					answersRedirect(t, status, transporter, auth)
				})
			}
		}
	}
}

func answersRedirect(t *testing.T, status int, transporter func(*http.Transport) policy.Transporter, auth authcode.ClientAuth) {
	elsewhere := newAnswersElsewhere(t, func() string { return "" })
	var isGood atomic.Bool
	s := newAnswersServer(t, false, func(w http.ResponseWriter, r *http.Request) {
		if isGood.Load() {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answersGood)
			return
		}
		http.Redirect(w, r, "https://"+answersElsewhereHost+"/token", status)
	})
	s.leadTo(elsewhere)
	given := transporter(s.transport)
	client := s.clientOptions()
	client.Transport = given
	c := answersRedirectCredential(t, client, auth)
	_, err := c.GetToken(t.Context(), tokenFor(graphScope))
	answersWantError(t, err, "failed", "redirect")
	if _, again := c.GetToken(t.Context(), tokenFor(graphScope)); again != err {
		t.Errorf("a later call: %v", again)
	}
	if posts := s.count(); posts != 1 {
		t.Errorf("%d requests, want 1", posts)
	}
	elsewhere.wantNothingSecret(t, given)

	c = answersRedirectCredential(t, client, auth)
	isGood.Store(true)
	mustToken(t, c, tokenFor(graphScope))
	isGood.Store(false)
	_, err = c.GetToken(t.Context(), tokenFor(storageScope))
	answersWantError(t, err, "failed", "redirect")
	if posts := s.count(); posts != 2 {
		t.Errorf("%d requests, want 2", posts)
	}
	elsewhere.wantNothingSecret(t, given)
	isGood.Store(true)
	mustToken(t, c, tokenFor(storageScope))

	if client, ok := given.(*http.Client); ok { // the caller's own client is as it was
		isGood.Store(false)
		resp, err := client.Get(s.URL + "/anything")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if len(elsewhere.requests()) != 1 {
			t.Error("the caller's client does not follow redirects any more")
		}
	}
}

// leadTo makes the second server's name resolve.
func (s *answersServer) leadTo(e *answersElsewhere) {
	s.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(address); host == answersElsewhereHost {
			address = e.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

func answersRedirectCredential(t *testing.T, client azcore.ClientOptions, auth authcode.ClientAuth) *authcode.AuthorizationCodeCredential {
	t.Helper()
	c, err := authcode.NewAuthorizationCodeCredential(constructionTenant, constructionClientID, constructionCode, redirectURI, &authcode.AuthorizationCodeCredentialOptions{ClientAuth: auth, ClientOptions: client})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// wantNothingSecret allows a Transporter that follows on its own a bare GET, which nobody can keep it from.
func (e *answersElsewhere) wantNothingSecret(t *testing.T, given policy.Transporter) {
	t.Helper()
	for _, request := range e.requests() {
		if _, follows := given.(answersFollower); !follows || !strings.HasPrefix(request, "GET ") {
			t.Errorf("the redirect's target got %s", request)
		}
		if strings.Contains(request, "Authorization") {
			t.Errorf("the redirect's target got credentials: %s", request)
		}
		for _, secret := range answersSecrets {
			if strings.Contains(request, secret) {
				t.Errorf("the redirect's target got a secret: %s", request)
			}
		}
	}
}

// A Transporter that was led away and back answers from the right URL, with what somebody else chose to ask there.
func TestRedirectsThatComeBackAreNotFollowed(t *testing.T) {
	t.Parallel()
	t.Run("54 away and back", func(t *testing.T) {
		var tokenURL atomic.Pointer[string]
		back := func() string { return *tokenURL.Load() }
		elsewhere := newAnswersElsewhere(t, back)
		s := newAnswersServer(t, false, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				http.Redirect(w, r, "https://"+answersElsewhereHost+"/", http.StatusFound)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answersGood)
		})
		url := s.URL + "/" + constructionTenant + "/oauth2/v2.0/token"
		tokenURL.Store(&url)
		s.leadTo(elsewhere)
		client := s.clientOptions()
		client.Transport = answersFollower{&http.Client{Transport: s.transport}}
		_, err := answersCredential(t, client).GetToken(t.Context(), tokenFor(graphScope))
		answersWantError(t, err, "failed", "redirect")
	})
}

func TestTransportersThatGiveNothing(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]answersScript{
		"43 neither answer nor error": func(*http.Request) (*http.Response, error) { return nil, nil },
		"43 an answer without body":   func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil },
		"43 an empty answer":          func(*http.Request) (*http.Response, error) { return &http.Response{}, nil },
		"43 an answer without headers": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(""))}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer constructionNoPanic(t)
			_, err := answersCredential(t, azcore.ClientOptions{Transport: script}).GetToken(t.Context(), tokenFor(graphScope))
			if _, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok {
				t.Errorf("%T %v", err, err)
			}
		})
	}
}

// answersSpellings are the ways a server or a proxy writes what it repeats. Entra is written in .NET, whose JSON escapes more
// than it must and whose URL encoding is in lower case.
func answersSpellings(place, secret string) map[string]string {
	all := answersSpellingsAnywhere(secret)
	switch place {
	case "JSON, unescaped":
		all["JSON of .NET"] = strings.NewReplacer("+", `\u002B`, "&", `\u0026`, "'", `\u0027`, "<", `\u003C`, ">", `\u003E`, `"`, `\u0022`, "`", `\u0060`, `\`, `\\`, "ü", `\u00FC`).Replace(secret)
	case "page":
		all["HTML"] = html.EscapeString(secret)
	}
	return all
}

func answersSpellingsAnywhere(secret string) map[string]string {
	asJSON, _ := json.Marshal(secret)
	return map[string]string{
		"as it is":                    secret,
		"form-encoded":                url.QueryEscape(secret),
		"form-encoded, lower case":    answersLowerEscapes(url.QueryEscape(secret)),
		"path-encoded":                url.PathEscape(secret),
		"path-encoded, lower case":    answersLowerEscapes(url.PathEscape(secret)),
		"JSON":                        strings.Trim(string(asJSON), `"`),
		"quoted":                      strings.Trim(strconv.Quote(secret), `"`),
		"quoted, ASCII":               strings.Trim(strconv.QuoteToASCII(secret), `"`),
		"form-encoded, blanks as %20": strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"),
	}
}

func answersLowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// answersEchoes are the places of an answer that can repeat something. echo is text, which each puts where it can.
func answersEchoes() map[string]func(req *http.Request, echo string) *http.Response {
	errorWith := func(status int, member string) func(*http.Request, string) *http.Response {
		return func(req *http.Request, echo string) *http.Response {
			members := map[string]string{"error": "invalid_client"}
			members[member] = echo
			body, _ := json.Marshal(members)
			return answersJSON(req, status, string(body))
		}
	}
	withHeader := func(status int, name string) func(*http.Request, string) *http.Response {
		return func(req *http.Request, echo string) *http.Response {
			resp := answersJSON(req, status, `{"error":"invalid_client"}`)
			resp.Header[name] = []string{echo}
			return resp
		}
	}
	return map[string]func(*http.Request, string) *http.Response{
		"error":             errorWith(400, "error"),
		"error_description": errorWith(400, "error_description"),
		"suberror":          errorWith(400, "suberror"),
		"correlation_id":    errorWith(400, "correlation_id"),
		"trace_id":          errorWith(400, "trace_id"),
		"claims":            errorWith(400, "claims"),
		"an unknown member": errorWith(400, "error_uri"),
		"error of a 200":    errorWith(200, "error"),
		"a lost answer":     errorWith(500, "error_description"),
		"status line": func(req *http.Request, echo string) *http.Response {
			resp := answersJSON(req, 400, "{}")
			resp.Status = "400 " + echo
			return resp
		},
		"page": func(req *http.Request, echo string) *http.Response {
			return answersResponse(req, 502, http.Header{"Content-Type": {"text/html"}}, []byte("<p>"+echo))
		},
		"JSON, unescaped": func(req *http.Request, echo string) *http.Response {
			return answersJSON(req, 400, `{"error":"invalid_client","error_description":"`+echo+`"}`)
		},
		"header":           withHeader(400, "X-Debug"),
		"Content-Encoding": withHeader(200, "Content-Encoding"),
		"Content-Type":     withHeader(200, "Content-Type"),
		"Location":         withHeader(302, "Location"),
		"Retry-After":      withHeader(400, "Retry-After"),
		"token_type": func(req *http.Request, echo string) *http.Response {
			body, _ := json.Marshal(map[string]string{"token_type": echo, "access_token": "answers-issued-token"})
			return answersJSON(req, 200, string(body))
		},
		"expires_in": func(req *http.Request, echo string) *http.Response {
			body, _ := json.Marshal(map[string]string{"token_type": "Bearer", "access_token": "answers-issued-token", "expires_in": echo})
			return answersJSON(req, 200, string(body))
		},
		"a member's name, twice": func(req *http.Request, echo string) *http.Response {
			name, _ := json.Marshal(echo)
			return answersJSON(req, 200, fmt.Sprintf("{%s:1,%s:2}", name, name))
		},
	}
}

// The client secret is full of what every encoding changes.
func TestEchoedSecretsAreMasked(t *testing.T) {
	t.Parallel()
	verifier := "answers-verifier-" + strings.Repeat("v~", 20)
	for place, answer := range answersEchoes() {
		t.Run("64 "+place, func(t *testing.T) {
			t.Parallel()
			for what, secret := range map[string]string{"secret": entratest.DefaultDirectory().App("web").Secrets[0], "code": "0.AX sA+code/of=some&length'<x>", "verifier": verifier} {
				for how, echo := range answersSpellings(place, secret) {
					t.Run(what+", "+how, func(t *testing.T) {
						credential, err := authcode.NewAuthorizationCodeCredential(constructionTenant, constructionClientID, "0.AX sA+code/of=some&length'<x>", redirectURI, &authcode.AuthorizationCodeCredentialOptions{
							ClientOptions: azcore.ClientOptions{
								Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: constructionHost},
								Transport: answersScript(func(req *http.Request) (*http.Response, error) { return answer(req, "you sent "+echo+" to us"), nil }),
							},
							ClientSecret: entratest.DefaultDirectory().App("web").Secrets[0],
							CodeVerifier: verifier,
						})
						if err != nil {
							t.Fatal(err)
						}
						defer func() { _ = credential.Close() }()
						_, err = credential.GetToken(t.Context(), tokenFor(graphScope))
						if err == nil {
							t.Fatal("no error")
						}
						answersWantSafe(t, err, []string{secret, echo, "answers-issued-token"})
					})
				}
			}
		})
	}
}

func TestEchoedRefreshTokensAreMasked(t *testing.T) {
	t.Parallel()
	for place, answer := range answersEchoes() {
		t.Run("64 "+place, func(t *testing.T) {
			posts := 0
			c := answersCredential(t, azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}, Transport: answersScript(func(req *http.Request) (*http.Response, error) {
				if posts++; posts == 1 {
					return answersJSON(req, 200, answersGood), nil
				}
				body, _ := io.ReadAll(req.Body)
				form, _ := url.ParseQuery(string(body))
				return answer(req, form.Get("refresh_token")), nil
			})})
			mustToken(t, c, tokenFor(graphScope))
			_, err := c.GetToken(t.Context(), tokenFor(storageScope))
			if err == nil {
				t.Fatal("no error")
			}
			answersWantSafe(t, err, answersSecrets)
			mustToken(t, c, tokenFor(graphScope))
		})
	}
}

func TestLongDescriptionsAreCutAndEscaped(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"64 ANSI, 1 MB":            strings.Repeat("\x1b[31mAADSTS\x1b]0;title\x07\x1b[2J", 1_000_000/32),
		"64 lines, 1 MB":           strings.Repeat("line\r\nFAKE LOG level=info\u2028\u2029\u0085", 1_000_000/40),
		"64 secrets, 1 MB":         strings.Repeat(constructionCode+" "+constructionSecret+"\n", 1_000_000/50),
		"64 direction marks, 1 MB": strings.Repeat("\u202e\u2066abc\u200b", 1_000_000/13),
		"64 NUL, 1 MB":             strings.Repeat("\x00\x7f", 100_000),
		"64 a secret at the cut":   strings.Repeat("a", 505) + constructionCode,
		"64 spaces, 1 MB":          strings.Repeat(" ", 1_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, member := range []string{"error", "error_description", "suberror", "correlation_id", "trace_id"} {
				body, err := json.Marshal(map[string]any{"error": "invalid_client", member: text})
				if err != nil {
					t.Fatal(err)
				}
				if len(body) >= 1<<20 { // \u escapes make it longer than an answer may be
					body, _ = json.Marshal(map[string]any{"error": "invalid_client", member: text[:len(text)/6]})
				}
				c := answersCredential(t, azcore.ClientOptions{Transport: answersScript(func(req *http.Request) (*http.Response, error) {
					return answersJSON(req, http.StatusUnauthorized, string(body)), nil
				})})
				_, err = c.GetToken(t.Context(), tokenFor(graphScope))
				if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); !ok || utf8.RuneCountInString(failed.Description) > 513 {
					t.Errorf("%s: %.200v", member, err)
					continue
				}
				answersWantSafe(t, err, answersSecrets)
			}
		})
	}
}

func TestAServerThatCannotBeReachedCostsNoCode(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	var isDown atomic.Bool
	var dials atomic.Int32
	s := newAnswersServer(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Connection", "close") // so that every request dials
		_, _ = io.WriteString(w, answersGood)
	})
	s.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		if isDown.Load() {
			address = closed.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	t.Run("66 redeem", func(t *testing.T) {
		isDown.Store(true)
		c := answersCredential(t, s.clientOptions())
		for range 3 {
			_, err := c.GetToken(t.Context(), tokenFor(graphScope))
			answersWantError(t, err, "failed", s.Listener.Addr().String(), "nothing was sent", "the code is kept")
		}
		if posts := s.count(); posts != 0 {
			t.Errorf("%d POSTs arrived", posts)
		}
		isDown.Store(false)
		mustToken(t, c, tokenFor(graphScope))
		if posts := s.count(); posts != 1 {
			t.Errorf("%d POSTs, want 1", posts)
		}
	})
	t.Run("66 refresh", func(t *testing.T) {
		isDown.Store(false)
		client := s.clientOptions()
		client.Retry = policy.RetryOptions{MaxRetries: 2, RetryDelay: -1}
		c := answersCredential(t, client)
		mustToken(t, c, tokenFor(graphScope))
		isDown.Store(true)
		dials.Store(0)
		_, err := c.GetToken(t.Context(), tokenFor(storageScope))
		answersWantError(t, err, "failed", s.Listener.Addr().String(), "nothing was sent")
		if n := dials.Load(); n != 3 {
			t.Errorf("%d tries, want 3 as ClientOptions.Retry has it", n)
		}
		mustToken(t, c, tokenFor(graphScope))
		isDown.Store(false)
		mustToken(t, c, tokenFor(storageScope))
	})
	t.Run("66 a host that does not resolve", func(t *testing.T) {
		client := s.clientOptions()
		client.Cloud.ActiveDirectoryAuthorityHost = "https://login.invalid"
		transport := s.transport.Clone()
		transport.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address)
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		client.Transport = &http.Client{Transport: transport}
		c := answersCredential(t, client)
		_, err := c.GetToken(t.Context(), tokenFor(graphScope))
		answersWantError(t, err, "failed", "login.invalid", "nothing was sent", "the code is kept")
	})
	t.Run("66 a certificate nobody knows", func(t *testing.T) {
		client := s.clientOptions()
		transport := s.transport.Clone()
		transport.DialContext = nil
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12} // the system's authorities
		client.Transport = &http.Client{Transport: transport}
		c := answersCredential(t, client)
		_, err := c.GetToken(t.Context(), tokenFor(graphScope))
		answersWantError(t, err, "failed", s.Listener.Addr().String(), "certificate", "nothing was sent", "the code is kept")
		transport.CloseIdleConnections()
	})
}

func TestAResetAfterTheRequestLosesTheAnswer(t *testing.T) {
	t.Parallel()
	t.Run("67 redeem", func(t *testing.T) {
		answersProtocols(t, func(t *testing.T, http2 bool) {
			s, resets := newAnswersResetServer(t, http2)
			// The first request leaves a connection that net/http could repeat the next one on.
			mustToken(t, answersCredential(t, s.clientOptions()), tokenFor(graphScope))
			s.count()
			resets.Store(true)
			c := answersCredential(t, s.clientOptions())
			_, err := c.GetToken(t.Context(), tokenFor(graphScope))
			answersWantError(t, err, "lost", s.Listener.Addr().String(), "kept for one more")
			if posts := s.count(); posts != 1 {
				t.Errorf("the code was sent %d times in the call", posts)
			}
			resets.Store(false)
			mustToken(t, c, tokenFor(graphScope))
			if posts := s.count(); posts != 1 {
				t.Errorf("%d POSTs in the next call, want 1", posts)
			}
		})
	})
	t.Run("67 refresh", func(t *testing.T) {
		answersProtocols(t, func(t *testing.T, http2 bool) {
			s, resets := newAnswersResetServer(t, http2)
			client := s.clientOptions()
			client.Retry = policy.RetryOptions{MaxRetries: 2, RetryDelay: -1}
			c := answersCredential(t, client)
			mustToken(t, c, tokenFor(graphScope))
			s.count()
			resets.Store(true)
			_, err := c.GetToken(t.Context(), tokenFor(storageScope))
			answersWantError(t, err, "lost", s.Listener.Addr().String())
			if posts := s.count(); posts != 3 {
				t.Errorf("%d POSTs, want 3 as ClientOptions.Retry has it", posts)
			}
			mustToken(t, c, tokenFor(graphScope))
			resets.Store(false)
			mustToken(t, c, tokenFor(storageScope))
		})
	})
}

// newAnswersResetServer resets connections (streams of HTTP/2) once it has read the request, when told to.
func newAnswersResetServer(t *testing.T, http2 bool) (*answersServer, *atomic.Bool) {
	t.Helper()
	resets := new(atomic.Bool)
	return newAnswersServer(t, http2, func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case !resets.Load():
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answersGood)
		case http2:
			panic(http.ErrAbortHandler)
		default:
			answersHijack(w, func(c net.Conn) {
				if tcp, ok := c.(*tls.Conn).NetConn().(*net.TCPConn); ok {
					_ = tcp.SetLinger(0)
					_ = tcp.Close()
				}
			})
		}
	}), resets
}

// answersPause is a Retry-After and for how long, in seconds, it has the server left alone.
type answersPause struct {
	Date       *int    `json:"date"`   // seconds from now
	Layout     string  `json:"layout"` // of the date; "": RFC 9110's own
	Name       string  `json:"name"`
	Pause      int     `json:"pause"`
	RetryAfter *string `json:"retryAfter"`
}

func (p *answersPause) length() time.Duration { return time.Duration(p.Pause) * time.Second }

func (p *answersPause) answer(status int) answersFunc {
	return func(req *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
		resp := answersJSON(req, status, `{"error":"temporarily_unavailable","error_description":"AADSTS90055: throttled"}`)
		switch {
		case p.RetryAfter != nil:
			resp.Header["Retry-After"] = []string{*p.RetryAfter}
		case p.Date != nil:
			resp.Header.Set("Retry-After", time.Now().Add(time.Duration(*p.Date)*time.Second).UTC().Format(cmp.Or(p.Layout, http.TimeFormat)))
		}
		return resp, nil
	}
}

// TestThrottling is not parallel: pauses are the process's, and a bubble's clock is not that of the others.
func TestThrottling(t *testing.T) {
	var vectors struct {
		About   string         `json:"about"`
		Vectors []answersPause `json:"vectors"`
	}
	data, err := os.ReadFile(filepath.Join("testdata", "answers", answersRetryAfter+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := constructionUnmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, p := range vectors.Vectors {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			for route, run := range map[string]func(*testing.T, *answersPause, int){
				"redeem":         answersThrottledCode,
				"app":            answersThrottledCallback,
				"refresh":        answersThrottledRefresh,
				"valid token":    answersThrottledBehind,
				"everybody":      answersThrottledNeighbours,
				"short deadline": answersThrottledInAHurry,
			} {
				t.Run(fmt.Sprintf("62 %s/%d/%s", p.Name, status, route), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { run(t, &p, status) })
				})
			}
		}
	}
}

// answersTimed is one call: what it gave, how long it took, and what it posted.
type answersTimed struct {
	err   error
	posts int
	took  time.Duration
}

func (w *answersWorld) timed(call func() error) answersTimed {
	w.count()
	began := time.Now()
	err := call()
	return answersTimed{err, w.count(), time.Since(began)}
}

func (w *answersWorld) get(ctx context.Context, c *authcode.AuthorizationCodeCredential, scope string) answersTimed {
	return w.timed(func() error { _, err := c.GetToken(ctx, tokenFor(scope)); return err })
}

// want checks a call that succeeds.
func (a answersTimed) want(t *testing.T, what string, posts int, took time.Duration) {
	t.Helper()
	if a.err != nil || a.posts != posts || a.took != took {
		t.Errorf("%s: %v, %d POSTs in %s, want %d in %s", what, a.err, a.posts, a.took, posts, took)
	}
}

// wantPaused checks a call that fails and says when to come back.
func (a answersTimed) wantPaused(t *testing.T, w *answersWorld, what string, posts int, took, retryAfter time.Duration) {
	t.Helper()
	if a.posts != posts || a.took != took {
		t.Errorf("%s: %d POSTs in %s, want %d in %s", what, a.posts, a.took, posts, took)
	}
	failed, ok := errors.AsType[*authcode.AuthenticationFailedError](a.err)
	if !ok || failed.RetryAfter != retryAfter {
		t.Errorf("%s: %v, want RetryAfter %s", what, a.err, retryAfter)
		return
	}
	want := answersWant{Outcome: "failed", Text: []string{"left alone"}}
	if posts > 0 { // it has an answer of its own, with an ID for a support ticket in it
		want = answersWant{Outcome: "failed", Code: "temporarily_unavailable"}
	}
	want.checkError(t, a.err, w.allSecrets())
}

const answersLongestWait = 10 * time.Second // of a caller who has no valid token

func answersThrottledCode(t *testing.T, p *answersPause, status int) {
	w := newAnswersWorld(t, nil)
	c := w.credential(alice, false)
	w.inject(-1, p.answer(status))
	first := w.get(t.Context(), c, graphScope)
	first.wantPaused(t, w, "the first call", 1, 0, p.length())
	if first.err != nil && !strings.Contains(first.err.Error(), "the code is kept") {
		t.Errorf("error %q does not say that the code is kept", first.err)
	}
	if p.length() > answersLongestWait {
		w.get(t.Context(), c, graphScope).wantPaused(t, w, "a call too early", 0, 0, p.length())
		time.Sleep(p.length() - answersLongestWait - time.Second)
		w.get(t.Context(), c, graphScope).wantPaused(t, w, "a call a second too early", 0, 0, answersLongestWait+time.Second)
		time.Sleep(time.Second)
	}
	w.get(t.Context(), c, graphScope).wantPaused(t, w, "a call that waits and is refused again", 1, min(p.length(), answersLongestWait), p.length())
	time.Sleep(p.length())
	w.heal()
	w.get(t.Context(), c, graphScope).want(t, "a call afterwards", 1, 0)
}

func answersThrottledCallback(t *testing.T, p *answersPause, status int) {
	w := newAnswersWorld(t, nil)
	app := w.application()
	flow, callback := w.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
	redeem := func() answersTimed {
		return w.timed(func() error { _, err := app.Redeem(t.Context(), flow, callback); return err })
	}
	w.inject(-1, p.answer(status))
	redeem().wantPaused(t, w, "the callback", 1, 0, p.length())
	if p.length() > answersLongestWait {
		redeem().wantPaused(t, w, "the callback, too early", 0, 0, p.length())
		time.Sleep(p.length() - answersLongestWait)
	}
	w.heal()
	redeem().want(t, "the callback again", 1, min(p.length(), answersLongestWait))
}

func answersThrottledRefresh(t *testing.T, p *answersPause, status int) {
	w := newAnswersWorld(t, nil)
	c := w.credential(alice, false)
	mustToken(t, c, tokenFor(graphScope))
	w.inject(-1, p.answer(status))
	posts, took := 1, time.Duration(0)
	if 0 < p.length() && p.length() <= answersLongestWait { // it waits and tries once more
		posts, took = 2, p.length()
	}
	w.get(t.Context(), c, storageScope).wantPaused(t, w, "a refresh", posts, took, p.length())
	w.get(t.Context(), c, graphScope).want(t, "the token that is held", 0, 0)
	if p.length() > answersLongestWait {
		w.get(t.Context(), c, storageScope).wantPaused(t, w, "a refresh too early", 0, 0, p.length())
	}
	time.Sleep(p.length())
	w.inject(1, p.answer(status))
	again := w.get(t.Context(), c, storageScope)
	switch {
	case took > 0: // refused once: the second try brings the token in the same call
		again.want(t, "a refresh that is refused once", 2, took)
	default:
		again.wantPaused(t, w, "a refresh that is refused once", 1, 0, p.length())
		time.Sleep(p.length())
		w.get(t.Context(), c, storageScope).want(t, "a refresh afterwards", 1, 0)
	}
}

// answersThrottledBehind asks every second while the token is stale: it is served, and the attempts behind the caller's back
// are as far apart as the server asked, or 30 seconds.
func answersThrottledBehind(t *testing.T, p *answersPause, status int) {
	w := newAnswersWorld(t, nil)
	c := w.credential(alice, false)
	token := mustToken(t, c, tokenFor(graphScope))
	time.Sleep(time.Until(token.RefreshOn) + time.Second)
	w.inject(-1, p.answer(status))
	w.count()
	apart := cmp.Or(p.length(), 30*time.Second)
	began := time.Now()
	last, attempts := time.Time{}, 0
	for time.Since(began) < 4*time.Minute {
		if again := mustToken(t, c, tokenFor(graphScope)); again != token {
			t.Fatal("another token")
		}
		synctest.Wait()
		if posts := w.count(); posts > 0 {
			if posts > 1 || !last.IsZero() && time.Since(last) < apart {
				t.Errorf("%d POSTs %s after the one before, want one in %s", posts, time.Since(last), apart)
			}
			last = time.Now()
			attempts++
		}
		time.Sleep(time.Second)
	}
	if most, least := int(4*time.Minute/apart)+1, int(4*time.Minute/(apart+time.Second)); attempts > most || attempts < least {
		t.Errorf("%d attempts in 4 minutes, want %d to %d", attempts, least, most)
	}
	w.heal()
	time.Sleep(apart)
	mustToken(t, c, tokenFor(graphScope))
	synctest.Wait()
	if again := mustToken(t, c, tokenFor(graphScope)); again == token {
		t.Error("the token was not renewed when the server was itself again")
	}
}

// answersThrottledNeighbours has other users and other Apps of this process heed the pause that one met.
func answersThrottledNeighbours(t *testing.T, p *answersPause, status int) {
	w := newAnswersWorld(t, nil)
	one, other := w.credential(alice, false), w.credential(bob, false)
	app := w.application()
	signedIn := w.signIn(app, bob, graphScope)
	had := mustToken(t, signedIn, tokenFor(graphScope))
	w.inject(1, p.answer(status))
	w.get(t.Context(), one, graphScope).wantPaused(t, w, "the one who met it", 1, 0, p.length())
	left := p.length()
	if left > answersLongestWait {
		w.get(t.Context(), other, graphScope).wantPaused(t, w, "another's code", 0, 0, left)
		w.get(t.Context(), signedIn, storageScope).wantPaused(t, w, "another's refresh", 0, 0, left)
		w.timed(func() error {
			_, err := app.ImportRefreshToken(t.Context(), "0.some-refresh-token", graphScope)
			return err
		}).
			wantPaused(t, w, "an import", 0, 0, left)
		time.Sleep(left - answersLongestWait)
		left = answersLongestWait
	}
	if token := mustToken(t, signedIn, tokenFor(graphScope)); token != had {
		t.Error("another token")
	}
	w.get(t.Context(), other, graphScope).want(t, "another's code", 1, left)
	w.get(t.Context(), signedIn, storageScope).want(t, "another's refresh", 1, 0)
}

// answersThrottledInAHurry has callers whose time ends before the pause fail at once, not at its end.
func answersThrottledInAHurry(t *testing.T, p *answersPause, status int) {
	w := newAnswersWorld(t, nil)
	c := w.credential(alice, false)
	mustToken(t, c, tokenFor(graphScope))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	w.inject(-1, p.answer(status))
	w.get(ctx, c, storageScope).wantPaused(t, w, "a refresh", 1, 0, p.length())
	if p.Pause > 0 {
		w.get(ctx, c, storageScope).wantPaused(t, w, "a refresh in the pause", 0, 0, p.length())
	}
	if ctx.Err() != nil {
		t.Error("the caller's time is over")
	}
}

// A refresh that fails behind a caller's back is tried at most every 30 seconds, each time as ClientOptions.Retry has it.
func TestServerErrorsBehindCallersBacks(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 502, 504} {
		t.Run(fmt.Sprintf("63 %d", status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newAnswersWorld(t, nil)
				c := w.signIn(w.application(), alice, graphScope)
				token := mustToken(t, c, tokenFor(graphScope))
				time.Sleep(time.Until(token.RefreshOn) + time.Second)
				w.count()
				page := "<html>gateway</html>"
				w.inject(-1, (&answersSpec{Body: &page, Header: http.Header{"Content-Type": {"text/html"}}, Status: status}).answer)
				w.events.Store(nil)
				attempts, posts := 0, 0
				var last time.Time
				for began := time.Now(); time.Since(began) < 4*time.Minute; time.Sleep(time.Second) {
					if again := mustToken(t, c, tokenFor(graphScope)); again != token {
						t.Fatal("another token")
					}
					synctest.Wait()
					posts += w.count()
					if event := w.events.Swap(nil); event != nil && event.Kind == authcode.EventRefresh {
						if !last.IsZero() && time.Since(last) < 30*time.Second {
							t.Errorf("an attempt ended %s after the one before", time.Since(last))
						}
						last = time.Now()
						attempts++
					}
				}
				if attempts < 4 || attempts > 9 || posts > 4*attempts+4 {
					t.Errorf("%d attempts with %d POSTs in 4 minutes", attempts, posts)
				}
			})
		})
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	t.Run("68 the caller's, the redemption goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newAnswersWorld(t, nil)
			c := w.credential(alice, false)
			w.Inject(entratest.Fault{Latency: 5 * time.Second, Times: 1})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			got := w.get(ctx, c, graphScope)
			if !errors.Is(got.err, context.DeadlineExceeded) || got.took != time.Second || got.posts != 1 {
				t.Errorf("%v after %s, %d POSTs", got.err, got.took, got.posts)
			}
			w.get(t.Context(), c, graphScope).want(t, "who comes next", 0, 4*time.Second)
		})
	})
	t.Run("68 the caller's, App.Redeem", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newAnswersWorld(t, nil)
			app := w.application()
			flow, callback := w.beginAs(app, alice, &authcode.BeginOptions{Scopes: []string{graphScope}})
			w.Inject(entratest.Fault{Latency: 5 * time.Second, Times: 1})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			got := w.timed(func() error { _, err := app.Redeem(ctx, flow, callback); return err })
			if !errors.Is(got.err, context.DeadlineExceeded) || got.took != time.Second || got.posts != 1 {
				t.Errorf("%v after %s, %d POSTs", got.err, got.took, got.posts)
			}
			w.timed(func() error { _, err := app.Redeem(t.Context(), flow, callback); return err }).
				want(t, "the same callback while it is under way", 0, 4*time.Second)
		})
	})
	t.Run("68 the exchange's, not processed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newAnswersWorld(t, nil)
			c := w.credential(alice, false)
			w.Inject(entratest.Fault{Latency: time.Hour, Times: 1})
			got := w.get(t.Context(), c, graphScope)
			answersWantTimeout(t, w, got, 30*time.Second)
			w.get(t.Context(), c, graphScope).want(t, "the next call", 1, 0)
		})
	})
	t.Run("68 the exchange's, processed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newAnswersWorld(t, nil)
			c := w.credential(alice, false)
			w.inject(1, answersLate(time.Hour))
			answersWantTimeout(t, w, w.get(t.Context(), c, graphScope), 30*time.Second)
			got := w.get(t.Context(), c, graphScope)
			(&answersWant{Code: "invalid_grant"}).checkLostGrant(t, got.err)
			time.Sleep(2 * time.Hour) // the late answer has come to nobody
			if again := w.get(t.Context(), c, graphScope); again.err != got.err || again.posts != 0 {
				t.Errorf("later: %v, %d POSTs", again.err, again.posts)
			}
		})
	})
	t.Run("68 the exchange's, refresh", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newAnswersWorld(t, nil)
			c := w.credential(alice, false)
			had := mustToken(t, c, tokenFor(graphScope))
			w.inject(1, answersLate(time.Minute))
			answersWantTimeout(t, w, w.get(t.Context(), c, storageScope), 12*time.Second)
			if token := mustToken(t, c, tokenFor(graphScope)); token != had {
				t.Error("another token")
			}
			w.get(t.Context(), c, storageScope).want(t, "the next call", 1, 0)
		})
	})
	t.Run("68 a byte a second, redeem", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newAnswersWorld(t, nil)
			c := w.credential(alice, false)
			w.inject(1, answersDripping)
			answersWantTimeout(t, w, w.get(t.Context(), c, graphScope), 30*time.Second)
			w.get(t.Context(), c, graphScope).want(t, "the next call", 1, 0)
		})
	})
	t.Run("68 a byte a second, refresh", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newAnswersWorld(t, nil)
			c := w.credential(alice, false)
			mustToken(t, c, tokenFor(graphScope))
			w.inject(1, answersDripping)
			answersWantTimeout(t, w, w.get(t.Context(), c, storageScope), 12*time.Second)
			w.get(t.Context(), c, storageScope).want(t, "the next call", 1, 0)
		})
	})
}

func answersWantTimeout(t *testing.T, w *answersWorld, got answersTimed, after time.Duration) {
	t.Helper()
	if got.took != after || got.posts != 1 || !errors.Is(got.err, context.DeadlineExceeded) {
		t.Errorf("%v after %s, %d POSTs; want a deadline after %s", got.err, got.took, got.posts, after)
	}
	(&answersWant{Outcome: "lost"}).checkError(t, got.err, w.allSecrets())
}

// answersLate has the server process the request and answer when nobody waits any more.
func answersLate(by time.Duration) answersFunc {
	return func(req *http.Request, real func() (*http.Response, error)) (*http.Response, error) {
		if _, err := real(); err != nil {
			return nil, err
		}
		select {
		case <-time.After(by):
			return nil, errors.New("too late")
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
}

// answersDripping sends a byte a second: there is always progress, and never an end.
func answersDripping(req *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
	resp := answersJSON(req, http.StatusOK, answersGood)
	resp.Body = io.NopCloser(answersDrip{req.Context(), strings.NewReader(answersGood)})
	return resp, nil
}

type answersDrip struct {
	ctx  context.Context
	body io.Reader
}

func (d answersDrip) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return d.body.Read(p[:1])
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

// answersRewriteJWT changes the claims of a JWT; its signature is not that of the new ones.
func answersRewriteJWT(t *testing.T, token string, claims map[string]any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(payload, &all); err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, claims)
	if payload, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(payload)
	return strings.Join(parts, ".")
}

func TestAnswersForAnotherUserAreRefused(t *testing.T) {
	t.Parallel()
	const (
		otherID     = "00000000-1111-4222-8333-444444444444"
		otherTenant = "00000000-5555-4666-8777-888888888888"
	)
	clientInfo := func(uid, utid string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"uid":%q,"utid":%q}`, uid, utid)))
	}
	type members = map[string]any // the answer's; nil: removed
	directory := entratest.DefaultDirectory()
	tenantID := directory.Tenant("contoso.example").ID
	aliceID := directory.User(alice).ObjectID
	for _, vector := range []struct {
		name    string
		members members
		claims  map[string]any // the ID token's; nil: it stays as it is
		refused string         // "": the answer is fine
	}{
		{"client_info of another", members{"client_info": clientInfo(otherID, tenantID)}, nil, "account"},
		{"client_info of another tenant's user", members{"client_info": clientInfo(otherID, otherTenant)}, nil, "account"},
		{"client_info and ID token of another", members{"client_info": clientInfo(otherID, tenantID)}, map[string]any{"oid": otherID, "sub": "other"}, "account"},
		{"ID token alone, of another", members{"client_info": nil}, map[string]any{"oid": otherID, "sub": "other"}, "account"},
		{"ID token alone, another subject", members{"client_info": nil}, map[string]any{"sub": "other"}, "subject"},
		{"ID token alone, another subject and no object ID", members{"client_info": nil}, map[string]any{"oid": nil, "sub": "other"}, "refreshing"},
		{"ID token alone, of another tenant's user", members{"client_info": nil}, map[string]any{"oid": otherID, "sub": "other", "tid": otherTenant, "iss": "https://login.example.com/" + otherTenant + "/v2.0"}, "refreshing"},
		{"client_info the same, ID token of another", nil, map[string]any{"oid": otherID, "sub": "other"}, "refreshing"},
		{"another subject", nil, map[string]any{"sub": "other"}, "subject"},
		{"another issuer", nil, map[string]any{"iss": "https://login.example.com/" + tenantID + "/v2.0"}, "issuer"},
		{"another audience", nil, map[string]any{"aud": otherID}, "audience"},
		{"no ID token", members{"id_token": nil}, nil, ""},
		{"neither ID token nor client_info", members{"id_token": nil, "client_info": nil}, nil, ""},
		{"client_info in upper case", members{"client_info": clientInfo(strings.ToUpper(aliceID), strings.ToUpper(tenantID))}, nil, ""},
		{"another name", nil, map[string]any{"preferred_username": "alice.new@contoso.example", "name": "Alice New"}, ""},
	} {
		for _, route := range []string{"plain", "app"} {
			t.Run("69 "+vector.name+"/"+route, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newAnswersWorld(t, nil)
					c := w.credential(alice, false)
					if route == "app" {
						c = w.signIn(w.application(), alice, graphScope)
					}
					had := mustToken(t, c, tokenFor(graphScope))
					account, err := c.Account(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					mustToken(t, c, tokenFor(vaultScope))
					w.inject(1, func(req *http.Request, real func() (*http.Response, error)) (*http.Response, error) {
						edit := &answersEdit{Set: map[string]string{"refresh_token": `"answers-token-of-another"`}}
						for name, value := range vector.members {
							if value == nil {
								edit.Remove = append(edit.Remove, name)
							} else {
								edit.Set[name] = strconv.Quote(value.(string))
							}
						}
						if vector.claims != nil {
							var last struct {
								IDToken string `json:"id_token"`
							}
							if err := json.Unmarshal(w.lastIssued(), &last); err != nil {
								return nil, err
							}
							edit.Set["id_token"] = strconv.Quote(answersRewriteJWT(t, last.IDToken, vector.claims))
						}
						return (&answersSpec{Edit: edit}).answer(req, real)
					})
					w.count()
					token, err := c.GetToken(t.Context(), tokenFor(storageScope))
					if posts := w.count(); posts != 1 {
						t.Errorf("%d POSTs, want 1", posts)
					}
					if vector.refused == "" {
						if err != nil {
							t.Fatalf("refused: %v", err)
						}
						return
					}
					if token.Token != "" {
						t.Error("there is a token beside the error")
					}
					(&answersWant{Outcome: "failed", Text: []string{vector.refused, "not stored"}}).checkError(t, err, w.allSecrets())
					if token := mustToken(t, c, tokenFor(graphScope)); token != had {
						t.Error("the token that was held is gone")
					}
					if again, err := c.Account(t.Context()); err != nil || again.ID != account.ID || again.Username != account.Username {
						t.Errorf("account %+v, %v; it was %+v", again, err, account)
					}
					mustToken(t, c, tokenFor(storageScope)) // from the server: nothing was cached
					if posts := w.count(); posts != 1 {
						t.Errorf("%d POSTs for what was refused before, want 1", posts)
					}
					if sent := w.lastSent("refresh_token"); sent == "answers-token-of-another" {
						t.Error("the other user's refresh token was stored")
					}
				})
			})
		}
	}
}

func TestADeadGrantLeavesOtherUsersAlone(t *testing.T) {
	t.Parallel()
	t.Run("58 sessions revoked at the server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newAnswersWorld(t, nil)
			app := w.application()
			a, b := w.signIn(app, alice, graphScope), w.signIn(app, bob, graphScope)
			had := mustToken(t, a, tokenFor(graphScope))
			time.Sleep(time.Second) // what was issued in the second of the revocation may live
			if err := w.RevokeSessions(alice); err != nil {
				t.Fatal(err)
			}
			first := w.get(t.Context(), a, storageScope)
			required, ok := errors.AsType[*authcode.AuthenticationRequiredError](first.err)
			if !ok || first.posts != 1 || required.LoginHint != alice || required.AccountID == "" || required.TenantID == "" {
				t.Errorf("%+v, %d POSTs", first.err, first.posts)
			}
			(&answersWant{Outcome: "required", Code: "invalid_grant", STSCodes: []int{50173}}).checkError(t, first.err, w.allSecrets())
			if token := mustToken(t, a, tokenFor(graphScope)); token != had {
				t.Error("the token that is valid is not served")
			}
			if again := w.get(t.Context(), a, vaultScope); again.err == nil || again.posts != 0 {
				t.Errorf("a dead refresh token was sent again: %v, %d POSTs", again.err, again.posts)
			}
			w.get(t.Context(), b, storageScope).want(t, "another user", 1, 0)
			w.signIn(app, alice, graphScope) // the sign-in revives the credential that the app holds
			w.get(t.Context(), a, storageScope).want(t, "after the sign-in", 1, 0)
		})
	})
}
