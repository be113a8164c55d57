package main

import (
	"encoding/base64"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/examples/internal/stage"
	"github.com/authcode-go/authcode/internal/testserver"
)

// With a store, users stay signed in when the app starts again.
func TestStoresOutliveTheApp(t *testing.T) {
	for name, start := range map[string]func(*testing.T) string{
		"bolt": func(t *testing.T) string { return "bolt:" + filepath.Join(t.TempDir(), "app.db") },
		"redis": func(t *testing.T) string {
			server, err := testserver.StartRedis()
			testserver.Need(t, err)
			t.Cleanup(server.Stop)
			return "redis://:" + server.Password + "@" + server.Address
		},
		"postgres": func(t *testing.T) string {
			server, err := testserver.StartPostgres()
			testserver.Need(t, err)
			t.Cleanup(server.Stop)
			return server.URL
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := stage.New(t)
			s.Env["STORE"] = start(t)
			s.Env["SEALER_KEY"] = base64.StdEncoding.EncodeToString(make([]byte, 32))
			app := &restartable{}
			app.start(t, s)
			origin := s.Serve(app)
			b := s.NewBrowser(alice)
			b.Open(origin+"/profile").Wants(t, 200, alice)
			app.end()
			app.start(t, s)
			defer app.end()
			b.Open(origin+"/").Wants(t, 200, "Hello, Alice Anders")
			b.Open(origin+"/profile").Wants(t, 200, "Token for Microsoft Graph")
		})
	}
}

// restartable is an address with one process after another behind it.
type restartable struct {
	http.Handler
	end func()
}

func (a *restartable) start(t *testing.T, s *stage.Stage) {
	t.Helper()
	var err error
	if a.Handler, a.end, err = newWebApp(t.Context(), s.Getenv()); err != nil {
		t.Fatal(err)
	}
}

func TestSettingsThatAreWrong(t *testing.T) {
	for name, test := range map[string]struct{ variable, value, want string }{
		"no client":     {"AZURE_CLIENT_ID", "", "AZURE_CLIENT_ID is not set"},
		"store":         {"STORE", "mysql://x", "STORE: it is memory, bolt:FILE"},
		"no key":        {"STORE", "bolt:" + filepath.Join(t.TempDir(), "app.db"), "SEALER_KEY is no base64 of 32 bytes"},
		"redis address": {"STORE", "redis://:hunter2@%", "write redis://HOST:PORT"},
		"CA":            {"CA_FILE", "main.go", "main.go holds no certificate in PEM"},
		"redirect URI":  {"REDIRECT_URI", "http://localhost:3000/", "needs a path of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			s := stage.New(t)
			s.Env[test.variable] = test.value
			_, end, err := newWebApp(t.Context(), s.Getenv())
			if err == nil {
				end()
				t.Fatal("it starts")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}
