package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// wire is an app's way to a server. It keeps a copy of every token request and its answer, and can change one on its way
// there: what a proxy, or a wrong setting, would do.
type wire struct {
	next     http.RoundTripper
	tokenURL string

	mu     sync.Mutex
	posts  []tokenPost
	tamper func(url.Values) // nil: nothing is changed
}

// tokenPost is one request to the token endpoint, as the app sent it.
type tokenPost struct {
	answer struct {
		Error        string `json:"error"`
		RefreshToken string `json:"refresh_token"`
	}
	authorization string
	form          url.Values
	status        int
}

func (w *wire) client() *http.Client { return &http.Client{Transport: w} }

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost || r.URL.String() != w.tokenURL {
		return w.next.RoundTrip(r)
	}
	post := tokenPost{authorization: r.Header.Get("Authorization")}
	r, err := w.copyRequest(r, &post)
	if err != nil {
		return nil, err
	}
	response, err := w.next.RoundTrip(r)
	if err == nil {
		err = copyAnswer(response, &post)
	}
	w.mu.Lock()
	w.posts = append(w.posts, post)
	w.mu.Unlock()
	return response, err
}

func (w *wire) copyRequest(r *http.Request, post *tokenPost) (*http.Request, error) {
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil, err
	}
	if post.form, err = url.ParseQuery(string(body)); err != nil {
		return nil, err
	}
	sent := string(body)
	w.mu.Lock()
	if w.tamper != nil {
		changed, _ := url.ParseQuery(sent)
		w.tamper(changed)
		sent = changed.Encode()
	}
	w.mu.Unlock()
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(strings.NewReader(sent))
	r.ContentLength = int64(len(sent))
	return r, nil
}

func copyAnswer(response *http.Response, post *tokenPost) error {
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	post.status = response.StatusCode
	return json.Unmarshal(body, &post.answer)
}

// setTamper changes the token requests that follow; nil: they are left alone again.
func (w *wire) setTamper(tamper func(url.Values)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tamper = tamper
}

// sent are the token requests of a grant type so far.
func (w *wire) sent(grantType string) []tokenPost {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []tokenPost
	for _, post := range w.posts {
		if post.form.Get("grant_type") == grantType {
			found = append(found, post)
		}
	}
	return found
}

// wantSent counts the token requests so far.
func (w *wire) wantSent(t *testing.T, codes, refreshes int) {
	t.Helper()
	if got := len(w.sent("authorization_code")); got != codes {
		t.Errorf("%d code POSTs, want %d", got, codes)
	}
	if got := len(w.sent("refresh_token")); got != refreshes {
		t.Errorf("%d refresh POSTs, want %d", got, refreshes)
	}
}
