package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/authcode-go/authcode/entratest"
)

// resource is an API whose access tokens come from an emulated Entra ID, and which is told of revoked ones as Azure's
// APIs with continuous access evaluation are: it answers them with a claims challenge
// (https://learn.microsoft.com/entra/identity-platform/claims-challenge).
type resource struct {
	*httptest.Server
	entra    *entra
	audience string

	mu     sync.Mutex
	served []served
}

// served is one request to the resource.
type served struct {
	challenge string // claims asked for; "": none
	status    int
	token     string
}

func startResource(t *testing.T, e *entra, audience string) *resource {
	t.Helper()
	r := &resource{audience: audience, entra: e}
	r.Server = httptest.NewUnstartedServer(r)
	r.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that nobody needed any more
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *resource) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	token, _ := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	s := served{status: http.StatusOK, token: token}
	claims, err := r.entra.VerifyAccessToken(token)
	if revoked, ok := errors.AsType[*entratest.RevokedError](err); ok {
		s.challenge = revoked.Claims
	}
	if err != nil || claims["aud"] != r.audience {
		s.status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", r.authenticate(s.challenge))
	}
	r.mu.Lock()
	r.served = append(r.served, s)
	r.mu.Unlock()
	w.WriteHeader(s.status)
}

func (r *resource) authenticate(challenge string) string {
	header := fmt.Sprintf(`Bearer realm="", authorization_uri="%s/common/oauth2/authorize"`, r.entra.URL())
	if challenge == "" {
		return header
	}
	return header + fmt.Sprintf(`, error="insufficient_claims", claims="%s"`, base64.StdEncoding.EncodeToString([]byte(challenge)))
}

// requests are those served so far.
func (r *resource) requests() []served {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.served)
}

// wantStatuses checks all answers so far, and gives the requests.
func (r *resource) wantStatuses(t *testing.T, want ...int) []served {
	t.Helper()
	requests := r.requests()
	var got []int
	for _, s := range requests {
		got = append(got, s.status)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the resource answered %v, want %v", got, want)
	}
	return requests
}
