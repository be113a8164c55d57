package entratest_test

import (
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

// The emulator must not be what a benchmark of a client measures.
func BenchmarkRefresh(b *testing.B) {
	f := start(b, nil)
	form := refreshForm(f.mustToken(codeForm(f.signIn(alice, "scope", "offline_access User.Read"))).RefreshToken)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.mustToken(form)
		}
	})
}

// tlsFixture is an emulator behind TLS, and clients that keep their connections.
func tlsFixture(b *testing.B) *fixture {
	server, err := entratest.NewServer(&entratest.Options{LogSize: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	return &fixture{Emulator: server.Emulator, t: b, tenant: contoso, client: server.Client()}
}

// grants measures token requests over TLS by parallel clients, in grants a second.
func (f *fixture) grants(b *testing.B, form func(n int) url.Values) {
	b.ReportAllocs()
	next := make(chan int, b.N)
	for n := range b.N {
		next <- n
	}
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, f.tokenURL(), strings.NewReader(form(<-next).Encode()))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			response, err := f.client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			body, err := io.ReadAll(response.Body)
			if response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
				b.Errorf("%d %s %v", response.StatusCode, body, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "grants/s")
}

func BenchmarkCodeGrant(b *testing.B) {
	f := tlsFixture(b)
	inProcess := *f
	inProcess.client = &http.Client{Transport: f.Transport()}
	codes := make([]string, b.N)
	for n := range codes {
		codes[n] = inProcess.signIn(alice)
	}
	f.grants(b, func(n int) url.Values { return codeForm(codes[n]) })
}

func BenchmarkRefreshGrant(b *testing.B) {
	f := tlsFixture(b)
	form := refreshForm(f.mustToken(codeForm(f.signIn(alice))).RefreshToken)
	f.grants(b, func(int) url.Values { return form })
}

func BenchmarkClientCredentialsGrant(b *testing.B) {
	f := tlsFixture(b)
	f.grants(b, func(int) url.Values { return appForm(graphDefault) })
}

func BenchmarkOnBehalfOfGrant(b *testing.B) {
	f := tlsFixture(b)
	form := oboForm(f.ordersToken(alice))
	f.grants(b, func(int) url.Values { return form })
}

// BenchmarkMemoryPerUser measures what a signed-in user costs the emulator: within the ten minutes of the code, when
// its ID is remembered, and after them.
func BenchmarkMemoryPerUser(b *testing.B) {
	const users = 4_000
	for b.Loop() {
		f := start(b, &entratest.Options{LogSize: -1})
		f.mustToken(codeForm(f.signIn(alice)))
		before := heap()
		sign := func() { f.mustToken(codeForm(f.signIn(alice, "scope", "offline_access User.Read"))) }
		for range users {
			sign()
		}
		b.ReportMetric(float64(heap()-before)/users, "B/user-at-once")
		f.Advance(11 * time.Minute)
		for range 2 * users { // the table is swept as it grows
			f.Advance(time.Second)
			sign()
		}
		b.ReportMetric(float64(heap()-before)/(3*users), "B/user-later")
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
