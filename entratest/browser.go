package entratest

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Authorize is the browser without one: it opens an authorize URL as a user who signs in, and returns the callback
// URL the browser would be sent to, with code and state, or with an error, in its query (of form_post, the form's
// values; of response_mode fragment, in its fragment). Where the user would see an error page instead, its text is
// the error.
func (e *Emulator) Authorize(ctx context.Context, authorizeURL, username string) (*url.URL, error) {
	u, err := url.Parse(authorizeURL)
	if err != nil {
		return nil, fmt.Errorf("entratest: authorize URL: %w", err)
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += url.Values{"emulator_user": {username}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("entratest: authorize URL: %w", err)
	}
	response, err := e.Transport().RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("entratest: authorize: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("entratest: authorize: %w", err)
	}
	if location := response.Header.Get("Location"); location != "" {
		return url.Parse(location)
	}
	if callback, ok := formPost(string(body)); ok && response.StatusCode == http.StatusOK {
		return callback, nil
	}
	return nil, errors.New("entratest: authorize: " + pageText(string(body), response.Status))
}

var (
	formPattern  = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	inputPattern = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	alertPattern = regexp.MustCompile(`(?s)role="alert">(.*?)</p>`)
)

// formPost reads our own form_post page.
func formPost(page string) (*url.URL, bool) {
	form := formPattern.FindStringSubmatch(page)
	if form == nil {
		return nil, false
	}
	values := url.Values{}
	for _, input := range inputPattern.FindAllStringSubmatch(page, -1) {
		values.Add(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	callback, err := url.Parse(withQuery(html.UnescapeString(form[1]), values))
	return callback, err == nil
}

// pageText is what an error page says, or all of an answer that is no page of ours.
func pageText(page, status string) string {
	if alert := alertPattern.FindStringSubmatch(page); alert != nil {
		return html.UnescapeString(alert[1])
	}
	return strings.TrimSpace(status + " " + page)
}
