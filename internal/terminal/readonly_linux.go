package terminal

import "golang.org/x/sys/unix"

// ReadOnly reports whether a descriptor is on a read-only mount.
func ReadOnly(fd int) bool {
	var s unix.Statfs_t
	return unix.Fstatfs(fd, &s) == nil && s.Flags&unix.ST_RDONLY != 0
}
