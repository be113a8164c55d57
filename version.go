package authcode

// moduleName and version name the library in the User-Agent header and in traces.
const (
	moduleName = "github.com/authcode-go/authcode"
	version    = "v0.1.0"
)
