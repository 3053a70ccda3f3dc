//go:build unix

package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// listenUnix makes a socket that only its owner and its group can use. The mask applies to the
// whole process, but only for a moment, and takes rights instead of giving them.
func listenUnix(path string) (net.Listener, error) {
	before := unix.Umask(0o117)
	defer unix.Umask(before)
	return net.Listen("unix", path)
}
