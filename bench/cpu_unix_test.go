//go:build unix

package bench

import (
	"syscall"
	"time"
)

// processCPU is the time that all threads of this process have spent on a processor, garbage collection included.
func processCPU() (time.Duration, bool) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, false
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), true
}
