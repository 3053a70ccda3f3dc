//go:build darwin || freebsd

package terminal

import "golang.org/x/sys/unix"

// ReadOnly reports whether a descriptor is on a read-only mount.
func ReadOnly(fd int) bool {
	var s unix.Statfs_t
	return unix.Fstatfs(fd, &s) == nil && uint64(s.Flags)&unix.MNT_RDONLY != 0
}
