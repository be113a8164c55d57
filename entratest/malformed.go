package entratest

import "strings"

// MalformedBodies are bodies of token answers that no client must take for a token, by what is wrong with them: for
// [Fault].Body, with Status 200 since one is empty. The larger ones are about a megabyte. The map is the caller's.
func MalformedBodies() map[string]string {
	const good = `{"token_type":"Bearer","scope":"User.Read","expires_in":3599,"ext_expires_in":3599,"access_token":"eyJ0eXAiOiJKV1Qi.e30.AAAA"`
	without := func(member string) string { return strings.Replace(good, member, "", 1) + "}" }
	swapped := func(member, other string) string { return strings.Replace(good, member, other, 1) + "}" }
	return map[string]string{
		"access_token is an array":   swapped(`"eyJ0eXAiOiJKV1Qi.e30.AAAA"`, `["eyJ0eXAiOiJKV1Qi.e30.AAAA"]`),
		"access_token is empty":      swapped(`"eyJ0eXAiOiJKV1Qi.e30.AAAA"`, `""`),
		"access_token is missing":    without(`,"access_token":"eyJ0eXAiOiJKV1Qi.e30.AAAA"`),
		"access_token is null":       swapped(`"eyJ0eXAiOiJKV1Qi.e30.AAAA"`, `null`),
		"access_token is twice":      good + `,"access_token":"another"}`,
		"an array":                   `[` + good + `}]`,
		"another token_type":         swapped(`"Bearer"`, `"mac"`),
		"byte order mark alone":      "\ufeff",
		"control characters":         swapped(`eyJ0eXAiOiJKV1Qi`, "eyJ0\r\nX-Injected: 1\r\n\x00"),
		"deep nesting":               good + `,"claims":` + strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000) + `}`,
		"empty":                      "",
		"expires_in is an object":    swapped(`"expires_in":3599`, `"expires_in":{"seconds":3599}`),
		"expires_in is huge":         swapped(`"expires_in":3599`, `"expires_in":1e999`),
		"expires_in is NaN":          swapped(`"expires_in":3599`, `"expires_in":NaN`),
		"expires_in is negative":     swapped(`"expires_in":3599`, `"expires_in":-3599`),
		"form encoded":               "access_token=eyJ0eXAiOiJKV1Qi.e30.AAAA&token_type=Bearer&expires_in=3599",
		"HTML":                       "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>",
		"huge":                       good + `,"padding":"` + strings.Repeat("x", 2<<20) + `"}`,
		"invalid UTF-8":              swapped("eyJ0eXAiOiJKV1Qi", "eyJ0\xff\xfeXAi"),
		"null":                       "null",
		"trailing data":              good + `}{"error":"server_error"}`,
		"truncated":                  good[:len(good)-20],
		"white space":                " \r\n\t",
		"XML":                        `<?xml version="1.0"?><access_token>eyJ0eXAiOiJKV1Qi.e30.AAAA</access_token>`,
		"single quotes, not JSON":    strings.ReplaceAll(good, `"`, `'`) + "}",
		"UTF-16":                     "{\x00\"\x00a\x00\"\x00:\x001\x00}\x00",
		"an error with status 200":   `{"error":"invalid_grant","error_description":"AADSTS70000: Provided grant is invalid or malformed."}`,
		"a number where JSON begins": "42",
	}
}
