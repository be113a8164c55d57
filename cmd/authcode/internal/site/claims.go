package site

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authcode-go/authcode/signin"
)

// claim is one of the ID token, with what it means.
type claim struct{ Name, About, Value string }

// aboutClaims are those of https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
var aboutClaims = map[string]string{
	"acrs":               "authentication contexts proved",
	"aud":                "the app it is for",
	"auth_time":          "when the password was asked for",
	"email":              "an address: not proof of who it is",
	"exp":                "when the ID token ends",
	"groups":             "object IDs of groups",
	"iat":                "when it was issued",
	"iss":                "who issued it",
	"login_hint":         "for sign-out without a question",
	"name":               "for people",
	"nbf":                "from when it is good",
	"nonce":              "ties it to this sign-in",
	"oid":                "the user, in their directory",
	"preferred_username": "for people: it can change hands",
	"roles":              "app roles",
	"sid":                "the session at the server",
	"sub":                "the user, for this app alone",
	"tid":                "the directory",
	"ver":                "the format",
}

func claimsOf(user *signin.User) ([]claim, error) {
	var all map[string]json.RawMessage
	if err := user.Claims(&all); err != nil {
		return nil, err
	}
	var shown []claim
	for name, value := range all {
		shown = append(shown, claim{name, aboutClaims[name], readable(name, value)})
	}
	slices.SortFunc(shown, func(a, b claim) int { return strings.Compare(a.Name, b.Name) })
	return shown, nil
}

// readable is a claim's value without JSON's quotes, and times as times.
func readable(name string, value json.RawMessage) string {
	var text string
	var list []string
	var seconds int64
	switch {
	case json.Unmarshal(value, &text) == nil:
		return text
	case json.Unmarshal(value, &list) == nil:
		return strings.Join(list, ", ")
	case slices.Contains([]string{"auth_time", "exp", "iat", "nbf"}, name) && json.Unmarshal(value, &seconds) == nil:
		return when(time.Unix(seconds, 0))
	}
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		return string(value)
	}
	return compact.String()
}

func when(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05 UTC") }

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n), "kMGTPE"
	for i := range units {
		if value /= 1000; value < 1000 || i == len(units)-1 {
			return fmt.Sprintf("%.1f %cB", value, units[i])
		}
	}
	return "" // unreachable
}
