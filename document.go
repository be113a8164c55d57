package authcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/authcode-go/authcode/internal/flight"
)

const (
	documentFresh  = time.Hour        // after which metadata and keys are read again
	documentUsable = 24 * time.Hour   // while they cannot be read
	documentRetry  = 30 * time.Second // between two attempts
)

// document is one of the server's public documents, kept in memory: read when first needed, again after an hour, and used
// for a day while the server does not give it. One request at a time, shared by all who need it.
type document[T any] struct {
	app   *App
	name  string // for errors
	parse func([]byte) (T, error)
	url   string

	flights flight.Shared[struct{}, edition[T]]
	mu      sync.Mutex
	have    edition[T]
	tried   time.Time // last attempt that failed or was asked for
}

type edition[T any] struct {
	read  time.Time // zero: none
	value T
}

func (e edition[T]) youngerThan(age time.Duration) bool {
	return !e.read.IsZero() && time.Since(e.read) < age
}

// failed makes the error of a reading. Nothing of a sign-in is lost by it.
func (d *document[T]) failed(err error) error {
	e, ok := errors.AsType[*AuthenticationFailedError](err)
	if !ok {
		e = &AuthenticationFailedError{what: redactor{}.line(err.Error(), maxDescription), cause: err}
	}
	e.doing = "reading " + d.name + " at " + hostOf(d.url)
	e.next = "nothing is spent: try again"
	e.temporary = true
	return e
}

// get gives the document, and sees to it that an old one is read again.
func (d *document[T]) get(ctx context.Context) (T, error) {
	d.mu.Lock()
	have, due := d.have, time.Since(d.tried) >= documentRetry
	d.mu.Unlock()
	if have.youngerThan(documentFresh) || have.youngerThan(documentUsable) && !due {
		return have.value, nil
	}
	if have.youngerThan(documentUsable) { // nobody waits for what there is
		d.flights.Start(ctx, struct{}{}, d.work(d.read))
		return have.value, nil
	}
	got, err := d.flights.Do(ctx, struct{}{}, d.work(d.read))
	return got.value, err
}

// again reads the document for a caller who missed something in it, at most once in 30 seconds; the first reading does not
// count. It gives what there is if it was too soon or the server does not answer.
func (d *document[T]) again(ctx context.Context) (T, error) {
	got, err := d.flights.Do(ctx, struct{}{}, d.work(func(ctx context.Context) (edition[T], error) {
		d.mu.Lock()
		have, tooSoon := d.have, time.Since(d.tried) < documentRetry
		if !tooSoon {
			d.tried = time.Now()
		}
		d.mu.Unlock()
		if tooSoon && have.youngerThan(documentUsable) {
			return have, nil
		}
		got, err := d.read(ctx)
		if err != nil && have.youngerThan(documentUsable) {
			return have, nil
		}
		return got, err
	}))
	return got.value, err
}

func (d *document[T]) work(read flight.Work[edition[T]]) flight.Work[edition[T]] {
	return func(ctx context.Context) (edition[T], error) { return inFlight(ctx, d.app, read) }
}

func (d *document[T]) read(ctx context.Context) (edition[T], error) {
	ctx, cancel := context.WithTimeout(ctx, documentTime)
	defer cancel()
	body, err := d.app.get(ctx, d.url)
	var value T
	if err == nil {
		value, err = d.parse(body)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.tried = time.Now()
		return edition[T]{}, d.failed(err)
	}
	d.have = edition[T]{read: time.Now(), value: value}
	return d.have, nil
}

// get reads a public document of the server: metadata or keys.
func (w *wire) get(ctx context.Context, documentURL string) ([]byte, error) {
	req, err := runtime.NewRequest(&requestContext{ctx, nil, w.retry}, http.MethodGet, documentURL)
	if err != nil {
		return nil, err
	}
	req.Raw().Header.Set("Accept", "application/json")
	req.Raw().Header.Set("Client-Request-Id", newUUID())
	resp, err := w.pipeline.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if status := resp.StatusCode; status != http.StatusOK {
		e := &AuthenticationFailedError{what: fmt.Sprintf("status %d %s", status, http.StatusText(status))}
		if isThrottle(status) {
			e.RetryAfter = retryAfter(resp.Header, time.Now())
		}
		return nil, e
	}
	if err := checkContentType(resp.Header); err != nil {
		return nil, err
	}
	return io.ReadAll(resp.Body)
}
