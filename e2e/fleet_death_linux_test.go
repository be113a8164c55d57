package e2e

import (
	"os/exec"
	"syscall"
)

// dieWithUs ends a worker with the test binary, however that ends, and were it stopped.
func dieWithUs(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
