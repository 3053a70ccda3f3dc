//go:build unix

package account

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// folderVariables say where our files are.
const folderVariables = "HOME, XDG_CONFIG_HOME or XDG_STATE_HOME"

// tokenAdvice is how to get a token.
const tokenAdvice = "make one with `(umask 077; skaroctl login LOGIN --server URL --print-token >FILE)`"

// private refuses a file that others than its owner may read or write.
func private(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return &FileError{
		Path:   path,
		Err:    fmt.Errorf("others can use this secret: its mode is %04o, not 0600", info.Mode().Perm()),
		Advice: "chmod 600 " + ShellWord(path),
	}
}

// ours refuses a file that belongs to another user.
func ours(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	return &FileError{
		Path:   path,
		Err:    fmt.Errorf("it belongs to another user (uid %d, and this is uid %d)", stat.Uid, os.Geteuid()),
		Advice: fmt.Sprintf("chown %d %s, or run skaroctl as its owner", os.Geteuid(), ShellWord(path)),
	}
}
