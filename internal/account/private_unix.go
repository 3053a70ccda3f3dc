//go:build unix

package account

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkPrivate is an error when somebody else could read the file, or owns it.
func checkPrivate(path string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &FileError{
			Path: path, Err: fmt.Errorf("its mode is %04o: others could read the secrets in it", mode),
			Advice: "chmod 600 " + path,
		}
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		return &FileError{Path: path, Err: fmt.Errorf("it belongs to another user (uid %d)", stat.Uid)}
	}
	return nil
}
