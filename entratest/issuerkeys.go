package entratest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxIssuerDocument bounds what is read of a foreign issuer's documents, in bytes each.
	maxIssuerDocument = 1 << 20
	// issuerTimeout bounds the fetching of both documents.
	issuerTimeout = 10 * time.Second
	// issuerCoolDown is how long after a fetch the next one may be: an unknown key ID, which anybody can make up, must
	// not send the emulator to the issuer each time.
	issuerCoolDown = time.Minute
)

// errIssuerKeys says that the issuer answered, but with something of no use.
var errIssuerKeys = errors.New("the issuer's documents cannot be read")

// issuerKeySets keeps the keys of foreign issuers, by discovery. The issuers are those of the directory's federated
// credentials, so there are as many as somebody configured.
type issuerKeySets struct {
	mu   sync.Mutex
	sets map[string]*issuerKeySet
}

// issuerKeySet is what is known of one issuer, guarded by the lock of all.
type issuerKeySet struct {
	keys     []jose.JSONWebKey
	fetched  time.Time     // by the real clock; zero: never
	err      error         // of the newest fetch
	fetching chan struct{} // closed when the fetch under way is over; nil: there is none
}

// find finds the keys with an ID at an issuer, and asks the issuer where they are not known. Of many who need the same
// keys one asks, and the others wait; if the client of that one leaves, another asks.
func (s *issuerKeySets) find(ctx context.Context, client *http.Client, issuer, id string) ([]jose.JSONWebKey, error) {
	for {
		s.mu.Lock()
		set := s.set(issuer)
		keys := named(set.keys, id)
		fetched := !set.fetched.IsZero() && time.Since(set.fetched) < issuerCoolDown
		switch {
		case len(keys) > 0:
			s.mu.Unlock()
			return keys, nil
		case fetched:
			defer s.mu.Unlock()
			return nil, set.err
		case set.fetching == nil:
			set.fetching = make(chan struct{})
			s.mu.Unlock()
			keys, err := fetchIssuerKeys(ctx, client, issuer)
			s.store(set, keys, err, ctx.Err() != nil)
		default:
			under := set.fetching
			s.mu.Unlock()
			select {
			case <-under:
			case <-ctx.Done():
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// set is the issuer's entry. The caller holds the lock.
func (s *issuerKeySets) set(issuer string) *issuerKeySet {
	if s.sets == nil {
		s.sets = make(map[string]*issuerKeySet)
	}
	if s.sets[issuer] == nil {
		s.sets[issuer] = &issuerKeySet{}
	}
	return s.sets[issuer]
}

// store ends a fetch. One that was given up says nothing about the issuer.
func (s *issuerKeySets) store(set *issuerKeySet, keys []jose.JSONWebKey, err error, givenUp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(set.fetching)
	set.fetching = nil
	if givenUp {
		return
	}
	set.fetched, set.err = time.Now(), err
	if err == nil {
		set.keys = keys
	}
}

// fetchIssuerKeys follows the issuer's metadata, OpenID Connect Discovery section 4, to its keys.
func fetchIssuerKeys(ctx context.Context, client *http.Client, issuer string) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	if client == nil {
		client = http.DefaultClient
	}
	direct := *client
	// A redirect could lead anywhere, this machine's own network included.
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var metadata struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := fetchDocument(ctx, &direct, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &metadata); err != nil {
		return nil, err
	}
	from, err := url.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: the issuer is no URL", errIssuerKeys)
	}
	to, err := url.Parse(metadata.Keys)
	if err != nil || metadata.Issuer != issuer || (to.Scheme != "https" && to.Scheme != from.Scheme) {
		return nil, fmt.Errorf("%w: the metadata is another issuer's, or has no jwks_uri that is as safe", errIssuerKeys)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := fetchDocument(ctx, &direct, metadata.Keys, &set); err != nil {
		return nil, err
	}
	keys := publicKeys(set.Keys)
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: there is no key in the key set", errIssuerKeys)
	}
	return keys, nil
}

func fetchDocument(ctx context.Context, client *http.Client, address string, document any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the issuer answered with status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxIssuerDocument+1))
	switch {
	case err != nil:
		return err
	case len(body) > maxIssuerDocument:
		return fmt.Errorf("%w: more than %d bytes", errIssuerKeys, maxIssuerDocument)
	case json.Unmarshal(body, document) != nil:
		return fmt.Errorf("%w: no JSON of the right form", errIssuerKeys)
	}
	return nil
}
