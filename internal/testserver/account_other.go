//go:build !unix

package testserver

import (
	"os"
	"os/exec"
)

// account is who a server runs as: here who runs the test.
type account struct{}

func unprivileged(string) (*account, error)      { return nil, nil }
func (*account) own(string) error                { return nil }
func (*account) run(command *exec.Cmd) *exec.Cmd { return command }

var quickly, politely = os.Kill, os.Kill
