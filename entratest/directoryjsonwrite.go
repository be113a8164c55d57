package entratest

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
)

// writeValue writes a field as [problems.read] reads it.
func writeValue(b *bytes.Buffer, path string, value reflect.Value) error {
	switch v := value.Interface().(type) {
	case time.Duration:
		return writeLeaf(b, path, durationText(v))
	case AppType:
		text, err := v.MarshalText()
		if err != nil {
			return unwritable(path, err)
		}
		return writeLeaf(b, path, string(text))
	case *x509.Certificate:
		if v == nil {
			return unwritable(path, errors.New("there is no certificate"))
		}
		return writeLeaf(b, path, base64.StdEncoding.EncodeToString(v.Raw))
	case jose.JSONWebKey:
		if problem := keyProblem(v); problem != "" {
			return unwritable(path, errors.New(problem))
		}
		return writeLeaf(b, path, v)
	case string:
		if !utf8.ValidString(v) {
			return unwritable(path, errors.New("it is not UTF-8"))
		}
		return writeLeaf(b, path, v)
	}
	switch value.Kind() {
	case reflect.Struct:
		return writeObject(b, path, value)
	case reflect.Slice:
		return writeList(b, path, value)
	}
	return writeLeaf(b, path, value.Interface())
}

func writeObject(b *bytes.Buffer, path string, object reflect.Value) error {
	fields := fieldsOf(object.Type())
	slices.SortStableFunc(fields, func(a, b jsonField) int { return naming(b.name) - naming(a.name) })
	separator := "{"
	for _, f := range fields {
		value := object.Field(f.index)
		if f.omitEmpty && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0) {
			continue
		}
		b.WriteString(separator + `"` + f.name + `":`)
		separator = ","
		if err := writeValue(b, member(path, f.name), value); err != nil {
			return err
		}
	}
	if separator == "{" {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return nil
}

// naming is 1 for the members by which people know an object: they stand first.
func naming(name string) int {
	if slices.Contains([]string{"id", "issuer", "name", "tenants", "username"}, name) {
		return 1
	}
	return 0
}

func writeList(b *bytes.Buffer, path string, list reflect.Value) error {
	b.WriteByte('[')
	for i := range list.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeValue(b, element(path, i), list.Index(i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func writeLeaf(b *bytes.Buffer, path string, leaf any) error {
	data, err := json.Marshal(leaf)
	if err != nil {
		return unwritable(path, err)
	}
	b.Write(data)
	return nil
}

func unwritable(path string, err error) error {
	return fmt.Errorf("entratest: %s: it cannot be written as JSON: %w", path, err)
}

// durationText is the duration without the zeros [time.Duration.String] ends with: 1h, not 1h0m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
