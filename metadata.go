package authcode

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

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

// get gives the document, read again if it is due.
func (d *document[T]) get(ctx context.Context) (T, error) {
	d.mu.Lock()
	have, due := d.have, time.Since(d.tried) >= documentRetry
	d.mu.Unlock()
	if have.youngerThan(documentFresh) || have.youngerThan(documentUsable) && !due {
		return have.value, nil
	}
	got, err := d.readAgain(ctx)
	if err != nil && have.youngerThan(documentUsable) && ctx.Err() == nil {
		return have.value, nil
	}
	return got.value, err
}

// again reads the document for a caller who missed something in it, at most once in 30 seconds; the first reading does not
// count. It gives what there is if it was too soon or the server does not answer.
func (d *document[T]) again(ctx context.Context) (T, error) {
	got, err := d.shared(ctx, func(ctx context.Context) (edition[T], error) {
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
	})
	return got.value, err
}

func (d *document[T]) readAgain(ctx context.Context) (edition[T], error) {
	return d.shared(ctx, d.read)
}

func (d *document[T]) shared(ctx context.Context, read flight.Work[edition[T]]) (edition[T], error) {
	return d.flights.Do(ctx, struct{}{}, func(ctx context.Context) (edition[T], error) {
		return inFlight(ctx, d.app, read)
	})
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
		return edition[T]{}, fmt.Errorf("authcode: %s at %s cannot be used: %w", d.name, hostOf(d.url), err)
	}
	d.have = edition[T]{read: time.Now(), value: value}
	return d.have, nil
}

// metadata is what is read of an OpenID Connect discovery document (OpenID Connect Discovery 1.0 section 3).
type metadata struct {
	issuer         string // may be a template with {tenantid}
	jwksURL        string
	issInCallbacks bool // RFC 9207 section 3: callbacks must have iss
}

const tenantTemplate = "{tenantid}"

// parseMetadata reads the document of a tenant at a host. It came over TLS from the configured authority, and may still name
// nothing elsewhere: its issuer and keys must be of that authority.
func (s *site) parseMetadata(body []byte) (metadata, error) {
	members, err := parseObject(body)
	if err != nil {
		return metadata{}, err
	}
	var m metadata
	if m.issuer, err = members.text("issuer"); err != nil {
		return metadata{}, err
	}
	if m.jwksURL, err = members.text("jwks_uri"); err != nil {
		return metadata{}, err
	}
	m.issInCallbacks = string(members["authorization_response_iss_parameter_supported"]) == "true"
	if err := s.checkOwnURL(strings.ReplaceAll(m.issuer, tenantTemplate, "tenantid")); err != nil {
		return metadata{}, fmt.Errorf("its issuer %s: %w", quoted(m.issuer), err)
	}
	if err := s.checkOwnURL(m.jwksURL); err != nil {
		return metadata{}, fmt.Errorf("its jwks_uri %s: %w", quoted(m.jwksURL), err)
	}
	return m, checkChallengeMethods(members)
}

// checkChallengeMethods refuses a server that says it knows PKCE but not S256 (RFC 9700 section 2.1.1). Entra says nothing.
func checkChallengeMethods(members jsonObject) error {
	const name = "code_challenge_methods_supported"
	if members.has(name) && !strings.Contains(string(members[name]), `"S256"`) {
		return errors.New("it offers PKCE only without S256, and a flow is never sent without it")
	}
	return nil
}

func (s *site) checkOwnURL(raw string) error {
	u, err := checkServerURL(raw, false)
	if err != nil {
		return err
	}
	authority, err := url.Parse(s.host)
	if err != nil {
		return err
	}
	if !sameAuthority(strings.ToLower(u.Host), strings.ToLower(authority.Host)) {
		return fmt.Errorf("it is not at the authority %s", authority.Host)
	}
	return nil
}

// sameAuthority knows that some clouds answer under two names
// (https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud), and that External ID's tenants sit under
// a host each (https://learn.microsoft.com/entra/external-id/customers/concept-supported-features-customers).
func sameAuthority(host, authority string) bool {
	if host == authority {
		return true
	}
	for _, names := range [][]string{
		{"login.chinacloudapi.cn", "login.partner.microsoftonline.cn"},
		{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com"},
		{"login.microsoftonline.us", "login.usgovcloudapi.net"},
	} {
		if containsFold(names, host) && containsFold(names, authority) {
			return true
		}
	}
	const externalID = ".ciamlogin.com"
	return strings.HasSuffix(host, externalID) && strings.HasSuffix(authority, externalID)
}
