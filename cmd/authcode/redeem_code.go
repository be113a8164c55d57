package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

const (
	maxInput   = 64 << 10 // a callback URL is 2 to 4 KB
	maxMessage = 300      // characters of a server's words

	awaited = "the authorization code, or the whole callback URL, is awaited on standard input"
)

// readCode reads standard input. Typing there is refused: a terminal shows what is pasted, and cuts lines at 4096 bytes
// or fewer, which is less than some codes.
func readCode(cmd *cobra.Command, in io.Reader, redirectURI string) (string, error) {
	if isTerminal(in) {
		return "", misused(cmd, "%s, which is this terminal: pipe it in, as in 'pbpaste | %s …' or '%s … <file'", awaited, cmd.CommandPath(), cmd.CommandPath())
	}
	input, err := readAll(cmd.Context(), in)
	if err != nil {
		return "", fmt.Errorf("reading the code from standard input: %w", err)
	}
	text := strings.TrimSpace(string(input))
	switch {
	case text == "":
		return "", misused(cmd, "%s, and there was nothing", awaited)
	case len(input) > maxInput:
		return "", fmt.Errorf("%s, and there were more than %d KiB", awaited, maxInput>>10)
	case strings.Contains(text, "://"):
		return codeFromCallback(text, redirectURI)
	}
	return text, nil
}

// readAll reads a byte more than it may have, and leaves a read that hangs behind when ctx ends: the process does too.
func readAll(ctx context.Context, in io.Reader) ([]byte, error) {
	type result struct {
		input []byte
		err   error
	}
	done := make(chan result, 1)
	go func() {
		input, err := io.ReadAll(io.LimitReader(in, maxInput+1))
		done <- result{input, err}
	}()
	select {
	case r := <-done:
		return r.input, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// codeFromCallback takes the code out of a callback URL, or the error that came in its place (RFC 6749 section 4.1.2.1).
// That the URL is the redirect URI's is checked here, since the server would find out only with the code in hand.
func codeFromCallback(text, redirectURI string) (string, error) {
	callback, err := url.Parse(text)
	if err != nil {
		return "", errors.New("the callback URL on standard input cannot be read") // err repeats it, code and all
	}
	given, err := url.Parse(redirectURI)
	if err != nil {
		return "", fmt.Errorf("--redirect-uri is not a URI: %q", redirectURI)
	}
	if place(callback) != place(given) {
		return "", fmt.Errorf("the callback URL begins with %s, not with --redirect-uri, %s: give the one the sign-in used", oneLine(place(callback)), place(given))
	}
	answer, err := url.ParseQuery(strings.Trim(callback.RawQuery+"&"+callback.Fragment, "&")) // by response_mode
	if err != nil {
		return "", errors.New("the query of the callback URL on standard input cannot be read")
	}
	if answer.Has("error") {
		message := strings.Trim(answer.Get("error")+": "+answer.Get("error_description"), ": ")
		return "", fmt.Errorf("the callback URL holds no code but an error: %s", cut(oneLine(message), maxMessage))
	}
	if codes := answer["code"]; len(codes) != 1 || codes[0] == "" {
		return "", errors.New("the callback URL on standard input does not hold one code: copy it whole, with all that follows the question mark")
	}
	return answer.Get("code"), nil
}

// place is a redirect URI without what an answer adds to it.
func place(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" && u.Opaque == "" {
		path = "/" // as browsers show it
	}
	return strings.ToLower(u.Scheme+"://"+u.Host) + path + u.Opaque
}
