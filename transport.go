package authcode

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	maxBodyBytes   = 1 << 20   // of any answer, decoded
	maxHeaderBytes = 256 << 10 // of any answer
)

// defaultClient is one for the process: a connection costs more than a redemption, so all Apps share them. It is
// never closed.
var defaultClient = &http.Client{
	CheckRedirect: refuseRedirects,
	Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		// A connection that the network dropped in silence would fail one refresh after another, each after its whole time.
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: maxBodyBytes, // else it buffers 4 MiB before our limit is looked at
			PingTimeout:               3 * time.Second,
			SendPingTimeout:           5 * time.Second,
		},
	},
}

// refuseRedirects hands the redirect to us instead of following it: a token request would carry its secrets along
// (RFC 9700 section 4.12).
func refuseRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newTransport puts the bounds of this package around a caller's Transporter.
func newTransport(given policy.Transporter) policy.Transporter {
	switch t := given.(type) {
	case nil:
		return boundedTransport{defaultClient}
	case *http.Client:
		if t == nil {
			return boundedTransport{defaultClient}
		}
		own := *t
		own.CheckRedirect = refuseRedirects
		return boundedTransport{&own}
	}
	return boundedTransport{given}
}

// boundedTransport holds every answer to the size limit, finds redirects that were followed against our will, and
// masks secrets in errors before azcore's retry policy logs them.
type boundedTransport struct{ inner policy.Transporter }

func (t boundedTransport) Do(req *http.Request) (*http.Response, error) {
	call := tokenCallOf(req.Context())
	if call != nil {
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), call.sent.trace()))
		if err := keepInMemory(req); err != nil {
			return nil, &proofError{fmt.Errorf("a policy left a form that cannot be read: %w", err)}
		}
		if err := timeOver(req.Context()); err != nil { // as after a slow assertion; net/http reports nothing of such a try
			call.sent.started.Store(true)
			return nil, err
		}
	}
	resp, err := t.inner.Do(req)
	switch {
	case err != nil:
		return nil, call.redact(err)
	case resp == nil || resp.Body == nil:
		return nil, &badAnswerError{"the Transporter returned none"}
	case wasRedirected(req, resp):
		_ = resp.Body.Close()
		return nil, &badAnswerError{"the Transporter followed a redirect for it, and the secrets of the request may have gone along"}
	}
	resp.Body = &boundedBody{body: resp.Body, left: maxBodyBytes}
	return resp, nil
}

// timeOver is ctx.Err by the clock: a process that was stopped goes on before its timers do.
func timeOver(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// keepInMemory gives net/http the form in a reader that it knows: headers and form then leave in one packet, where it would
// send the headers ahead of a body that might be slow.
func keepInMemory(req *http.Request) error {
	if req.Body == nil || req.ContentLength <= 0 || req.ContentLength > maxBodyBytes {
		return nil
	}
	defer func(given io.Closer) { _ = given.Close() }(req.Body)
	form, err := readExactly(req.Body, req.ContentLength)
	if err == nil {
		req.Body = io.NopCloser(bytes.NewReader(form))
	}
	return err
}

var errLonger = errors.New("it is longer than it says")

// readExactly reads to the end of what says how long it is.
func readExactly(r io.Reader, size int64) ([]byte, error) {
	text := make([]byte, size+1)
	n, err := io.ReadFull(r, text)
	switch {
	case err == nil:
		return nil, errLonger
	case int64(n) == size:
		return text[:n], nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// wasRedirected finds a Transporter that followed a redirect: away, or away and back.
func wasRedirected(req *http.Request, resp *http.Response) bool {
	last := resp.Request
	if last == nil || last.Response != nil {
		return last != nil
	}
	return last.URL != nil && last.URL != req.URL && last.URL.String() != req.URL.String()
}

// badAnswerError is an answer that arrived and cannot be used; trying again would not help.
type badAnswerError struct{ what string }

func (e *badAnswerError) Error() string { return e.what }
func (e *badAnswerError) NonRetriable() {}

// boundedBody fails when there is more than the limit, where io.LimitReader would cut silently.
type boundedBody struct {
	body io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if isBrokenEncoding(err) { // it arrived whole, or net/http would have said so: nothing was lost
		return n, &badAnswerError{"its compression is broken"}
	}
	b.left -= n
	if b.left < 0 {
		return 0, &badAnswerError{fmt.Sprintf("it is larger than %d MiB", maxBodyBytes>>20)}
	}
	return n, err
}

func isBrokenEncoding(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum)
}

func (b *boundedBody) Close() error { return b.body.Close() }

// sentState finds out whether a request can have reached the server. Only what is provably unsent counts as such: a
// Transporter that does not report (httptrace) may have sent anything.
type sentState struct{ started, wrote atomic.Bool }

func (s *sentState) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:      func(string) { s.started.Store(true) },
		WroteHeaders: func() { s.wrote.Store(true) },
	}
}

func (s *sentState) provablyUnsent() bool { return s.started.Load() && !s.wrote.Load() }

// userAgentPolicy names the library and, before it, the application that asked to be named.
type userAgentPolicy struct{ value string }

func (p userAgentPolicy) Do(req *policy.Request) (*http.Response, error) {
	if p.value != "" {
		req.Raw().Header.Set("User-Agent", p.value)
	}
	return req.Next()
}

// isBadAnswer gives what is wrong with an answer that arrived.
func isBadAnswer(err error) (string, bool) {
	var bad *badAnswerError
	if errors.As(err, &bad) {
		return bad.what, true
	}
	return "", false
}
