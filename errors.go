package authcode

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// credentialName is how errors and traces call the credential.
const credentialName = "AuthorizationCodeCredential"

var (
	// ErrClosed is the error of every call on a credential or App that was closed.
	ErrClosed = errors.New("authcode: closed")

	// ErrFlowExpired means that the user took longer than 15 minutes to sign in: begin a new flow.
	ErrFlowExpired = errors.New("authcode: the sign-in took too long and has expired: start it again")

	// ErrStateMismatch means that a callback does not belong to the flow it was matched with, be it an old
	// link, another browser's, or an attacker's (RFC 6749 section 10.12). Nothing was redeemed.
	ErrStateMismatch = errors.New("authcode: the callback's state does not match this sign-in: start it again")

	// ErrUnknownAccount means that there is no grant for an account: the user has not signed in here, was
	// forgotten, or was idle for so long that Entra would refuse the grant. It comes inside an
	// *AuthenticationRequiredError.
	ErrUnknownAccount = errors.New("authcode: no grant for this account")
)

// AuthenticationFailedError is a failure to get a token: an error the authorization server answered with (RFC 6749
// sections 4.1.2.1 and 5.2), an answer that cannot be used, or no answer at all. Its text is one line and holds no
// secret; react to Code and Suberror, never to the text.
type AuthenticationFailedError struct {
	// Claims is the claims challenge that came with the error, JSON; pass it to App.Begin. Empty: none.
	Claims string
	// Code is the OAuth error code, such as "invalid_grant" (RFC 6749 section 5.2). Empty: the server sent none.
	Code string
	// CorrelationID is Entra's ID of this request, for a support ticket. Empty: none.
	CorrelationID string
	// Description is the server's error_description, in one line of at most 512 characters, secrets masked.
	Description string
	// RawResponse is the answer, or nil if there was none. Its body can be read again and again; secrets in it
	// are masked, and a body that holds tokens is withheld. Its Request has no body and no credentials.
	RawResponse *http.Response
	// RetryAfter is how long the server asked to be left alone, at most 60 seconds. 0: it did not ask.
	RetryAfter time.Duration
	// STSCodes are Entra's error numbers (AADSTS…), hints for people. Empty: none.
	// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
	STSCodes []int
	// Suberror is Entra's subdivision of Code, such as "consent_required". Empty: none.
	Suberror string
	// TraceID is Entra's trace ID of this request. Empty: none.
	TraceID string

	doing string // what was tried, at which host
	what  string // what went wrong, where the server's fields do not say it
	next  string // what to do, where the AADSTS numbers do not say it
	cause error

	temporary bool // nothing was sent, or the answer was lost
}

// Temporary reports whether the same call may do better later: nothing was sent, the answer was lost, or the server asked to be left
// alone for a while. False: the server has answered, or its answer cannot be believed.
func (e *AuthenticationFailedError) Temporary() bool { return e.temporary || e.RetryAfter > 0 }

// Error says in one line what failed, why, and what to do next.
func (e *AuthenticationFailedError) Error() string {
	var b strings.Builder
	b.WriteString("authcode: ")
	b.WriteString(cmp.Or(e.doing, "authentication"))
	b.WriteString(" failed: ")
	b.WriteString(strings.Join(nonEmpty(e.what, e.serverWords()), ": "))
	if next := cmp.Or(e.next, adviceFor(e.STSCodes)); next != "" {
		b.WriteString("; ")
		b.WriteString(next)
	}
	if e.CorrelationID != "" || e.TraceID != "" {
		fmt.Fprintf(&b, " (correlation ID %s, trace ID %s)", cmp.Or(e.CorrelationID, "none"), cmp.Or(e.TraceID, "none"))
	}
	return b.String()
}

func (e *AuthenticationFailedError) serverWords() string {
	code := e.Code
	if e.Suberror != "" {
		code += "/" + e.Suberror
	}
	words := strings.Join(nonEmpty(code, trimTrailer(e.Description)), ": ")
	if words == "" && e.what == "" {
		return "no details"
	}
	return words
}

// trimTrailer drops the IDs and the time that Entra appends to a description; the error prints them once itself.
func trimTrailer(description string) string {
	if i := strings.Index(description, "Trace ID:"); i > 0 {
		description = description[:i]
	}
	return strings.TrimRight(strings.TrimSpace(description), ".")
}

// Unwrap gives the error of the transport or of the check that failed, if there is one.
func (e *AuthenticationFailedError) Unwrap() error { return e.cause }

// NonRetriable tells azcore's retry policy that asking again at once will not help.
func (e *AuthenticationFailedError) NonRetriable() {}

// Format prints the error's text for every verb.
func (e *AuthenticationFailedError) Format(state fmt.State, verb rune) {
	formatAs(state, verb, e.Error())
}

// MarshalJSON gives the exported fields but the raw response, and the text as "message".
func (e *AuthenticationFailedError) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Claims        string        `json:"claims,omitempty"`
		Code          string        `json:"code,omitempty"`
		CorrelationID string        `json:"correlation_id,omitempty"`
		Description   string        `json:"description,omitempty"`
		Message       string        `json:"message"`
		RetryAfter    time.Duration `json:"retry_after_ns,omitempty"`
		STSCodes      []int         `json:"sts_codes,omitempty"`
		Suberror      string        `json:"suberror,omitempty"`
		TraceID       string        `json:"trace_id,omitempty"`
	}{e.Claims, e.Code, e.CorrelationID, e.Description, e.Error(), e.RetryAfter, e.STSCodes, e.Suberror, e.TraceID})
}

// LogValue gives the error's text to slog.
func (e *AuthenticationFailedError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// AuthenticationRequiredError means that only the user can help, by signing in: pass the fields to App.Begin. It
// wraps the *AuthenticationFailedError that says why, if the server said it.
type AuthenticationRequiredError struct {
	// AccountID is the account that must sign in. Empty: not known.
	AccountID string
	// Claims is the challenge the sign-in must meet, JSON. Empty: none.
	Claims string
	// LoginHint is the account's username, so that the user need not choose. Empty: not known.
	LoginHint string
	// Scopes are those of the call that failed.
	Scopes []string
	// TenantID is the tenant of the call that failed.
	TenantID string

	why   string
	cause error
}

// Error says in one line why the user must sign in.
func (e *AuthenticationRequiredError) Error() string {
	why := e.why
	if e.cause != nil {
		why = strings.Join(nonEmpty(why, strings.TrimPrefix(e.cause.Error(), "authcode: ")), ": ")
	}
	return "authcode: the user must sign in: " + cmp.Or(why, "the grant cannot be used without them")
}

// Unwrap gives the reason: an *AuthenticationFailedError or ErrUnknownAccount. It can be nil.
func (e *AuthenticationRequiredError) Unwrap() error { return e.cause }

// NonRetriable tells azcore's retry policy that asking again will not help.
func (e *AuthenticationRequiredError) NonRetriable() {}

// Format prints the error's text for every verb.
func (e *AuthenticationRequiredError) Format(state fmt.State, verb rune) {
	formatAs(state, verb, e.Error())
}

// MarshalJSON gives the exported fields, and the text as "message".
func (e *AuthenticationRequiredError) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		AccountID string   `json:"account_id,omitempty"`
		Claims    string   `json:"claims,omitempty"`
		LoginHint string   `json:"login_hint,omitempty"`
		Message   string   `json:"message"`
		Scopes    []string `json:"scopes,omitempty"`
		TenantID  string   `json:"tenant_id,omitempty"`
	}{e.AccountID, e.Claims, e.LoginHint, e.Error(), e.Scopes, e.TenantID})
}

// LogValue gives the error's text to slog.
func (e *AuthenticationRequiredError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

func nonEmpty(all ...string) []string {
	kept := all[:0]
	for _, s := range all {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}
