package authcode

import "net/http"

// AnswersDefaultTransport is a copy of what requests go through where no Transport is given: the bounds that the tests of
// hostile servers measure are its own. It is a copy because those servers have certificates of their own.
func AnswersDefaultTransport() *http.Transport {
	return defaultClient.Transport.(*http.Transport).Clone()
}
