package entratest

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// read reads a JSON value into a field, and goes on after problems to find them all. It is what encoding/json does not
// give: exact member names, no member twice or unknown, no null, and the path of each problem.
func (p *problems) read(path string, raw json.RawMessage, into reflect.Value) {
	raw = bytes.TrimSpace(raw)
	switch v := into.Addr().Interface().(type) {
	case *time.Duration:
		p.readDuration(path, raw, v)
		return
	case *AppType:
		if text, ok := p.readText(path, raw); ok && v.UnmarshalText([]byte(text)) != nil {
			p.add(path, "it must be one of %s", strings.Join(appTypeNames, ", "))
		}
		return
	case **x509.Certificate:
		if text, ok := p.readText(path, raw); ok {
			*v = p.parseCertificate(path, text)
		}
		return
	case *jose.JSONWebKey:
		p.readKey(path, raw, v)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		p.readObject(path, raw, into)
	case reflect.Slice:
		p.readList(path, raw, into)
	case reflect.String:
		p.decode(path, raw, into, "a string")
	case reflect.Bool:
		p.decode(path, raw, into, "true or false")
	default:
		p.decode(path, raw, into, "a whole number")
	}
}

func (p *problems) decode(path string, raw []byte, into reflect.Value, want string) bool {
	if string(raw) != "null" && json.Unmarshal(raw, into.Addr().Interface()) == nil {
		return true
	}
	p.add(path, "it must be %s, not %s", want, kindOf(raw))
	return false
}

// kindOf names the kind of a JSON value, and nothing of the value: it may be a secret in the wrong place.
func kindOf(raw []byte) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null; leave it out if it has no value"
	}
	if bytes.ContainsAny(raw, ".eE") {
		return "a number with a fraction or exponent"
	}
	return "a number"
}

func (p *problems) readText(path string, raw []byte) (text string, ok bool) {
	ok = p.decode(path, raw, reflect.ValueOf(&text).Elem(), "a string")
	return text, ok
}

func (p *problems) readList(path string, raw []byte, into reflect.Value) {
	var elements []json.RawMessage
	if !p.decode(path, raw, reflect.ValueOf(&elements).Elem(), "a list") {
		return
	}
	into.SetZero()
	if len(elements) > 0 {
		into.Set(reflect.MakeSlice(into.Type(), len(elements), len(elements)))
	}
	for i, raw := range elements {
		p.read(element(path, i), raw, into.Index(i))
	}
}

func (p *problems) readObject(path string, raw []byte, into reflect.Value) {
	fields := fieldsOf(into.Type())
	p.eachMember(path, raw, func(name string, value json.RawMessage) {
		i := slices.IndexFunc(fields, func(f jsonField) bool { return f.name == name })
		switch {
		case i >= 0:
			p.read(member(path, name), value, into.Field(fields[i].index))
		case path == "" && name == "$schema":
			p.readText(name, value)
		default:
			meant, advice := suggest(name, fields)
			p.add(member(path, name), "there is no such member: %s", advice)
			if meant != "" {
				p.hide(member(path, meant)) // what it would have said is not known
			}
		}
	})
}

// eachMember calls f for each member of an object, the first of each name; ok is false if there is no object, or one
// with a member twice.
func (p *problems) eachMember(path string, raw []byte, f func(name string, value json.RawMessage)) (ok bool) {
	if raw[0] != '{' {
		p.add(path, "it must be an object, not %s", kindOf(raw))
		return false
	}
	ok = true
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, err := decoder.Token()
	seen := make(map[string]bool)
	for err == nil && decoder.More() {
		var token json.Token
		if token, err = decoder.Token(); err != nil {
			break
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err = decoder.Decode(&value); err != nil {
			break
		}
		if seen[name] {
			p.add(member(path, name), "the member stands twice: remove one")
			ok = false
			continue
		}
		seen[name] = true
		f(name, value)
	}
	if err != nil {
		p.add(path, "it cannot be read: %v", err)
	}
	return ok && err == nil
}

func (p *problems) readDuration(path string, raw []byte, into *time.Duration) {
	const want = `a duration with its unit, like "90s", "15m" or "1h30m"`
	var text string
	if string(raw) == "null" || json.Unmarshal(raw, &text) != nil {
		p.add(path, "it must be %s, not %s", want, kindOf(raw))
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		p.add(path, "%s is not %s", quoted(text), want)
	}
	*into = d
}

// parseCertificate reads PEM, or the base64 of the DER as in x5c, RFC 7517 section 4.7. A text that is neither is not
// repeated: it may be a private key.
func (p *problems) parseCertificate(path, text string) *x509.Certificate {
	der, rest := []byte(nil), []byte(nil)
	if block, after := pem.Decode([]byte(text)); block != nil {
		if block.Type != "CERTIFICATE" {
			p.add(path, "it is PEM of another kind, perhaps of a private key: only the certificate belongs here")
			return nil
		}
		der, rest = block.Bytes, bytes.TrimSpace(after)
	} else {
		der, _ = base64.StdEncoding.DecodeString(text)
	}
	if len(rest) > 0 {
		p.add(path, "there is more after the certificate: write each as a string of its own, and nothing else")
		return nil
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		p.add(path, "it is not an X.509 certificate in PEM, or in base64 of its DER")
		return nil
	}
	return certificate
}

func (p *problems) readKey(path string, raw []byte, into *jose.JSONWebKey) {
	if !p.eachMember(path, raw, func(string, json.RawMessage) {}) {
		p.hide(path)
	} else if json.Unmarshal(raw, into) != nil { // go-jose's own text may repeat what it read
		p.add(path, "it is not a JSON Web Key, RFC 7517, with a public key")
	}
}

// jsonField is a field of a struct by its tag.
type jsonField struct {
	name      string
	index     int
	omitEmpty bool
}

func fieldsOf(t reflect.Type) []jsonField {
	fields := make([]jsonField, t.NumField())
	for i := range fields {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		fields[i] = jsonField{name, i, option == "omitempty"}
	}
	return fields
}

// suggest says what an unknown member may have been meant to be; "": there is none like it.
func suggest(name string, fields []jsonField) (meant, advice string) {
	best, least := "", 3
	var all []string
	for _, f := range fields {
		all = append(all, f.name)
		a, b := plain(name), plain(f.name)
		distance := editDistance(a, b)
		if len(a) >= 4 && (strings.Contains(a, b) || strings.Contains(b, a)) {
			distance = min(distance, 2)
		}
		if distance < min(least, len(b)) {
			best, least = f.name, distance
		}
	}
	if best != "" {
		return best, "did you mean " + best + "?"
	}
	return "", "use one of " + strings.Join(all, ", ")
}

// plain makes redirectURIs, redirect-uris and redirect_uris the same.
func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
}

// editDistance counts the bytes to insert, delete or exchange to make b of a. Text much longer than any member is far
// from all.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
