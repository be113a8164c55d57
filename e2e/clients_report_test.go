package e2e

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	msal "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"
	"golang.org/x/oauth2"
)

// errNoCall is what a client cannot be asked for.
var errNoCall = errors.New("no call for it")

// reported is what a client's error tells a program.
type reported struct {
	Type   string            `json:"type"`
	Fields map[string]string `json:"fields"` // by the client's own names
	Text   string            `json:"text"`
}

func (r *reported) Error() string { return fmt.Sprint(r.Type, r.Fields, " ", r.Text) }

var (
	aadsts = regexp.MustCompile(`AADSTS(\d+)`)
	origin = regexp.MustCompile(`https://localhost:\d+`)
)

// report is a client's error in the words of the tables: its type, the fields with a meaning, and the number, where that is
// in the text alone.
func report(t *testing.T, err error) string {
	t.Helper()
	switch {
	case err == nil:
		t.Error("there is no error")
		return "no error"
	case errors.Is(err, errNoCall):
		return errNoCall.Error()
	}
	r := read(err)
	fields := make([]string, 0, len(r.Fields))
	for _, name := range slices.Sorted(maps.Keys(r.Fields)) {
		field := name // of claims it is enough to know that they are there
		if !strings.HasSuffix(name, "claims") {
			field += ": " + r.Fields[name]
		}
		fields = append(fields, field)
	}
	cell := "`" + r.Type
	if len(fields) > 0 {
		cell += "{" + strings.Join(fields, ", ") + "}"
	}
	cell += "`"
	number := aadsts.FindStringSubmatch(r.Text)
	switch {
	case number == nil && len(fields) == 0:
		text, _, _ := strings.Cut(origin.ReplaceAllString(r.Text, "https://localhost"), "\n")
		cell += ", text " + strconv.Quote(text)
	case number != nil && !slices.Contains(slices.Collect(maps.Values(r.Fields)), number[1]):
		cell += ", text " + number[0]
	}
	return cell
}

// read takes a Go client's error apart by the types that the client exports.
func read(err error) *reported {
	if r, ok := errors.AsType[*reported](err); ok {
		return r // of a client in JavaScript
	}
	r := &reported{Type: strings.TrimPrefix(fmt.Sprintf("%T", err), "*"), Fields: map[string]string{}, Text: err.Error()}
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && failed.RawResponse != nil {
		r.Fields["RawResponse.StatusCode"] = strconv.Itoa(failed.RawResponse.StatusCode)
	} else if failed, ok := errors.AsType[msal.CallErr](err); ok {
		r.Type = "errors.CallErr"
		r.Fields["Resp.StatusCode"] = strconv.Itoa(failed.Resp.StatusCode)
	} else if failed, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		r.Type = "oauth2.RetrieveError"
		r.Fields["ErrorCode"] = failed.ErrorCode
		r.Text += failed.ErrorDescription
	}
	return r
}
