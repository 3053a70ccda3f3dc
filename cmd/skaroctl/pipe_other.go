//go:build !linux

package main

import "io"

// readerOf returns a function that reports whether w may have a reader: after w is closed, this
// system does not tell.
func readerOf(io.Writer) (has func() bool, stop func()) {
	return func() bool { return true }, func() {}
}
