package entratest_test

import "testing"

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
