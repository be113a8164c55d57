package entratest

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is an [Emulator] behind TLS, HTTP/1.1 and HTTP/2, on this machine. Make one with [NewServer]; end it with
// Close.
type Server struct {
	*Emulator
	authority *x509.Certificate
	addr      net.Addr
	client    *http.Client
	http      *http.Server
	cancel    context.CancelFunc // of all requests
	serving   chan struct{}      // closed when no more connections are accepted
	conns     sync.WaitGroup
	closed    sync.Once
	closeErr  error
}

// NewServer starts an emulator at https://localhost:PORT, with a certificate (for localhost, 127.0.0.1 and ::1) of
// an authority made for it alone; [Options].Addr, Host and CA change that. Nil options are fine. An address it cannot
// listen on is an error that wraps the [net.OpError].
func NewServer(options *Options) (*Server, error) {
	if options == nil {
		options = &Options{}
	}
	address := cmp.Or(options.Addr, "127.0.0.1:0")
	host := cmp.Or(options.Host, "localhost")
	certificate, authority, err := options.certificates(host)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("entratest: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("entratest: %w", err), listener.Close())
	}
	name := net.JoinHostPort(host, port)
	emulator, err := newEmulator(options, "https://"+name)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{Emulator: emulator, authority: authority, serving: make(chan struct{})}
	s.client = newClient(authority, name, listener.Addr().String())
	s.addr = listener.Addr()
	s.start(listener, certificate)
	return s, nil
}

func (s *Server) start(listener net.Listener, certificate tls.Certificate) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.http = &http.Server{
		Handler:           s.Emulator,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         s.count,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that do not trust us are part of the tests
	}
	go func() {
		defer close(s.serving)
		_ = s.http.ServeTLS(listener, "", "") // ends with ErrServerClosed
	}()
}

// count follows the connections, for Close to wait until the last is gone.
func (s *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	}
}

// newClient trusts one authority, and finds the server whatever this machine resolves its name to.
func newClient(authority *x509.Certificate, name, address string) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if to == name {
				to = address
			}
			return dialer.DialContext(ctx, network, to)
		},
		ForceAttemptHTTP2:   true,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 100,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
}

// Client is an HTTP client that trusts this server and no other. It keeps connections until Close.
func (s *Server) Client() *http.Client { return s.client }

// Addr is the address the server listens on, with the port it was given.
func (s *Server) Addr() net.Addr { return s.addr }

// CertPEM is the certificate authority to trust, in PEM, for another program's --ca-file.
func (s *Server) CertPEM() []byte { return certPEM(s.authority) }

// Close stops the server at once, requests in progress included, and closes Client's idle connections. No goroutine
// is left. Closing again does nothing.
func (s *Server) Close() error {
	s.closed.Do(func() {
		s.cancel()
		s.closeErr = s.http.Close()
		<-s.serving
		s.client.CloseIdleConnections()
		s.conns.Wait()
	})
	return s.closeErr
}
