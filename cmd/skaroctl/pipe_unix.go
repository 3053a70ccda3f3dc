//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// watchReader calls gone if w is a pipe or socket and its reader goes away, even while
// nothing is written. It returns at the end of ctx at the latest.
func watchReader(ctx context.Context, w io.Writer, gone func()) {
	f, ok := w.(*os.File)
	if !ok {
		return
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return
	}
	wake, stop, err := wakeAtEnd(ctx)
	if err != nil {
		return
	}
	defer stop()
	if lostReader(f, wake) {
		gone()
	}
}

// wakeAtEnd returns a pipe that can be read when ctx ends, which wakes a poll.
func wakeAtEnd(ctx context.Context) (r *os.File, stop func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	ended := context.AfterFunc(ctx, func() { w.Close() })
	return r, func() {
		if ended() {
			w.Close()
		}
		r.Close()
	}, nil
}

// lostReader polls a pipe until its reader goes away, or until wake can be read, and
// reports whether the reader is gone.
func lostReader(pipe, wake *os.File) bool {
	// No events are asked for: poll reports an error anyway.
	fds := []unix.PollFd{{Fd: int32(pipe.Fd())}, {Fd: int32(wake.Fd())}}
	for {
		_, err := unix.Poll(fds, -1)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && fds[1].Revents == 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0
		}
	}
}
