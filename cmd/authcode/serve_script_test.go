package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// signInToApp is "sign-in-to-app USER FILE": USER opens the profile in the app of demo --serve --json, signs in, goes through the
// step-up, signs out, and is not in any more. FILE gets the pages.
func signInToApp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sign-in-to-app USER FILE")
	}
	var d eventDocument
	ts.Check(json.Unmarshal([]byte(sceneOf(ts).emulator.lines.String()), &d))
	b := newPageReader(ts, d, args[0])
	var pages strings.Builder
	for _, path := range []string{"/", "/profile", "/payslips", "/sessions", "/files"} {
		pages.WriteString(b.read(http.MethodGet, d.URL+path))
	}
	b.read(http.MethodPost, d.URL+"/auth/logout")
	pages.WriteString("after sign-out: " + b.read(http.MethodGet, d.URL+"/"))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(pages.String()), 0o600))
}

// pageReader is a browser without its screen.
type pageReader struct {
	client *http.Client
	ts     *testscript.TestScript
}

func newPageReader(ts *testscript.TestScript, d eventDocument, user string) *pageReader {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile(d.CAFile)))
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	ts.Defer(transport.CloseIdleConnections)
	return &pageReader{ts: ts, client: &http.Client{Jar: jar, Transport: signsInAs{user, transport}}}
}

// signsInAs signs its user in without the emulator's pages.
type signsInAs struct {
	user string
	next http.RoundTripper
}

func (s signsInAs) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/authorize") {
		r = r.Clone(r.Context())
		r.URL.RawQuery += "&emulator_user=" + url.QueryEscape(s.user)
	}
	return s.next.RoundTrip(r)
}

func (p *pageReader) read(method, address string) string {
	r, err := http.NewRequestWithContext(context.Background(), method, address, nil)
	p.ts.Check(err)
	r.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	}
	response, err := p.client.Do(r)
	p.ts.Check(err)
	body, err := io.ReadAll(response.Body)
	p.ts.Check(errors.Join(err, response.Body.Close()))
	if response.StatusCode != http.StatusOK {
		p.ts.Fatalf("%s %s: %s\n%s", method, address, response.Status, body)
	}
	return string(body)
}
