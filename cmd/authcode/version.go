package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is what the Go command recorded of this build.
func version() string {
	var recorded string
	if info, ok := debug.ReadBuildInfo(); ok {
		recorded = info.Main.Version
	}
	return fmt.Sprintf("%s (%s, %s/%s)", cmp.Or(recorded, "(devel)"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
