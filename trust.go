package authcode

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

const maxTrusts = 1000 // tenants whose metadata is kept

// trust is what an ID token of one tenant is verified with.
type trust struct {
	algorithms     []jose.SignatureAlgorithm
	issuer         string // may be a template with {tenantid}
	issInCallbacks bool
	keys           *document[[]signingKey]
}

// trusts keeps the documents of each tenant that was asked for.
type trusts struct {
	mu       sync.Mutex
	metadata map[string]*document[metadata]
	keys     map[string]*document[[]signingKey]
}

// trustOf loads what is needed to verify, so that an outage of it shows before a code is spent.
func (a *App) trustOf(ctx context.Context, tenantID string) (*trust, error) {
	t := &trust{}
	var jwksURL string
	if own := a.site.own; own != nil {
		switch {
		case own.Issuer == "":
			return nil, errors.New("authcode: Endpoints has no Issuer: an ID token cannot be verified without it")
		case own.JWKS == "":
			return nil, errors.New("authcode: Endpoints has no JWKS: an ID token cannot be verified without it")
		}
		t.algorithms, t.issuer, jwksURL = idTokenAlgorithms, own.Issuer, own.JWKS
	} else {
		m, err := a.trusts.metadataOf(a, tenantID).get(ctx)
		if err != nil {
			return nil, err
		}
		t.algorithms, t.issuer, t.issInCallbacks, jwksURL = m.algorithms, m.issuer, m.issInCallbacks, m.jwksURL
	}
	t.keys = a.trusts.keysAt(a, jwksURL)
	_, err := t.keys.get(ctx)
	return t, err
}

func (t *trusts) metadataOf(a *App, tenantID string) *document[metadata] {
	t.mu.Lock()
	defer t.mu.Unlock()
	tenantID = strings.ToLower(tenantID)
	return keep(&t.metadata, tenantID, func() *document[metadata] {
		return &document[metadata]{
			app:   a,
			name:  "the metadata",
			parse: func(body []byte) (metadata, error) { return a.site.parseMetadata(body, tenantID) },
			url:   a.site.discoveryURL(tenantID),
		}
	})
}

func (t *trusts) keysAt(a *App, jwksURL string) *document[[]signingKey] {
	t.mu.Lock()
	defer t.mu.Unlock()
	return keep(&t.keys, jwksURL, func() *document[[]signingKey] {
		return &document[[]signingKey]{app: a, name: "the signing keys", url: jwksURL, parse: parseKeys}
	})
}

// keep gives what is under key, or makes it; any other leaves when there are too many.
func keep[V any](all *map[string]V, key string, build func() V) V {
	if v, ok := (*all)[key]; ok {
		return v
	}
	if *all == nil {
		*all = make(map[string]V)
	}
	if len(*all) >= maxTrusts {
		for other := range *all {
			delete(*all, other)
			break
		}
	}
	v := build()
	(*all)[key] = v
	return v
}
