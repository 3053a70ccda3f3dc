//go:build darwin || freebsd

package account

import "golang.org/x/sys/unix"

// searching opens a folder whose names we may use and need not list.
const searching = unix.O_SEARCH

// readOnly reports whether a descriptor is on a read-only mount.
func readOnly(fd int) bool {
	var s unix.Statfs_t
	return unix.Fstatfs(fd, &s) == nil && uint64(s.Flags)&unix.MNT_RDONLY != 0
}

// outside reports false: here each user is in one namespace.
func outside(uint32) bool { return false }
