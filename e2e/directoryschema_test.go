package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/authcode-go/authcode/entratest"
)

// directorySchema compiles the schema; that it is one is checked against the metaschema of draft 2020-12.
func directorySchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(entratest.DirectorySchema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("directory.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("directory.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, text []byte) error {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

// An editor that knows the schema accepts what the emulator accepts.
func TestDirectorySchemaAccepts(t *testing.T) {
	schema := directorySchema(t)
	marshalled, err := json.Marshal(entratest.DefaultDirectory())
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("../entratest/testdata/directory.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"default":  string(marshalled),
		"example":  string(file),
		"short":    `{"tenants": [{"domain": "contoso.example"}]}`,
		"personal": `{"tenants": [{"id": "consumers"}], "users": [{"username": "pat@outlook.example", "tenant_id": "consumers"}], "resources": []}`,
		"app": `{"tenants": [{"domain": "xn--bcher-kva.example"}], "apps": [
			{"name": "web", "client_secrets": ["s"], "redirect_uris": ["https://app.example.com:8443/a?b=c", "http://127.0.0.1:80/"]},
			{"name": "native", "type": "public", "redirect_uris": ["http://localhost", "msal1://auth", "com.example.app:/callback", "urn:ietf:wg:oauth:2.0:oob"], "client_secrets": []},
			{"client_id": "9188040d-6c67-4c5b-b112-36a304b66dad", "federated_credentials": [{"issuer": "http://[::1]:80", "subject": "s", "keys": [
				{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}]}]}`,
		"user": `{"tenants": [{"domain": "a.example"}], "users": [{"username": "u@a.example", "name": "Ünal O'Neil", "sign_in_frequency": "1h30m0.5s", "groups": [], "roles": ["A.B"]}]}`,
	} {
		if err := validate(t, schema, []byte(text)); err != nil {
			t.Errorf("%s: the schema refuses it: %v", name, err)
		}
		if _, err := entratest.ParseDirectory([]byte(text)); err != nil {
			t.Errorf("%s: ParseDirectory refuses it: %v", name, err)
		}
	}
}

// What one place of a file can be wrong in, schema and ParseDirectory both refuse.
func TestDirectorySchemaRefuses(t *testing.T) {
	schema := directorySchema(t)
	app := func(members string) string {
		return `{"tenants": [{"domain": "a.example"}], "apps": [{"name": "app", ` + members + `}]}`
	}
	user := func(members string) string {
		return `{"tenants": [{"domain": "a.example"}], "users": [{"username": "u@a.example", ` + members + `}]}`
	}
	resource := func(members string) string {
		return `{"tenants": [{"domain": "a.example"}], "resources": [{"id": "api://a", ` + members + `}]}`
	}
	federated := func(members string) string { return app(`"federated_credentials": [{` + members + `}]`) }
	for name, text := range map[string]string{
		"list":                   `[]`,
		"no tenants":             `{}`,
		"empty tenants":          `{"tenants": []}`,
		"nameless tenant":        `{"tenants": [{}]}`,
		"unknown":                `{"tenants": [{"domain": "a.example"}], "tenant": {}}`,
		"unknown of tenant":      `{"tenants": [{"domain": "a.example", "name": "a"}]}`,
		"domain":                 `{"tenants": [{"domain": "a b.example"}]}`,
		"one label":              `{"tenants": [{"domain": "contoso"}]}`,
		"tenant ID":              `{"tenants": [{"id": "common"}]}`,
		"null":                   `{"tenants": [{"domain": "a.example"}], "users": null}`,
		"no username":            `{"tenants": [{"domain": "a.example"}], "users": [{"name": "u"}]}`,
		"empty username":         `{"tenants": [{"domain": "a.example"}], "users": [{"username": ""}]}`,
		"control character":      user(`"name": "a\u001b"`),
		"object ID":              user(`"object_id": "1"`),
		"tenant reference":       user(`"tenant_id": "a"`),
		"number for password":    user(`"password": 1`),
		"text for admin":         user(`"admin": "yes"`),
		"duration":               user(`"sign_in_frequency": "1 hour"`),
		"number for duration":    user(`"sign_in_frequency": 3600`),
		"negative duration":      user(`"sign_in_frequency": "-1h"`),
		"group":                  user(`"groups": ["admins"]`),
		"role":                   user(`"roles": [""]`),
		"guest without tenant":   user(`"guests": [{}]`),
		"nameless app":           `{"tenants": [{"domain": "a.example"}], "apps": [{}]}`,
		"app type":               app(`"type": "web"`),
		"text for secrets":       app(`"client_secrets": "s"`),
		"empty secret":           app(`"client_secrets": [""]`),
		"relative redirect":      app(`"redirect_uris": ["/callback"]`),
		"redirect with fragment": app(`"redirect_uris": ["https://a.example/#"]`),
		"redirect with wildcard": app(`"redirect_uris": ["https://*.a.example/"]`),
		"redirect with user":     app(`"redirect_uris": ["https://u:p@a.example/"]`),
		"redirect by http":       app(`"redirect_uris": ["http://a.example/"]`),
		"nearly loopback":        app(`"redirect_uris": ["http://localhost.a.example/"]`),
		"redirect twice":         app(`"redirect_uris": ["https://a.example/", "https://a.example/"]`),
		"web with own scheme":    app(`"redirect_uris": ["app://a"]`),
		"SPA with own scheme":    app(`"type": "spa", "redirect_uris": ["app://a"]`),
		"SPA with secret":        app(`"type": "spa", "client_secrets": ["s"]`),
		"public with secret":     app(`"type": "public", "expired_client_secrets": ["s"]`),
		"logout URL":             app(`"front_channel_logout_url": "http://a.example/"`),
		"empty certificate":      app(`"certificates": [""]`),
		"permission":             app(`"permissions": ["User.Read.All"]`),
		"issuer":                 federated(`"subject": "s"`),
		"issuer by http":         federated(`"issuer": "http://a.example", "subject": "s"`),
		"subject":                federated(`"issuer": "https://a.example"`),
		"symmetric key":          federated(`"issuer": "https://a.example", "subject": "s", "keys": [{"kty": "oct", "k": "Y2FuYXJ5"}]`),
		"private key":            federated(`"issuer": "https://a.example", "subject": "s", "keys": [{"kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]`),
		"resource without ID":    `{"tenants": [{"domain": "a.example"}], "resources": [{"app_id": "9188040d-6c67-4c5b-b112-36a304b66dad"}]}`,
		"resource ID":            `{"tenants": [{"domain": "a.example"}], "resources": [{"id": "orders"}]}`,
		"token version":          resource(`"token_version": 3`),
		"fractional version":     resource(`"token_version": 1.5`),
		"scope":                  resource(`"scopes": ["a b"]`),
		"admin scope":            resource(`"admin_scopes": ["\""]`),
	} {
		if validate(t, schema, []byte(text)) == nil {
			t.Errorf("%s: the schema accepts it", name)
		}
		_, err := entratest.ParseDirectory([]byte(text))
		if err == nil {
			t.Errorf("%s: ParseDirectory accepts it", name)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one problem is said:\n%v", name, err)
		}
	}
}
