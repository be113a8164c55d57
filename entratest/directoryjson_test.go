package entratest_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/authcode-go/authcode/entratest"
)

// filled is a directory in which no field is empty.
func filled(t testing.TB) *entratest.Directory {
	d := entratest.DefaultDirectory()
	d.Users = []entratest.User{{
		Admin: true, Blocked: true, Disabled: true, Groups: []string{"96009000-1a2b-4c3d-8e4f-5a6b7c8d9e01"},
		Guests:      []entratest.Guest{{ObjectID: "a11ce999-1b2c-4d3e-9f40-5a6b7c8d9e0f", TenantID: fabrikam}},
		MFARequired: true, Name: "Alice Ånders", ObjectID: "a11ce000-5d6e-4f70-8a9b-0c1d2e3f4a5b", Password: "pass\"word\u0000",
		PasswordExpired: true, Roles: []string{"Reader"}, SignInFrequency: 90*time.Minute + time.Millisecond, TenantID: contoso, Username: alice,
	}}
	certificate := newPair(t, testKey(), time.Now().Add(time.Hour)).certificate
	d.Apps = append(d.Apps, entratest.App{
		Assigned: []string{alice}, AsksConsent: true, Certificates: []*x509.Certificate{certificate},
		ClientID: "11110000-1b2c-4d3e-8f4a-5b6c7d8e9f01", Disabled: true, ExpiredSecrets: []string{"old"},
		FederatedCredentials: []entratest.FederatedCredential{{
			Audience: "api://x", Issuer: "https://issuer.example", Subject: "<repo>&",
			Keys: []jose.JSONWebKey{{Key: testKey().Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"}},
		}},
		FrontChannelLogoutURL: "https://app.example.com/out", MultiTenant: true, Name: "full",
		Permissions: []string{"api://orders/Orders.Read.All"}, RedirectURIs: []string{"https://app.example.com/"},
		Secrets: []string{"s"}, TenantID: contoso, Type: entratest.Confidential,
	})
	return d
}

// emptyFields are the paths of fields that no element of the value fills.
func emptyFields(path string, values ...reflect.Value) []string {
	t := values[0].Type()
	if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[entratest.Directory]().PkgPath() {
		return nil
	}
	var all []string
	for i := range t.NumField() {
		var inner []reflect.Value
		full := false
		for _, v := range values {
			field := v.Field(i)
			full = full || !field.IsZero()
			for j := 0; field.Kind() == reflect.Slice && j < field.Len(); j++ {
				inner = append(inner, field.Index(j))
			}
		}
		name := path + "." + t.Field(i).Name
		if !full {
			all = append(all, name)
		}
		if len(inner) > 0 {
			all = append(all, emptyFields(name, inner...)...)
		}
	}
	return all
}

// equal compares directories. Keys are compared as they are written: go-jose does not keep nil and empty slices apart.
func equal(a, b *entratest.Directory) bool {
	keys := func(d *entratest.Directory) (plain entratest.Directory, keys []string) {
		plain = *d
		plain.Apps = slices.Clone(d.Apps)
		for i := range plain.Apps {
			app := &plain.Apps[i]
			app.FederatedCredentials = slices.Clone(app.FederatedCredentials)
			for j := range app.FederatedCredentials {
				for _, key := range app.FederatedCredentials[j].Keys {
					keys = append(keys, fmt.Sprint(i, j, string(must(key.MarshalJSON()))))
				}
				app.FederatedCredentials[j].Keys = nil
			}
		}
		return plain, keys
	}
	plainA, keysA := keys(a)
	plainB, keysB := keys(b)
	return reflect.DeepEqual(plainA, plainB) && slices.Equal(keysA, keysB)
}

// What is written is read back as the same, whatever a directory has.
func TestDirectoryRoundTrip(t *testing.T) {
	full := filled(t)
	full.Apps[0].Type, full.Apps[0].Secrets = entratest.Public, nil
	if empty := emptyFields("Directory", reflect.ValueOf(*full)); len(empty) > 0 {
		t.Errorf("the test leaves %s empty", strings.Join(empty, ", "))
	}
	for name, d := range map[string]*entratest.Directory{
		"full":         full,
		"default":      entratest.DefaultDirectory(),
		"no resources": {Tenants: []entratest.Tenant{{ID: contoso}}},
	} {
		data, err := json.Marshal(*d) // of a value: none of encoding/json's own form may slip out
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := entratest.ParseDirectory(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !equal(again, d) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, again, d)
		}
		var unmarshalled entratest.Directory
		if err := json.Unmarshal(data, &unmarshalled); err != nil || !equal(&unmarshalled, d) {
			t.Errorf("%s: Unmarshal: %v, %+v", name, err, unmarshalled)
		}
	}
	for text, want := range map[time.Duration]string{time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", 20 * time.Minute: "20m"} {
		d := &entratest.Directory{Users: []entratest.User{{SignInFrequency: text}}}
		if data := must(json.Marshal(d)); !bytes.Contains(data, []byte(`"sign_in_frequency":"`+want+`"`)) {
			t.Errorf("%v is written in %s", text, data)
		}
	}
}

func TestUnmarshalDirectory(t *testing.T) {
	config := struct{ Directory entratest.Directory }{Directory: *entratest.DefaultDirectory()}
	if err := json.Unmarshal([]byte(`{"Directory": null}`), &config); err != nil || len(config.Directory.Users) == 0 {
		t.Errorf("null: %v, %+v", err, config)
	}
	if err := json.Unmarshal([]byte(`{"Directory": {"user": []}}`), &config); err == nil || len(config.Directory.Users) == 0 {
		t.Errorf("a faulty one: %v, %+v", err, config)
	}
	if err := json.Unmarshal([]byte(`{"Directory": {"tenants": [{"domain": "a.example"}]}}`), &config); err != nil || len(config.Directory.Users) != 0 {
		t.Errorf("a good one: %v, %+v", err, config)
	}
}

func TestDirectoryNotWritable(t *testing.T) {
	for want, change := range map[string]func(d *entratest.Directory){
		"apps[0].type: ":              func(d *entratest.Directory) { d.Apps[0].Type = 3 },
		"apps[0].certificates[0]: ":   func(d *entratest.Directory) { d.Apps[0].Certificates = []*x509.Certificate{nil} },
		"apps[0].client_secrets[0]: ": func(d *entratest.Directory) { d.Apps[0].Secrets[0] = "canary\xff" },
		"federated_credentials[0].key": func(d *entratest.Directory) {
			d.Apps[0].FederatedCredentials = []entratest.FederatedCredential{{Keys: []jose.JSONWebKey{{Key: testKey()}}}}
		},
	} {
		d := entratest.DefaultDirectory()
		change(d)
		if _, err := json.Marshal(d); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Five lines are enough, and mean the same in every run: what has the IDs may be kept.
func TestShortDirectory(t *testing.T) {
	d, err := entratest.ParseDirectory([]byte("\ufeff" + `{
		"tenants": [{"domain": "Contoso.example"}, {"id": "consumers"}, {"domain": "fabrikam.example"}],
		"users": [{"username": "alice@contoso.example", "guests": [{"tenant_id": "fabrikam.example"}]}, {"username": "pat@outlook.example", "tenant_id": "consumers"}],
		"apps": [{"name": "web", "client_secrets": ["a secret"], "redirect_uris": ["https://app.example.com/auth/callback"]},
			{"name": "api", "tenant_id": "FABRIKAM.example"}]
	}`))
	if err != nil {
		t.Fatal(err)
	}
	const home, user, guest, app = "4d7937a5-8c4f-86ab-8e13-e704076042fc", "48de5db7-be72-8d17-8272-226e195d0d72", "bbaf7cb8-62f5-8a6b-b922-7f630604c1ba", "4930d0c0-9b88-80f9-9683-c955234134fb"
	got := []string{d.Tenants[0].ID, d.Tenants[1].ID, d.Users[0].ObjectID, d.Users[0].TenantID, d.Users[0].Guests[0].ObjectID, d.Users[0].Guests[0].TenantID, d.Users[1].TenantID, d.Apps[0].ClientID, d.Apps[0].TenantID, d.Apps[1].TenantID}
	want := []string{home, entratest.ConsumersTenantID, user, home, guest, d.Tenants[2].ID, entratest.ConsumersTenantID, app, home, d.Tenants[2].ID}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if !reflect.DeepEqual(d.Resources, entratest.DefaultDirectory().Resources) {
		t.Error("resources are not the default ones")
	}
	f := start(t, &entratest.Options{Directory: d}).at("contoso.example")
	f.mustToken(codeForm(f.signIn(alice, "client_id", app), "client_id", app, "client_secret", "a secret"))
}

func TestDerivedAppID(t *testing.T) {
	d, err := entratest.ParseDirectory([]byte(`{"tenants": [{"domain": "a.example"}], "resources": [{"id": "api://` + contoso + `"}, {"id": "api://x"}, {"id": "API://X/y"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if d.Resources[0].AppID != contoso || d.Resources[1].AppID == d.Resources[2].AppID {
		t.Errorf("%+v", d.Resources)
	}
}

func TestCertificateForms(t *testing.T) {
	certificate := newPair(t, testKey(), time.Now().Add(time.Hour)).certificate
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(testKey()))}))
	parse := func(text string) (*entratest.Directory, error) {
		return entratest.ParseDirectory(fmt.Appendf(nil, `{"tenants":[{"domain":"a.example"}],"apps":[{"name":"a","certificates":[%s]}]}`, must(json.Marshal(text))))
	}
	for _, good := range []string{text, base64.StdEncoding.EncodeToString(certificate.Raw)} {
		if d, err := parse(good); err != nil || !d.Apps[0].Certificates[0].Equal(certificate) {
			t.Errorf("%.40q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		text + text: "there is more after the certificate: write each as a string of its own, and nothing else",
		text + key:  "there is more after the certificate: write each as a string of its own, and nothing else",
		key:         "it is PEM of another kind, perhaps of a private key: only the certificate belongs here",
		"nonsense":  "it is not an X.509 certificate in PEM, or in base64 of its DER",
	} {
		if _, err := parse(bad); err == nil || err.Error() != "entratest: apps[0].certificates[0]: "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

var guids = regexp.MustCompile(`\([0-9a-f-]{36}\)`)

func TestParseDirectoryProblems(t *testing.T) {
	const tenants = `{"tenants": [{"domain": "contoso.example"}, {"domain": "fabrikam.example"}], `
	jwk := string(must(json.Marshal(jose.JSONWebKey{Key: testKey()})))
	for name, test := range map[string]struct{ text, want string }{
		"empty":             {"", "the directory is not JSON: line 1, column 1: unexpected end of JSON input"},
		"cut off":           {"{\n  \"tenants\": [", "the directory is not JSON: line 2, column 14: unexpected end of JSON input"},
		"syntax":            {"{\n  \"tenants\": [],\n  \"ä\": x}", "the directory is not JSON: line 3, column 8: invalid character 'x' looking for beginning of value"},
		"trailing":          {"{}\n{}", "the directory is not JSON: line 2, column 1: invalid character '{' after top-level value"},
		"not UTF-8":         {"{\"ä\xff\": 1}", "the directory is not UTF-8: line 1, column 4: save the file as UTF-8"},
		"long value":        {`{"tenants": [{"domain": "` + strings.Repeat("ä", 300) + `"}]}`, `tenants[0].domain: "` + strings.Repeat("ä", 40) + `…" is no domain: write one like contoso.example, punycode for other alphabets`},
		"many tenants":      {`{"tenants": [{"id": "consumers"}, {"domain": "a.example"}, {"domain": "b.example"}, {"domain": "c.example"}, {"domain": "d.example"}, {"domain": "e.example"}], "users": [{"username": "u", "tenant_id": "x"}]}`, `users[0].tenant_id: no tenant has the ID or domain "x": add it to tenants, or use one of 9188040d-6c67-4c5b-b112-36a304b66dad, a.example (TENANT), b.example (TENANT), c.example (TENANT), d.example (TENANT), …`},
		"deep":              {strings.Repeat("[", 20_000), "the directory is not JSON: line 1, column 10001: invalid character '[' exceeded max depth"},
		"a list":            {"[]", "it must be an object, not a list"},
		"null":              {"null", "it must be an object, not null; leave it out if it has no value"},
		"no tenants":        {"{}", `tenants: there is none: add one, such as {"domain": "contoso.example"}`},
		"$schema":           {tenants + `"$schema": 1}`, "$schema: it must be a string, not a number"},
		"$schema below":     {tenants + `"users": [{"$schema": "x", "username": "a@contoso.example"}]}`, "users[0].$schema: there is no such member: use one of admin, blocked, disabled, groups, guests, mfa_required, name, object_id, password, password_expired, roles, sign_in_frequency, tenant_id, username"},
		"unknown":           {tenants + `"apps": [{"name": "a", "redirect_uri": []}]}`, "apps[0].redirect_uri: there is no such member: did you mean redirect_uris?"},
		"camel case":        {tenants + `"apps": [{"name": "a", "redirectURIs": []}]}`, "apps[0].redirectURIs: there is no such member: did you mean redirect_uris?"},
		"a part":            {tenants + `"apps": [{"name": "a", "frontChannelLogout": ""}]}`, "apps[0].frontChannelLogout: there is no such member: did you mean front_channel_logout_url?"},
		"unknown, above":    {`{"tennants": []}`, "tennants: there is no such member: did you mean tenants?"},
		"unknown, odd":      {tenants + `"a.b\n": 1}`, `["a.b\n"]: there is no such member: use one of apps, resources, tenants, users`},
		"twice":             {tenants + `"users": [], "users": []}`, "users: the member stands twice: remove one"},
		"text for a list":   {tenants + `"apps": [{"name": "a", "client_secrets": "canary"}]}`, "apps[0].client_secrets: it must be a list, not a string"},
		"number for text":   {tenants + `"users": [{"username": "a@contoso.example", "password": 271828}]}`, "users[0].password: it must be a string, not a number"},
		"text for a switch": {tenants + `"users": [{"username": "a@contoso.example", "admin": "true"}]}`, "users[0].admin: it must be true or false, not a string"},
		"null for a switch": {tenants + `"users": [{"username": "a@contoso.example", "admin": null}]}`, "users[0].admin: it must be true or false, not null; leave it out if it has no value"},
		"a fraction":        {tenants + `"resources": [{"id": "api://x", "token_version": 1.5}]}`, "resources[0].token_version: it must be a whole number, not a number with a fraction or exponent"},
		"type":              {tenants + `"apps": [{"name": "a", "type": "web"}]}`, "apps[0].type: it must be one of confidential, public, spa"},
		"duration":          {tenants + `"users": [{"username": "a@contoso.example", "sign_in_frequency": "1 day"}]}`, `users[0].sign_in_frequency: "1 day" is not a duration with its unit, like "90s", "15m" or "1h30m"`},
		"seconds":           {tenants + `"users": [{"username": "a@contoso.example", "sign_in_frequency": 60}]}`, `users[0].sign_in_frequency: it must be a duration with its unit, like "90s", "15m" or "1h30m", not a number`},
		"no user":           {tenants + `"users": [1]}`, "users[0]: it must be an object, not a number"},
		"nameless tenant":   {`{"tenants": [{}], "users": [{"username": "a"}]}`, "tenants[0]: it has neither a domain nor an id: write one of them"},
		"nameless users":    {tenants + `"users": [{}, {}]}`, "users[0].username: missing: it must not be empty\nusers[1].username: missing: it must not be empty"},
		"nameless apps":     {tenants + `"apps": [{}, {}]}`, "apps[0].name: missing, and client_id too: write a name, of which the client_id is made, or a client_id\napps[1].name: missing, and client_id too: write a name, of which the client_id is made, or a client_id"},
		"same username":     {tenants + `"users": [{"username": "a@contoso.example"}, {"username": "A@contoso.example"}]}`, `users[1].username: "A@contoso.example" is users[0].username already: give each its own`},
		"homeless":          {tenants + `"users": [{"username": "a@x.example"}]}`, "users[0].tenant_id: missing, and no tenant has the domain of the username: write one of $tenants"},
		"unknown tenant":    {tenants + `"users": [{"username": "a@contoso.example", "tenant_id": "x"}]}`, `users[0].tenant_id: no tenant has the ID or domain "x": add it to tenants, or use one of $tenants`},
		"guest of nobody":   {tenants + `"users": [{"username": "a@contoso.example", "guests": [{}]}]}`, "users[0].guests[0].tenant_id: missing: write one of $tenants"},
		"faulty tenant":     {`{"tenants": [{"domain": 1}], "users": [{"username": "a@contoso.example", "tenant_id": "contoso.example"}]}`, "tenants[0].domain: it must be a string, not a number"},
		"private key":       {tenants + `"apps": [{"name": "a", "federated_credentials": [{"issuer": "https://x", "subject": "s", "keys": [` + jwk + `]}]}]}`, "apps[0].federated_credentials[0].keys[0]: it is a private key: remove its private members, such as d"},
		"symmetric key":     {tenants + `"apps": [{"name": "a", "federated_credentials": [{"issuer": "https://x", "subject": "s", "keys": [{"kty": "oct", "k": "Y2FuYXJ5"}]}]}]}`, "apps[0].federated_credentials[0].keys[0]: it is not a public JSON Web Key, RFC 7517: kty must be RSA, EC or OKP, with that type's members"},
		"no key":            {tenants + `"apps": [{"name": "a", "federated_credentials": [{"issuer": "https://x", "subject": "s", "keys": [{"kty": "RSA", "kty": "canary"}, {"kty": "canary"}]}]}]}`, "apps[0].federated_credentials[0].keys[0].kty: the member stands twice: remove one\napps[0].federated_credentials[0].keys[1]: it is not a JSON Web Key, RFC 7517, with a public key"},
		"all at once": {tenants + `"apps": [{"name": "a", "typ": "spa", "redirect_uris": ["https://x/", 7]}, {"type": "public", "name": "b", "client_secrets": ["canary"], "redirect_uris": ["http://x.example/#"]}]}`,
			"apps[0].typ: there is no such member: did you mean type?\napps[0].redirect_uris[1]: it must be a string, not a number\n" +
				"apps[1].redirect_uris[0]: it has a fragment: remove the # and what follows\n" +
				"apps[1].client_secrets: an app of type public must not authenticate: remove them, or make its type confidential"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := entratest.ParseDirectory([]byte(test.text))
			if err == nil {
				t.Fatal("accepted")
			}
			want := strings.ReplaceAll(test.want, "$tenants", "contoso.example (TENANT), fabrikam.example (TENANT)")
			want = "entratest: " + strings.ReplaceAll(want, "\n", "\nentratest: ")
			got := guids.ReplaceAllString(err.Error(), "(TENANT)")
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if strings.Contains(got, "canary") || strings.Contains(got, "271828") {
				t.Error("the error shows a secret")
			}
		})
	}
}

// The schema has each member there is, and no other, and says what each is for.
func TestDirectorySchemaInStep(t *testing.T) {
	type schema struct {
		Ref         string             `json:"$ref"`
		Description string             `json:"description"`
		Properties  map[string]*schema `json:"properties"`
		Items       *schema            `json:"items"`
		Defs        map[string]*schema `json:"$defs"`
	}
	var root schema
	if err := json.Unmarshal(entratest.DirectorySchema(), &root); err != nil {
		t.Fatal(err)
	}
	objects := 0
	var compare func(path string, s *schema, of reflect.Type)
	compare = func(path string, s *schema, of reflect.Type) {
		if s.Ref != "" {
			s = root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		}
		objects++
		names := map[string]bool{}
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			names[name] = true
			property := s.Properties[name]
			if name == "" || property == nil || property.Description == "" {
				t.Errorf("%s: the schema does not describe %s %q", path, of.Field(i).Name, name)
				continue
			}
			if field := of.Field(i).Type; field.Kind() == reflect.Slice && field.Elem().PkgPath() == of.PkgPath() && field.Elem().Kind() == reflect.Struct {
				compare(path+"."+name, property.Items, field.Elem())
			}
		}
		for name := range maps.Keys(s.Properties) {
			if !names[name] && !(path == "" && name == "$schema") {
				t.Errorf("%s: the schema has %q, which Go does not know", path, name)
			}
		}
	}
	compare("", &root, reflect.TypeFor[entratest.Directory]())
	if objects != 7 {
		t.Errorf("compared %d objects, want 7", objects)
	}
	changed := entratest.DirectorySchema()
	changed[0] = 'x'
	if entratest.DirectorySchema()[0] == 'x' {
		t.Error("callers share the schema")
	}
}

func TestAppTypeText(t *testing.T) {
	for want, appType := range map[string]entratest.AppType{"confidential": entratest.Confidential, "public": entratest.Public, "spa": entratest.SPA} {
		var again entratest.AppType
		if text, err := appType.MarshalText(); err != nil || string(text) != want || appType.String() != want {
			t.Errorf("%s is written %s, %v", want, text, err)
		}
		if err := again.UnmarshalText([]byte(want)); err != nil || again != appType {
			t.Errorf("%s is read as %v, %v", want, again, err)
		}
	}
	if s := entratest.AppType(-1).String(); s != "AppType(-1)" {
		t.Error(s)
	}
	if err := new(entratest.AppType).UnmarshalText([]byte("SPA")); err == nil {
		t.Error("SPA in capitals was accepted")
	}
}

// The example file serves sign-ins as it stands.
func TestDirectoryFile(t *testing.T) {
	d, err := entratest.ParseDirectory(must(os.ReadFile("testdata/directory.json")))
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, &entratest.Options{Directory: d}).at("tailspin.example")
	portal := d.App("portal")
	app := []string{"client_id", portal.ClientID, "redirect_uri", portal.RedirectURIs[1]}
	a := f.mustToken(codeForm(f.signIn("jonas@tailspin.example", app...), append(app, "client_secret", portal.Secrets[0])...))
	if got := claimsOf(t, a.IDToken)["name"]; got != "Jonas Lind" {
		t.Errorf("name is %v", got)
	}
}
