package authcode

import (
	"context"
	"net/http"
	"net/http/httptrace"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// requestContext is the context of one request of ours: the caller's, less what could reach into the request, in one layer.
//
//   - What azcore lets a caller hang on a context for a request of their own: a captured response would be a captured token,
//     headers and retries are not the caller's.
//   - A httptrace.ClientTrace, whose hooks see headers, and so the secret of client_secret_basic.
type requestContext struct {
	context.Context
	call  *tokenCall      // nil: it is no token request
	retry context.Context // tells azcore how to retry; nil: not told
}

type tokenCallKey struct{}

func tokenCallOf(ctx context.Context) *tokenCall {
	call, _ := ctx.Value(tokenCallKey{}).(*tokenCall)
	return call
}

// retries gives a context that tells azcore how to retry.
func retries(options policy.RetryOptions) context.Context {
	return policy.WithRetryOptions(context.Background(), options)
}

// callersHTTP has a value for each key of azcore that is not the caller's to set. The keys themselves are not exported.
var callersHTTP = policy.WithHTTPHeader(policy.WithCaptureResponse(retries(policy.RetryOptions{}), new(*http.Response)), http.Header{})

func (c *requestContext) Value(key any) any {
	if key == (tokenCallKey{}) {
		return c.call
	}
	if c.retry != nil {
		if value := c.retry.Value(key); value != nil {
			return value
		}
	}
	if callersHTTP.Value(key) != nil {
		return nil
	}
	value := c.Context.Value(key)
	if _, trace := value.(*httptrace.ClientTrace); trace {
		return nil
	}
	return value
}
