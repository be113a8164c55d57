package signin

import (
	"bufio"
	"net"
	"net/http"
)

// Func makes a handler of a function that returns an error: RequireUser before it, Challenge and Fail after it. Return the errors of
// Azure clients as they are, or wrapped.
//
// An error after the answer has begun cannot become a redirect or a page: it is logged and the connection is cut, so that nobody
// takes half an answer for a whole one.
func (h *Handler) Func(serve func(w http.ResponseWriter, r *http.Request, user *User) error, needs ...Need) http.Handler {
	return h.RequireUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := UserFrom(r.Context())
		tracked := &trackedWriter{ResponseWriter: w}
		err := serve(tracked, r, user)
		switch {
		case err == nil:
		case tracked.begun:
			h.options.Logger.ErrorContext(r.Context(), "signin: a handler failed after its answer had begun", "error", err)
			panic(http.ErrAbortHandler)
		default:
			h.Fail(w, r, err)
		}
	}), needs...)
}

// trackedWriter knows whether the answer has begun.
type trackedWriter struct {
	http.ResponseWriter
	begun bool
}

func (w *trackedWriter) WriteHeader(status int) {
	w.begun = w.begun || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

func (w *trackedWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// FlushError is for http.ResponseController.
func (w *trackedWriter) FlushError() error {
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is for those who ask for an http.Flusher.
func (w *trackedWriter) Flush() { _ = w.FlushError() }

// Hijack is for those who ask for an http.Hijacker.
func (w *trackedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *trackedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
