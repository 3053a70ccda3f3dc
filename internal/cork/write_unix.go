//go:build !windows

package cork

import "syscall"

// writeNow writes to a descriptor that does not block. It returns how many bytes the system
// took, or -1.
func writeNow(fd uintptr, b []byte) int {
	n, _ := syscall.Write(int(fd), b)
	return n
}
