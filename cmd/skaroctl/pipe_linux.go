package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readerOf returns a function that reports whether the pipe w has a reader, or may have one. It
// works after w is closed, until stop is called.
func readerOf(w io.Writer) (has func() bool, stop func()) {
	has, stop = func() bool { return true }, func() {}
	f, ok := w.(*os.File)
	if !ok {
		return has, stop
	}
	// With O_PATH, the descriptor is not an end of the pipe: the reader sees the end of its input.
	path, err := unix.Open(descriptorPath(int(f.Fd())), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return has, stop
	}
	return func() bool { return hasReader(path) }, func() { unix.Close(path) }
}

// hasReader opens the pipe of a descriptor for a moment.
func hasReader(path int) bool {
	end, err := unix.Open(descriptorPath(path), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return !errors.Is(err, unix.ENXIO) // a FIFO
	}
	defer unix.Close(end)
	fds := []unix.PollFd{{Fd: int32(end)}}
	_, err = unix.Poll(fds, 0)
	return err != nil || fds[0].Revents&unix.POLLERR == 0
}

func descriptorPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
