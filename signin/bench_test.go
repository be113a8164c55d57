package signin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/authcode-go/authcode/signin"
)

// nowhere is a ResponseWriter that keeps its header, so that a benchmark counts the package's work alone.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// What a signed-in request costs beyond its handler: the session, the user, and a cached token. Once in 10 seconds the store is
// asked, which is in it.
func BenchmarkSignedInRequest(b *testing.B) {
	s := newWorld(b).newSite(&signin.Options{Scopes: []string{graphScope}})
	user := s.browser(alice).signIn()
	user.get(tokenPath(graphScope)).wants(b, 200, "a token")
	options := policy.TokenRequestOptions{Scopes: []string{graphScope}}
	handler := s.h.RequireUser(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		u, _ := signin.UserFrom(r.Context())
		if _, err := u.Credential().GetToken(r.Context(), options); err != nil {
			b.Error(err)
		}
	}))
	request := httptest.NewRequest("GET", origin+"/me", nil)
	user.addCookies(request, request.URL)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		w := nowhere{http.Header{}}
		for pb.Next() {
			handler.ServeHTTP(w, request)
		}
	})
}

// Whole sign-ins, the emulator's work included: start, authorize, callback.
func BenchmarkSignIn(b *testing.B) {
	s := newWorld(b).newSite(nil)
	s.browser(alice).signIn()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			one := s.browser(alice)
			if a := one.get(one.callbackOf("/me")); a.StatusCode != http.StatusSeeOther {
				b.Errorf("%d %s", a.StatusCode, a.body)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign-ins/s")
}
