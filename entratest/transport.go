package entratest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Transport is a way to the emulator without sockets, for an [http.Client], azcore or a testing/synctest bubble.
// It serves each request in a goroutine of its own, returns the context's error as soon as the context ends, and
// gives [io.ErrUnexpectedEOF] where a connection would be cut. Hosts other than the emulator's are not found.
func (e *Emulator) Transport() http.RoundTripper { return inProcess{e} }

type inProcess struct{ emulator *Emulator }

// RoundTrip implements [http.RoundTripper].
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	served, err := t.accept(r)
	if err != nil {
		return nil, err
	}
	w := &recorder{header: make(http.Header)}
	done := make(chan any, 1) // what the handler panicked with, if it did
	go func() {
		defer func() { done <- recover() }()
		t.emulator.ServeHTTP(w, served)
	}()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case panicked := <-done:
		return w.response(r, panicked)
	}
}

// accept makes of the client's request what a server would see of it. The body is read here: a RoundTripper must not
// touch it after it returned, and the handler may run on.
func (t inProcess) accept(r *http.Request) (*http.Request, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if closeErr := r.Body.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return nil, err
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if !t.emulator.hosts(r.URL) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
			Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true,
		}}
	}
	served := r.Clone(r.Context())
	if served.Header == nil {
		served.Header = make(http.Header)
	}
	if served.Host == "" {
		served.Host = r.URL.Host
	}
	served.Body = io.NopCloser(bytes.NewReader(body))
	served.GetBody = nil
	served.RequestURI = r.URL.RequestURI()
	served.RemoteAddr = "127.0.0.1:1024"
	served.Proto, served.ProtoMajor, served.ProtoMinor = "HTTP/1.1", 1, 1
	return served, nil
}

// hosts reports whether a URL is at the emulator's origin.
func (e *Emulator) hosts(u *url.URL) bool {
	host := strings.ToLower(u.Scheme + "://" + u.Host)
	origin := strings.ToLower(e.origin)
	return host == origin || host == origin+map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
}

// recorder is the [http.ResponseWriter] of a request without a connection.
type recorder struct {
	header http.Header
	status int
	sent   http.Header
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Flush has nothing to do: the client sees what was written when the handler is done.
func (w *recorder) Flush() {}

// response is what the client receives.
func (w *recorder) response(r *http.Request, panicked any) (*http.Response, error) {
	var tail io.Reader = eof{io.EOF}
	if panicked != nil {
		if err, ok := panicked.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			panic(panicked) // a bug, or a test's own callback: it belongs to the caller
		}
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		if w.status == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		tail = eof{io.ErrUnexpectedEOF}
	}
	w.WriteHeader(http.StatusOK)
	length, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64) // what was promised
	if err != nil {
		length = -1
	}
	if r.Method == http.MethodHead {
		w.body.Reset()
	}
	return &http.Response{
		Status:        strconv.Itoa(w.status) + " " + http.StatusText(w.status),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.sent,
		Body:          io.NopCloser(io.MultiReader(&w.body, tail)),
		ContentLength: length,
		Request:       r,
	}, nil
}

// eof is a reader at its end.
type eof struct{ err error }

func (e eof) Read([]byte) (int, error) { return 0, e.err }
