//go:build unix

package terminal

import (
	"errors"

	"golang.org/x/sys/unix"
)

// readiness says what a file must be ready for.
type readiness int16

const (
	readable readiness = unix.POLLIN
	writable readiness = unix.POLLOUT
)

// wouldBlock reports whether a call on a non-blocking file failed because it would wait.
func wouldBlock(err error) bool { return errors.Is(err, unix.EAGAIN) }

// awaitReady waits until a file is ready, or its other end has gone.
func awaitReady(fd int, ready readiness) bool {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: int16(ready)}}, -1)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
