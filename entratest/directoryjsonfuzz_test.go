package entratest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

// Whatever a file holds, it is refused without a word of its secrets, or it is a directory that an emulator takes, and
// that is written and read back as the same.
func FuzzParseDirectory(f *testing.F) {
	const canary = "kX9-canary-2718281828"
	f.Add(must(os.ReadFile("testdata/directory.json")))
	f.Add(must(json.Marshal(entratest.DefaultDirectory())))
	for _, text := range []string{
		`{"tenants": [{"domain": "a.example"}], "users": [{"username": "u@a.example", "password": "CANARY", "sign_in_frequency": "-1h"}]}`,
		`{"tenants": [{"domain": "a.example"}], "apps": [{"name": "a", "client_secrets": "CANARY", "expired_client_secrets": ["CANARY", 1e400]}]}`,
		`{"tenants": [{"domain": "a.example"}], "apps": [{"name": "a", "type": "spa", "client_secrets": ["CANARY"], "redirect_uris": ["http://x/#", "https://[", "%"]}]}`,
		`{"tenants": [{"domain": "a.example", "domain": 1}, {"id": "consumers"}, null], "users": [{"password": {"x": "CANARY"}}], "resources": []}`,
		`{"users": [{"password": "CANARY`,
		`{"tenants": [{"id": "a"}], "resources": [{"id": "api://9188040d-6c67-4c5b-b112-36a304b66dad", "token_version": 0}], "apps": [{"certificates": ["MII="], "federated_credentials": [{"keys": [{"kty": "oct", "k": "CANARY"}]}]}]}`,
		"\xff", "[]", "null", "\ufeff{}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.ReplaceAll(data, []byte("CANARY"), []byte(canary))
		d, err := entratest.ParseDirectory(data)
		if err != nil {
			if strings.Contains(err.Error(), canary) && onlySecret(data, canary) {
				t.Fatalf("%v\nof %q", err, data)
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "entratest: ") {
					t.Fatalf("a problem of more than one line: %q", err)
				}
			}
			return
		}
		if _, err := entratest.NewHandler(&entratest.Options{Directory: d}); err != nil {
			t.Fatalf("%v\nof %q", err, data)
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("%v\nof %q", err, data)
		}
		again, err := entratest.ParseDirectory(text)
		if err != nil {
			t.Fatalf("%v\nof %s", err, text)
		}
		if !equal(d, again) {
			t.Fatalf("got\n%+v\nwant\n%+v\nof %s", again, d, text)
		}
	})
}

// onlySecret reports whether text stands only where secrets belong: a name or a domain may be shown.
func onlySecret(data []byte, text string) bool {
	var root any
	if json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &root) != nil {
		return true
	}
	var clean func(name string, v any) bool
	clean = func(name string, v any) bool {
		switch v := v.(type) {
		case string:
			return !strings.Contains(v, text) || name == "password" || name == "client_secrets" || name == "expired_client_secrets" || name == "k"
		case []any:
			for _, e := range v {
				if !clean(name, e) {
					return false
				}
			}
		case map[string]any:
			for n, e := range v {
				if strings.Contains(n, text) || !clean(n, e) {
					return false
				}
			}
		}
		return true
	}
	return clean("", root)
}
