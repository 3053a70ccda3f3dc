//go:build unix

package account

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

// folderVariables name the folders of our files.
const folderVariables = "HOME, XDG_CONFIG_HOME and XDG_STATE_HOME"

// tokenHint is how to get a token.
const tokenHint = "make one with `(umask 077; skaroctl login LOGIN --server URL --print-token >FILE)`"

// noFollow makes the opening of a symbolic link an error.
const noFollow = unix.O_NOFOLLOW

// private refuses a file that users other than its owner may read or write.
func private(f *os.File, info fs.FileInfo) error {
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return &Error{
		Kind: KindFile, Path: f.Name(),
		Msg:  fmt.Sprintf("others can use this secret: its mode is %04o, not 0600", info.Mode().Perm()),
		Hint: "run `chmod 600 " + terminal.ShellWord(f.Name()) + "`",
	}
}

// ours refuses a file that belongs to another user.
func ours(f *os.File, info fs.FileInfo) error {
	if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid != os.Geteuid() {
		return othersFile(f.Name(), uid)
	}
	return nil
}

// trusted refuses a file of a user other than this one and root, unless its mount is
// read-only: then it is the administrator's choice, as in a container.
func trusted(f *os.File, info fs.FileInfo) error {
	if uid := info.Sys().(*syscall.Stat_t).Uid; !trustedUser(uid) && !terminal.ReadOnly(int(f.Fd())) {
		err := othersFile(f.Name(), int(uid))
		err.Kind = KindForeign
		return err
	}
	return nil
}

// oursOnce refuses a file that belongs to another user, and one with several names.
func oursOnce(f *os.File, info fs.FileInfo) error {
	if n := info.Sys().(*syscall.Stat_t).Nlink; n != 1 {
		return &Error{Kind: KindFile, Path: f.Name(), Msg: fmt.Sprintf("the file has %d names (hard links), and must have one", n), Hint: "run `rm " + terminal.ShellWord(f.Name()) + "`"}
	}
	return ours(f, info)
}

func othersFile(path string, uid int) *Error {
	return &Error{
		Kind: KindFile, Path: path,
		Msg:  fmt.Sprintf("it belongs to another user (uid %d, and this is uid %d)", uid, os.Geteuid()),
		Hint: fmt.Sprintf("run `chown %d %s`, or skaroctl as its owner", os.Geteuid(), terminal.ShellWord(path)),
	}
}

// inUse reports whether a file is open in another program, which matters only on Windows.
func inUse(error) bool { return false }
