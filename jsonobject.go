package authcode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// errTruncatedJSON marks text that ends before its object does.
var errTruncatedJSON = errors.New("the JSON ends early")

// jsonObject is the members of one JSON object. It is what encoding/json does not give: exact member names, and an
// error for a member that stands twice (two parsers would read two different tokens from it, RFC 8259 section 4).
type jsonObject map[string]json.RawMessage

func parseObject(data []byte) (jsonObject, error) {
	members, twice := make(jsonObject, 12), false
	s := jsonScanner{text: data}
	whole := s.object(func(name, value []byte) {
		member, _ := unquoteJSON(name) // a string, or it were not found
		_, there := members[member]
		twice = twice || there
		members[member] = value
	})
	s.blanks()
	switch {
	case !whole || s.at < len(data):
		return nil, explainInvalid(data)
	case !utf8.Valid(data):
		return nil, errNotUTF8
	case twice:
		return nil, errors.New("a member of it stands twice")
	}
	return members, nil
}

var errNotUTF8 = errors.New("it is not UTF-8")

// explainInvalid tells text that was cut off from text that never was JSON, and from JSON that is no object.
func explainInvalid(data []byte) error {
	err := json.NewDecoder(bytes.NewReader(data)).Decode(new(json.RawMessage))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errTruncatedJSON
	case !json.Valid(data):
		return errors.New("it is not JSON")
	case !utf8.Valid(data):
		return errNotUTF8
	}
	return errors.New("it is JSON but not an object")
}

func unquoteJSON(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", errors.New("it is not a string")
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// has reports whether the member is there and not null.
func (o jsonObject) has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// text gives a string member; "" when it is missing or null.
func (o jsonObject) text(name string) (string, error) {
	if !o.has(name) {
		return "", nil
	}
	s, err := unquoteJSON(o[name])
	if err != nil {
		return "", fmt.Errorf("its %s is not a string", name)
	}
	return s, nil
}

// lenientText gives a string member, or the JSON of one that is something else: for what is only shown.
func (o jsonObject) lenientText(name string) string {
	s, err := o.text(name)
	if err != nil {
		return string(o[name])
	}
	return s
}

const longestLifetime = 10 * 365 * 24 * time.Hour

// number gives a numeric member as seconds. Some servers send numbers as strings, some with fractions, which are
// dropped.
func (o jsonObject) number(name string) (float64, error) {
	text := string(o[name])
	if s, err := unquoteJSON(o[name]); err == nil {
		text = s
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !json.Valid([]byte(text)) || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("its %s is not a number", name)
	}
	return math.Floor(f), nil
}

// lifetime gives a member that counts seconds: an error outside (0, 10 years), since nanoseconds where seconds
// belong would overflow a time.Duration into the past and refresh for ever.
func (o jsonObject) lifetime(name string) (time.Duration, error) {
	seconds, err := o.number(name)
	if err != nil {
		return 0, err
	}
	if seconds <= 0 || seconds >= longestLifetime.Seconds() {
		return 0, fmt.Errorf("its %s of %.0f seconds is not between 0 and 10 years", name, seconds)
	}
	return time.Duration(seconds) * time.Second, nil
}
