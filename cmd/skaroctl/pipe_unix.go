//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// watchReader calls gone when w is a pipe or socket whose reader has gone away,
// also while nothing is written. It returns at the end of ctx at the latest.
func watchReader(ctx context.Context, w io.Writer, gone func()) {
	f, ok := w.(*os.File)
	if !ok {
		return
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return
	}
	// A pipe of our own wakes the poll when ctx ends.
	wakeR, wakeW, err := os.Pipe()
	if err != nil {
		return
	}
	defer wakeR.Close()
	stop := context.AfterFunc(ctx, func() { wakeW.Close() })
	defer func() {
		if stop() {
			wakeW.Close()
		}
	}()
	// No events are asked for: an error is reported all the same.
	fds := []unix.PollFd{{Fd: int32(f.Fd())}, {Fd: int32(wakeR.Fd())}}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && fds[1].Revents == 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
			gone()
		}
		return
	}
}
