package authcode

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
)

// wire is what it takes to talk to the server: where it is, and how the app proves itself.
type wire struct {
	auth     ClientAuth
	clientID string
	pipeline runtime.Pipeline
	retry    context.Context // of everything but a code; see requestContext
	site     site
}

// tokenRequest is one request to a token endpoint (RFC 6749 section 3.2).
type tokenRequest struct {
	doing    string // for errors: "redeeming the authorization code"
	tenantID string
	form     form   // without client authentication
	mailbox  string // "uid@utid": lets Entra route the request to the user's region; "": not known
	once     bool   // a code: never sent twice, and whether it was sent at all matters
	timeout  time.Duration
}

// fate is what became of a request that gave no token.
type fate int

const (
	answered fate = iota // the server looked at it and refused it, or its answer cannot be used
	unsent               // refused before it was looked at: nothing is spent
	lost                 // it may have been processed: nobody knows
)

// failure is a token request that gave no token.
type failure struct {
	fate fate
	err  error // *AuthenticationFailedError, or the client assertion's error
}

// server gives the error the server answered with, or nil.
func (f *failure) server() *AuthenticationFailedError {
	if failed, ok := errors.AsType[*AuthenticationFailedError](f.err); ok && failed.Code != "" {
		return failed
	}
	return nil
}

// post is the only place that sends a token request.
func (w *wire) post(ctx context.Context, r tokenRequest) (*tokenAnswer, *failure) {
	tokenURL := w.site.tokenURL(r.tenantID)
	if _, paused := pauses.left(tokenURL); paused != nil { // it began while this one waited for its turn
		return nil, &failure{unsent, paused}
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	call := &tokenCall{
		adfs:     w.site.own == nil && isADFS(r.tenantID),
		auth:     w.auth,
		clientID: w.clientID,
		form:     r.form,
		tokenURL: tokenURL,
	}
	x := &exchange{began: time.Now(), call: call, doing: r.doing}
	answer, failed := x.do(func() (*http.Response, error) {
		resp, err := w.send(ctx, r, call)
		if err != nil && errors.Is(context.Cause(ctx), errLeaseLost) {
			err = errLeaseLost // and nobody cancelled anything
		}
		return resp, err
	})
	if failed != nil {
		if e, ok := errors.AsType[*AuthenticationFailedError](failed.err); ok {
			pauses.begin(tokenURL, e.RetryAfter)
		}
	}
	return answer, failed
}

func (w *wire) send(ctx context.Context, r tokenRequest, call *tokenCall) (*http.Response, error) {
	retry := w.retry
	if r.once {
		retry = neverAgain
	}
	req, err := runtime.NewRequest(&requestContext{ctx, call, retry}, http.MethodPost, call.tokenURL)
	if err != nil {
		return nil, err
	}
	if err := setForm(req, r.form.encode()); err != nil {
		return nil, err
	}
	runtime.SkipBodyDownload(req)
	h := req.Raw().Header
	h.Set("Accept", "application/json")
	h.Set("Client-Request-Id", newUUID())
	if r.mailbox != "" {
		h.Set("X-Anchormailbox", "Oid:"+r.mailbox)
	}
	return w.pipeline.Do(req)
}

// setForm sets the body of one try. Without GetBody net/http never repeats the POST on another connection by itself.
func setForm(req *policy.Request, form string) error {
	err := req.SetBody(streaming.NopCloser(strings.NewReader(form)), "application/x-www-form-urlencoded")
	req.Raw().GetBody = nil
	return err
}

// neverAgain is for a code, which is never sent twice: RFC 6749 section 4.1.2 has the server revoke what it gave for one that is.
var neverAgain = retries(policy.RetryOptions{MaxRetries: -1})

// refreshRetry makes a user's retry options those of a refresh: it follows them, except that 429 and 503 are the pause's.
func refreshRetry(given policy.RetryOptions) policy.RetryOptions {
	retry := given
	if retry.RetryDelay < 0 {
		// Documented as no delay, but azcore then waits for MaxRetryDelay.
		retry.RetryDelay = time.Nanosecond
	}
	if retry.StatusCodes == nil {
		retry.StatusCodes = []int{http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout}
	}
	retry.StatusCodes = slices.DeleteFunc(slices.Clone(retry.StatusCodes), isThrottle)
	if should := given.ShouldRetry; should != nil {
		retry.ShouldRetry = func(resp *http.Response, err error) bool {
			return (resp == nil || !isThrottle(resp.StatusCode)) && should(resp, err)
		}
	}
	return retry
}

func isThrottle(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// exchange turns what came back from one request into an answer or a failure.
type exchange struct {
	began time.Time // lifetimes count from here: the server's count began later
	call  *tokenCall
	doing string
}

func (x *exchange) what() string { return x.doing + " at " + hostOf(x.call.tokenURL) }

func (x *exchange) redactor() redactor { return x.call.redactor() }

// do sends and reads. A panic in a policy or Transporter is an answer that nobody has seen.
func (x *exchange) do(send func() (*http.Response, error)) (answer *tokenAnswer, failed *failure) {
	defer func() {
		if p := recover(); p != nil {
			answer, failed = nil, x.noAnswer(fmt.Errorf("a policy or Transporter panicked (%T)", p), nil)
		}
	}()
	resp, err := send()
	if err != nil {
		return nil, x.noAnswer(err, resp)
	}
	return x.read(resp)
}

func (x *exchange) fail(f fate, e *AuthenticationFailedError) *failure {
	e.doing = x.what()
	e.temporary = f != answered
	return &failure{f, e}
}

// noAnswer sorts an error of the transport.
func (x *exchange) noAnswer(err error, resp *http.Response) *failure {
	if proof, ok := errors.AsType[*proofError](err); ok {
		return &failure{unsent, fmt.Errorf("authcode: %s failed: %w", x.what(), x.redactor().error(proof.err))}
	}
	err = x.redactor().error(err)
	e := &AuthenticationFailedError{cause: err}
	if what, bad := isBadAnswer(err); bad {
		e.what = "the answer is malformed: " + what
		return x.fail(answered, e)
	}
	text := x.redactor().line(err.Error(), maxDescription)
	if x.call.sent.provablyUnsent() {
		e.what = "the server could not be reached and nothing was sent: " + text
		return x.fail(unsent, e)
	}
	e.what = "the answer was lost, the request may have been processed: " + text
	if resp != nil {
		e.RawResponse = safeResponse(resp, nil, x.redactor())
	}
	return x.fail(lost, e)
}

// read sorts an answer that arrived whole.
func (x *exchange) read(resp *http.Response) (*tokenAnswer, *failure) {
	body, err := readBody(resp)
	if err != nil {
		return nil, x.noAnswer(err, resp)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, x.refused(resp, body)
	}
	members, err := readOK(resp, body)
	if err != nil {
		return nil, x.unusable(resp, body, err)
	}
	if e, isError := readServerError(members, x.redactor); isError {
		e.RawResponse = safeResponse(resp, body, x.redactor())
		return nil, x.fail(answered, e)
	}
	answer, err := readAnswer(members, x.began)
	if err != nil {
		return nil, x.unusable(resp, body, err)
	}
	answer.redactor = x.redactor
	return answer, nil
}

// readBody reads a body into what its length needs, where azcore would grow a buffer.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.StatusCode != http.StatusOK || resp.ContentLength <= 0 || resp.ContentLength > maxBodyBytes {
		return runtime.Payload(resp)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := readExactly(resp.Body, resp.ContentLength) // to its end: the connection is used again only then
	if errors.Is(err, errLonger) {
		err = &badAnswerError{errLonger.Error()}
	}
	return body, err
}

func readOK(resp *http.Response, body []byte) (jsonObject, error) {
	if err := checkContentType(resp.Header); err != nil {
		return nil, err
	}
	return parseObject(body)
}

// unusable is a 200 without a token. One that was cut off is a lost answer: where the transport cannot tell (no
// length, no chunks), the JSON does.
func (x *exchange) unusable(resp *http.Response, body []byte, err error) *failure {
	e := &AuthenticationFailedError{
		RawResponse: safeResponse(resp, body, x.redactor()),
		cause:       err,
	}
	if errors.Is(err, errTruncatedJSON) && resp.ContentLength < 0 {
		e.what = "the answer was lost, the request may have been processed: " + err.Error()
		return x.fail(lost, e)
	}
	e.what = "the answer is malformed: " + x.redactor().line(err.Error(), maxDescription)
	return x.fail(answered, e)
}

// refused is any status but 200.
func (x *exchange) refused(resp *http.Response, body []byte) *failure {
	e := &AuthenticationFailedError{}
	if members, err := readOK(resp, body); err == nil {
		if server, isError := readServerError(members, x.redactor); isError {
			e = server
		}
	}
	e.RawResponse = safeResponse(resp, body, x.redactor())
	status := resp.StatusCode
	if e.Code == "" {
		e.what = strings.TrimSpace(fmt.Sprintf("status %d %s", status, http.StatusText(status)))
	}
	switch {
	case isThrottle(status):
		e.RetryAfter = retryAfter(resp.Header, time.Now())
		return x.fail(unsent, e)
	case status >= 500 && status < 600:
		e.what = strings.Join(nonEmpty("the answer was lost, the request may have been processed", e.what), ": ")
		return x.fail(lost, e)
	case status >= 300 && status < 400:
		e.what = strings.Join(nonEmpty("the server answered with a redirect, which a token request never follows", e.what), ": ")
		e.next = "check the authority"
	}
	return x.fail(answered, e)
}

// retryAfter reads the header (RFC 9110 section 10.2.3), seconds or a date. What makes no sense counts as not sent.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), longestPause)
	}
	seconds, err := strconv.ParseUint(value, 10, 64)
	if errors.Is(err, strconv.ErrRange) || seconds > uint64(longestPause/time.Second) {
		return longestPause
	}
	return time.Duration(seconds) * time.Second
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "the server"
	}
	return u.Host
}
