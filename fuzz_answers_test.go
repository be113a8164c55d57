package authcode_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode"
)

// FuzzTokenAnswer gives any bytes as the answer to a code and to a refresh. What comes out as a token can stand in a header and
// has a life; what comes out as an error says nothing of what was sent or issued.
func FuzzTokenAnswer(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "answers", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		if strings.TrimSuffix(filepath.Base(file), ".json") == answersRetryAfter {
			continue // not answers but a header of theirs
		}
		for _, vector := range answersVectors(f, file) {
			answersSeed(f, &vector.Answer)
		}
	}
	for _, echo := range []string{constructionCode, constructionSecret, "answers-issued-refresh"} {
		f.Add([]byte(`{"error":"invalid_client","error_description":"you sent `+echo+`","error_codes":[7000215]}`), 401, "application/json", true)
		f.Add([]byte(`<html>you sent `+echo), 502, "text/html", false)
		f.Add([]byte(`{"token_type":"`+echo+`","access_token":"answers-fuzzed-token"}`), 200, "application/json", true)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int, contentType string, length bool) {
		respond := func(req *http.Request) *http.Response {
			resp := answersResponse(req, status, http.Header{"Content-Type": {contentType}}, body)
			if !length {
				resp.ContentLength = -1
			}
			return resp
		}
		answersFuzzRedeem(t, body, respond)
		answersFuzzRefresh(t, body, respond)
	})
}

// answersSeed adds a vector's answer; an edit needs a real one, and a plain text will do here.
func answersSeed(f *testing.F, s *answersSpec) {
	f.Helper()
	real := func() (*http.Response, error) {
		return answersJSON(nil, http.StatusOK, strings.Replace(answersGood, "}", `,"client_info":"eyJ1aWQiOiJhIiwidXRpZCI6ImIifQ","id_token":"e30.eyJzdWIiOiJhIn0.e30","scope":"User.Read"}`, 1)), nil
	}
	resp, err := s.answer(nil, real)
	if err != nil {
		f.Fatal(err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		f.Fatal(err)
	}
	if body.Len() > 4<<10 {
		return // a fuzzer that copies long texts finds little
	}
	f.Add(body.Bytes(), resp.StatusCode, resp.Header.Get("Content-Type"), resp.ContentLength >= 0)
}

func answersFuzzRedeem(t *testing.T, body []byte, respond func(*http.Request) *http.Response) {
	posts := 0
	c := answersCredential(t, azcore.ClientOptions{Transport: answersScript(func(req *http.Request) (*http.Response, error) {
		posts++
		return respond(req), nil
	})})
	defer func() { _ = c.Close() }()
	token, err := c.GetToken(t.Context(), tokenFor(graphScope))
	sent := []string{constructionCode, constructionSecret}
	answersFuzzCheck(t, body, token, err, sent)
	if posts != 1 {
		t.Errorf("the code was sent %d times", posts)
	}
	if err == nil {
		if _, err := c.Account(t.Context()); err != nil {
			answersFuzzText(t, body, err, sent)
		}
	}
	for range 3 { // a kept code is tried again, a final one is not; neither is tried without end
		_, _ = c.GetToken(t.Context(), tokenFor(graphScope))
	}
	if posts > 4 || err == nil && posts > 1+3 {
		t.Errorf("%d POSTs in four calls", posts)
	}
}

func answersFuzzRefresh(t *testing.T, body []byte, respond func(*http.Request) *http.Response) {
	posts := 0
	c := answersCredential(t, azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}, Transport: answersScript(func(req *http.Request) (*http.Response, error) {
		if posts++; posts == 1 {
			return answersJSON(req, http.StatusOK, answersGood), nil
		}
		return respond(req), nil
	})})
	defer func() { _ = c.Close() }()
	had := mustToken(t, c, tokenFor(graphScope))
	token, err := c.GetToken(t.Context(), tokenFor(storageScope))
	answersFuzzCheck(t, body, token, err, []string{"answers-issued-refresh", constructionSecret})
	if again, err := c.GetToken(t.Context(), tokenFor(graphScope)); err != nil || again != had {
		t.Errorf("the token that was held is gone: %v", err)
	}
	if posts != 2 {
		t.Errorf("%d POSTs, want 2", posts)
	}
}

func answersFuzzCheck(t *testing.T, body []byte, token azcore.AccessToken, err error, sent []string) {
	t.Helper()
	if err != nil {
		if token != (azcore.AccessToken{}) {
			t.Error("there is a token beside the error")
		}
		answersFuzzText(t, body, err, sent)
		return
	}
	if token.Token == "" || strings.ContainsFunc(token.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		t.Errorf("token %q cannot stand in a header", token.Token)
	}
	// The clock ran on while the answer was read.
	if left := time.Until(token.ExpiresOn); left > 10*365*24*time.Hour || left < -time.Minute || token.RefreshOn.After(token.ExpiresOn) {
		t.Errorf("expires in %s, to be refreshed in %s", left, time.Until(token.RefreshOn))
	}
	// Another parser, which takes the last of two members, must read the same token: there were no two.
	var other map[string]json.RawMessage
	var access string
	if json.Unmarshal(body, &other) != nil || json.Unmarshal(other["access_token"], &access) != nil || access != token.Token {
		t.Errorf("token %q, and encoding/json reads %q", token.Token, access)
	}
}

func answersFuzzText(t *testing.T, body []byte, err error, sent []string) {
	t.Helper()
	text := err.Error()
	if strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
	}) || !utf8.ValidString(text) || utf8.RuneCountInString(text) > 2000 {
		t.Errorf("error %q", text)
	}
	for _, secret := range sent {
		if strings.Contains(text, secret) {
			t.Errorf("error %q repeats a secret", text)
		}
	}
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	// Where the same text stands elsewhere in the answer too, nobody could tell that it is a token.
	if json.Unmarshal(body, &issued) == nil && len(issued.AccessToken) >= 8 && bytes.Count(body, []byte(issued.AccessToken)) == 1 && strings.Contains(text, issued.AccessToken) && !strings.Contains(answersOwnWords, issued.AccessToken) {
		t.Errorf("error %q repeats the access token", text)
	}
	if failed, ok := errors.AsType[*authcode.AuthenticationFailedError](err); ok && failed.RawResponse != nil {
		var raw bytes.Buffer
		_, _ = raw.ReadFrom(failed.RawResponse.Body)
		for _, secret := range sent {
			if strings.Contains(raw.String(), secret) {
				t.Error("the copy of the answer repeats a secret")
			}
		}
	}
}

// answersOwnWords are long words of the errors themselves, which a fuzzer can find and use for a token.
const answersOwnWords = "authcode: redeeming the authorization code at login.example.com failed: the answer is malformed: refreshing a token access_token expires_in seconds"
