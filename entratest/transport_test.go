package entratest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

func TestTransportInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		code := f.signIn(alice)
		f.Inject(entratest.Fault{Latency: 30 * time.Second, Times: 2})

		began := time.Now()
		a := f.mustToken(codeForm(code))
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("took %v", took)
		}
		if _, err := f.VerifyAccessToken(a.AccessToken); err != nil {
			t.Error(err)
		}

		// A client that gives up gets its context's error at once, and the request is not processed.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		code, began = f.signIn(alice), time.Now()
		_, err := f.Transport().RoundTrip(f.tokenRequest(codeForm(code)).WithContext(ctx))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		synctest.Wait()
		f.mustToken(codeForm(code))

		time.Sleep(61 * time.Minute)
		if _, err := f.VerifyAccessToken(a.AccessToken); err == nil {
			t.Error("the bubble's time is not the emulator's")
		}
	})
}

func TestTransportCancelledFirst(t *testing.T) {
	f := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Transport().RoundTrip(f.tokenRequest(codeForm("x")).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(f.Requests()) != 0 {
		t.Error("the request was made")
	}
}

func TestTransportHosts(t *testing.T) {
	f := start(t, &entratest.Options{Origin: "https://Login.example"})
	for target, found := range map[string]bool{
		"https://login.example/common/discovery/v2.0/keys":     true,
		"https://LOGIN.example:443/common/discovery/v2.0/keys": true,
		"https://login.example:444/common/discovery/v2.0/keys": false,
		"http://login.example/common/discovery/v2.0/keys":      false,
		"https://elsewhere.example/":                           false,
	} {
		response, err := f.client.Get(target)
		if found != (err == nil) {
			t.Errorf("%s: %v", target, err)
		}
		var dns *net.DNSError
		if !found && !errors.As(err, &dns) {
			t.Errorf("%s: %v", target, err)
		}
		if err == nil {
			response.Body.Close()
		}
	}
}

func TestTransportBodies(t *testing.T) {
	f := start(t, nil)
	r := f.tokenRequest(nil)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("a="), brokenReader{}))
	if _, err := f.Transport().RoundTrip(r); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a body that breaks: %v", err)
	}
	closed := &closing{Reader: strings.NewReader("grant_type=x")}
	r = f.tokenRequest(nil)
	r.Body = closed
	response := must(f.Transport().RoundTrip(r))
	response.Body.Close()
	if !closed.closed {
		t.Error("the body was not closed")
	}
	if response.Status != "400 Bad Request" || response.Request != r || response.Proto != "HTTP/1.1" {
		t.Errorf("%+v", response)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// A panic of a test's own callback arrives in the test.
func TestTransportPanic(t *testing.T) {
	f := start(t, nil)
	f.Inject(entratest.Fault{When: func(*http.Request) bool { panic("mine") }, Times: 1})
	defer func() {
		if recover() != "mine" {
			t.Error("no panic")
		}
	}()
	f.token(codeForm("x"))
}
