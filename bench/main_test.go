package bench

import (
	"fmt"
	"os"
	"testing"

	"github.com/authcode-go/authcode/internal/testserver"
)

// serverVariable makes the test binary the token server of BenchmarkRedeem: in a process of its own, so that what the server
// costs is not counted as the client's.
const serverVariable = "AUTHCODE_BENCH_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) == "1" {
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	testserver.StopAll()
	os.Exit(code)
}
