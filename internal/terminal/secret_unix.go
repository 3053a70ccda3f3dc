//go:build unix

package terminal

import (
	"io/fs"
	"os"
	"syscall"
)

// exposed reports whether others can use a file that we could make private.
func exposed(f *os.File, info fs.FileInfo) bool {
	if info.Mode().Perm()&0o077 == 0 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	ours := !ok || int(stat.Uid) == os.Geteuid()
	return ours && !ReadOnly(int(f.Fd()))
}
