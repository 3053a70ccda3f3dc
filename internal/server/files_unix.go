//go:build unix

package server

import (
	"math"
	"syscall"
)

// openFiles returns how many files this process may have open. Go has raised that to the most
// that the system permits.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}
