package entratest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"
)

//go:embed directory.schema.json
var directorySchema []byte

// DirectorySchema is the JSON Schema, draft 2020-12, of what [ParseDirectory] reads, for editors and for checks without
// Go. A file may name it in its "$schema" member. What refers from one place of the file to another, such as a
// tenant_id, only ParseDirectory can check. The caller owns the slice.
func DirectorySchema() []byte { return slices.Clone(directorySchema) }

// ParseDirectory reads a [Directory] from JSON, RFC 8259: an object with the members tenants, users, apps and resources,
// whose objects have the members that the tags of [Tenant], [User], [App] and [Resource] name. A sign_in_frequency is
// text that [time.ParseDuration] takes; a certificate is PEM or the base64 of its DER; keys are public JSON Web Keys.
//
// A file is short, since much can be left out:
//
//	{
//	  "tenants": [{"domain": "contoso.example"}],
//	  "users": [{"username": "alice@contoso.example"}],
//	  "apps": [{"name": "web", "client_secrets": ["a secret"], "redirect_uris": ["http://localhost:3000/callback"]}]
//	}
//
// What is left out:
//
//   - Without resources, there are those of [DefaultDirectory]; an empty list means none.
//   - Without a tenant's id, user's or guest's object_id, app's client_id or resource's app_id, it is made of the domain,
//     username, name or id by SHA-256, RFC 9562 section 5.8: the same in every run. The app_id of a resource whose id is
//     api:// and a GUID is that GUID.
//   - A tenant_id may be the tenant's domain, or consumers, which is [ConsumersTenantID]. Without it, a user is of the
//     tenant whose domain the username ends with, or of the only one there is; an app is of the first.
//   - Everything else is its zero value: an app's type is confidential, an access token's version 1.
//
// Syntax errors name line and column. Otherwise the error is all problems at once, one a line, each with its path:
//
//	entratest: apps[1].redirect_uris[0]: http is for localhost and 127.0.0.1: use https
//
// Members that do not exist or stand twice, values of the wrong type, and a directory that [NewHandler] would refuse are
// problems. No error repeats a password or a secret.
func ParseDirectory(data []byte) (*Directory, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // RFC 8259 section 8.1 lets parsers ignore it; editors write it
	if err := checkSyntax(data); err != nil {
		return nil, err
	}
	p := &problems{}
	d := &Directory{Resources: DefaultDirectory().Resources}
	p.read("", data, reflect.ValueOf(d).Elem())
	d.complete(p)
	d.examine(p)
	if err := p.err(); err != nil {
		return nil, err
	}
	return d, nil
}

// UnmarshalJSON is [ParseDirectory]. As ever, null changes nothing.
func (d *Directory) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	parsed, err := ParseDirectory(data)
	if err != nil {
		return err
	}
	*d = *parsed
	return nil
}

// MarshalJSON writes what [ParseDirectory] reads back as the same directory, passwords and secrets included. A value that
// JSON has no form for, such as text that is not UTF-8, an unknown type or a private key, is an error.
func (d Directory) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	if err := writeValue(&b, "", reflect.ValueOf(d)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// checkSyntax refuses what is not one JSON text, and says where.
func checkSyntax(data []byte) error {
	if !utf8.Valid(data) {
		at := 0
		for r, size := utf8.DecodeRune(data); r != utf8.RuneError || size != 1; r, size = utf8.DecodeRune(data[at:]) {
			at += size
		}
		return fmt.Errorf("entratest: the directory is not UTF-8: %s: save the file as UTF-8", position(data, at))
	}
	err := json.Unmarshal(data, new(json.RawMessage))
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("entratest: the directory is not JSON: %s: %w", position(data, int(syntax.Offset)-1), err)
	}
	return err
}

// position is where an offset is for people, who count lines and columns from 1.
func position(data []byte, offset int) string {
	before := data[:max(0, min(offset, len(data)))]
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	return fmt.Sprintf("line %d, column %d", bytes.Count(before, []byte("\n"))+1, utf8.RuneCount(line)+1)
}
