//go:build !unix

package main

import (
	"context"
	"errors"
	"io"
	"syscall"
)

func catchPipe() {}

// Windows' error numbers for a pipe whose reader has gone: ERROR_BROKEN_PIPE and
// ERROR_NO_DATA.
const (
	errorBrokenPipe = syscall.Errno(109)
	errorNoData     = syscall.Errno(232)
)

// readerGone reports whether err is the write to a pipe that nobody reads.
func readerGone(err error) bool {
	return errors.Is(err, errorBrokenPipe) || errors.Is(err, errorNoData)
}

// watchReader does nothing where a pipe can't be watched: a reader that has gone
// is noticed at the next write.
func watchReader(context.Context, io.Writer, func()) {}
