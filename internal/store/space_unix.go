//go:build unix

package store

import "golang.org/x/sys/unix"

// freeBytes returns the space that a file system has left for a user who is not root.
func freeBytes(folder string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, err
	}
	return uint64(max(s.Bavail, 0)) * uint64(s.Bsize), nil // FreeBSD counts below zero
}
