package authcode

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// rereadable is a response body that starts again at its end: whoever looks at an error's RawResponse after a
// logger did still finds the body.
type rereadable struct{ *bytes.Reader }

func newRereadable(body []byte) io.ReadCloser { return rereadable{bytes.NewReader(body)} }

func (b rereadable) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		_, _ = b.Seek(0, io.SeekStart)
	}
	return n, err
}

func (b rereadable) Close() error {
	_, err := b.Seek(0, io.SeekStart)
	return err
}

// withheld replaces the body of an answer that may hold tokens.
const withheld = "[withheld: the answer may hold tokens]"

// safeResponse copies an answer for RawResponse, without secrets and without what would keep the connection or
// the caller's context alive.
func safeResponse(resp *http.Response, body []byte, r redactor) *http.Response {
	if resp == nil {
		return nil
	}
	safe := &http.Response{
		Status:     r.line(resp.Status, maxProtocolField),
		StatusCode: resp.StatusCode,
		Proto:      resp.Proto,
		ProtoMajor: resp.ProtoMajor,
		ProtoMinor: resp.ProtoMinor,
		Header:     r.header(resp.Header),
	}
	text := []byte(r.text(string(body)))
	if resp.StatusCode < 300 || holdsTokens(body) {
		text = []byte(withheld)
	}
	safe.Body = newRereadable(text)
	safe.ContentLength = int64(len(text))
	safe.Header.Del("Content-Length")
	if resp.Request != nil {
		safe.Request = safeRequest(resp.Request)
	}
	return safe
}

func safeRequest(req *http.Request) *http.Request {
	clean := (&http.Request{Method: req.Method, URL: req.URL, Host: req.Host, Proto: req.Proto, Header: http.Header{}}).WithContext(context.Background())
	for _, name := range []string{"Client-Request-Id", "User-Agent"} {
		if value := req.Header.Get(name); value != "" {
			clean.Header.Set(name, value)
		}
	}
	return clean
}

func holdsTokens(body []byte) bool {
	for _, member := range []string{"access_token", "refresh_token", "id_token"} {
		if bytes.Contains(body, []byte(`"`+member+`"`)) {
			return true
		}
	}
	return false
}
