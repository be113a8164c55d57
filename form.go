package authcode

import (
	"net/url"
	"strings"
)

// param is one parameter of a form.
type param struct{ name, value string }

// form is the parameters of a token request in the order they are sent, each once; url.Values, a map, would be sorted and grown
// anew for every request. The names are this package's own and need no escaping.
type form []param

func (f *form) add(name, value string) { *f = append(*f, param{name, value}) }

func (f form) get(name string) string {
	for _, p := range f {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// encode is application/x-www-form-urlencoded (RFC 6749 appendix B).
func (f form) encode() string {
	var escaped [12]string
	values := escaped[:0]
	size := 0
	for _, p := range f {
		value := url.QueryEscape(p.value)
		values = append(values, value)
		size += len("&=") + len(p.name) + len(value)
	}
	var b strings.Builder
	b.Grow(size)
	for i, p := range f {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(values[i])
	}
	return b.String()
}
