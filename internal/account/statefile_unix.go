//go:build unix

package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// folderVariables name the folders of our files.
const folderVariables = "HOME, XDG_CONFIG_HOME or XDG_STATE_HOME"

// tokenHint is how to get a token.
const tokenHint = "make one with `(umask 077; skaroctl login LOGIN --server URL --print-token >FILE)`"

// withoutWaiting opens a named pipe at once, before anything writes to it.
const withoutWaiting = syscall.O_NONBLOCK

// private refuses a file that others than its owner may read or write.
func private(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return &Error{
		Kind: KindFile, Path: path,
		Msg:  fmt.Sprintf("others can use this secret: its mode is %04o, not 0600", info.Mode().Perm()),
		Hint: "chmod 600 " + ShellWord(path),
	}
}

// ours refuses a file that belongs to another user.
func ours(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	return &Error{
		Kind: KindFile, Path: path,
		Msg:  fmt.Sprintf("it belongs to another user (uid %d, and this is uid %d)", stat.Uid, os.Geteuid()),
		Hint: fmt.Sprintf("chown %d %s, or run skaroctl as its owner", os.Geteuid(), ShellWord(path)),
	}
}

// syncFolder waits until the disk has the names in a folder. Some file systems can't
// do that, and say so with EINVAL or ENOTSUP.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// inUse reports whether a file is open in another program, which only Windows minds.
func inUse(error) bool { return false }
