package authcode

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// otherParse reads an object with encoding/json alone: its members, and whether one stands twice.
func otherParse(data []byte) (members map[string]json.RawMessage, twice bool) {
	if json.Unmarshal(data, &members) != nil {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if _, err := decoder.Token(); err != nil {
		return nil, false
	}
	for n := 0; decoder.More(); n++ {
		name, err := decoder.Token()
		var value json.RawMessage
		if err == nil {
			err = decoder.Decode(&value)
		}
		if _, text := name.(string); err != nil || !text {
			return nil, false
		}
		twice = twice || n >= len(members)
	}
	return members, twice
}

// FuzzParseObject gives any bytes to parseObject and to encoding/json: what one accepts as an object the other does, with the
// same members, except that parseObject wants UTF-8 and no member twice.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","expires_in":3600,"scope":null,"x":[1,{"y":true}],"z":false}`,
		" {\t\"a\"\r\n: -0.5e+1 , \"b\" : { } , \"c\":[ ] } \n", `{"a":1,"\u0061":2}`, `{"a":{"b":1,"b":2}}`, `{"\ud800":"\ud83d\ude00\n\/"}`,
		`{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":-}`, `{"a":+1}`, `{"a":1E-07}`, `{"a":"` + "\n" + `"}`, `{"a":"\x"}`, `{"a":"\u12g4"}`,
		`{"a":tru}`, `{"a":nul`, `{"a":true1}`, `{"a":1,}`, `{,"a":1}`, `{"a":[1,]}`, `{"a" 1}`, `{"a":}`, `{a:1}`, `{"a":1}{`, `{"a":1} x`, `[{}]`, `"{}"`, `null`, ``, ` `,
		"{\"\xff\":1}", "{\"a\":\"\xed\xa0\x80\"}", "\ufeff{}", "{}\u00a0", `{"a":"` + "\x7f\u2028" + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseObject(data)
		want, twice := otherParse(data)
		isObject := want != nil && bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{"))
		switch {
		case errors.Is(err, errTruncatedJSON) && json.Valid(data):
			t.Fatalf("%q is whole", data)
		case err != nil && isObject && !twice && !errors.Is(err, errNotUTF8):
			t.Fatalf("%q: %v, and encoding/json accepts it", data, err)
		case err != nil:
			return
		case !isObject || twice:
			t.Fatalf("%q is accepted, encoding/json reads %q, twice %v", data, want, twice)
		case len(got) != len(want):
			t.Fatalf("%q has members %q, encoding/json reads %q", data, got, want)
		}
		for name, value := range want {
			if !bytes.Equal(got[name], value) {
				t.Fatalf("%q: member %q is %q, encoding/json reads %q", data, name, got[name], value)
			}
		}
	})
}

func TestParseObjectGoesAsDeepAsEncodingJSON(t *testing.T) {
	for _, test := range []struct {
		lists int
		ok    bool
	}{{maxJSONDepth - 1, true}, {maxJSONDepth, false}} { // the object itself is one more
		data := []byte(`{"a":` + strings.Repeat("[", test.lists) + strings.Repeat("]", test.lists) + `}`)
		if _, err := parseObject(data); (err == nil) != test.ok || json.Valid(data) != test.ok {
			t.Errorf("%d lists: %v, and encoding/json says %v", test.lists, err, json.Valid(data))
		}
	}
}

func TestParseObjectTellsWhatIsWrong(t *testing.T) {
	for data, want := range map[string]string{
		`{"a":1,"a":2}`:            "stands twice",
		`{"a":1,"a":`:              errTruncatedJSON.Error(),
		`{"a":1,"a":2 x`:           "not JSON",
		`{"a":"` + "\xff":          errTruncatedJSON.Error(),
		"{\"a\":\"\xff\",\"a\":1}": errNotUTF8.Error(),
		"[\"\xff\"]":               errNotUTF8.Error(),
		`[{}]`:                     "not an object",
		``:                         errTruncatedJSON.Error(),
	} {
		if _, err := parseObject([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", data, err, want)
		}
	}
}
