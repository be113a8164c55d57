package testserver

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the server with the test binary, however that ends.
func dieWithParent(command *exec.Cmd) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGQUIT // which no server here survives, and PostgreSQL's processes all obey
}
