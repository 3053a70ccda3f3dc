//go:build unix

package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

// folder is a folder with private files. It is held open, so that a name in it means the
// same file even if a folder above it is renamed or replaced.
type folder struct {
	path   string // without symbolic links
	fd     int
	stat   unix.Stat_t
	others bool // it belongs to a user other than this one and root
}

// locate finds a private file, which need not exist, starting at the root folder. Each step
// starts at the descriptor of the folder before it. locate follows symbolic links, even the
// last one, because dotfiles are often links. It refuses what another user could have made:
// a link of another user, a folder of another user that the file would be in, and, as root,
// each folder of another user on the way.
func locate(path string, missing folders) (*stateFile, error) {
	d, err := openRoot()
	if err != nil {
		return nil, fileError(path, err)
	}
	names := split(path)
	for followed := 0; ; {
		target, err := d.readLink(names[0])
		switch {
		case err != nil:
		case target != "":
			if followed++; followed > linkLimit {
				err = tooManyLinks(path)
				break
			}
			names = append(split(target), names[1:]...)
			if filepath.IsAbs(target) {
				d.close()
				d, err = openRoot()
			}
		case len(names) == 1:
			if err = d.refuseOthers(); err == nil {
				return &stateFile{in: d, name: names[0]}, nil
			}
		default:
			var below *folder
			if below, err = d.enter(names[0], missing); err == nil {
				d.close()
				d, names = below, names[1:]
			}
		}
		if err != nil {
			d.close()
			return nil, fileError(path, err)
		}
	}
}

// split returns the names of a path. The last may be ".": then the path names no file.
func split(path string) []string {
	var names []string
	for _, name := range strings.Split(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		names = []string{"."}
	}
	return names
}

// openRoot opens the root folder, which belongs to root, or to a user outside of a
// container.
func openRoot() (*folder, error) {
	d := &folder{path: "/", fd: -1}
	var err error
	if d.fd, err = openAt(unix.AT_FDCWD, "/", searching|unix.O_DIRECTORY); err != nil {
		return d, &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	return d, unix.Fstat(d.fd, &d.stat)
}

func (d *folder) close() {
	if d.fd >= 0 {
		_ = unix.Close(d.fd)
		d.fd = -1
	}
}

// enter opens a folder in this one. It does not follow links.
func (d *folder) enter(name string, missing folders) (*folder, error) {
	below := &folder{path: filepath.Join(d.path, name)}
	var err error
	below.fd, err = openAt(d.fd, name, searching|unix.O_DIRECTORY|noFollow)
	if errors.Is(err, fs.ErrNotExist) && missing == makeMissing {
		if err := retried(func() error { return unix.Mkdirat(d.fd, name, 0o700) }); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fileError(below.path, &fs.PathError{Op: "mkdir", Path: below.path, Err: err})
		}
		below.fd, err = openAt(d.fd, name, searching|unix.O_DIRECTORY|noFollow)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: below.path, Err: err}
	}
	if err := unix.Fstat(below.fd, &below.stat); err != nil {
		below.close()
		return nil, err
	}
	below.others = !trustedUser(below.stat.Uid) && !terminal.ReadOnly(below.fd)
	// A user may choose a folder that is shared, such as one of a group. Root has more to
	// lose, and in a folder with the sticky bit another user may have made the name first.
	if os.Geteuid() == 0 || d.stat.Mode&unix.S_ISVTX != 0 {
		if err := below.refuseOthers(); err != nil {
			below.close()
			return nil, err
		}
	}
	return below, nil
}

// refuseOthers refuses a folder of another user, who could put links in the place of files.
func (d *folder) refuseOthers() error {
	if !d.others {
		return nil
	}
	return othersFolder(d.path, "it belongs to another user", d.stat.Uid)
}

// readLink returns what a name links to, or "" if it is not a link. It refuses a link of
// another user.
func (d *folder) readLink(name string) (target string, err error) {
	var before, after unix.Stat_t
	look := func(s *unix.Stat_t) error {
		return retried(func() error { return unix.Fstatat(d.fd, name, s, unix.AT_SYMLINK_NOFOLLOW) })
	}
	path := filepath.Join(d.path, name)
	if err := look(&before); errors.Is(err, fs.ErrNotExist) || err == nil && before.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", nil
	} else if err != nil {
		return "", &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if !trustedUser(before.Uid) && !terminal.ReadOnly(d.fd) {
		return "", othersFolder(path, "it is a symbolic link of another user", before.Uid)
	}
	b := make([]byte, unix.PathMax)
	var n int
	err = retried(func() (err error) { n, err = unix.Readlinkat(d.fd, name, b); return err })
	if err == nil {
		err = look(&after)
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	if n == 0 || n == len(b) || before.Ino != after.Ino || before.Dev != after.Dev {
		return "", &Error{Kind: KindFile, Path: path, Msg: "the symbolic link changed, or can't be read"}
	}
	return string(b[:n]), nil
}

func othersFolder(path, what string, uid uint32) error {
	return &Error{
		Kind: KindForeign, Path: path,
		Msg:  fmt.Sprintf("%s (uid %d, and this is uid %d)", what, uid, os.Geteuid()),
		Hint: "run skaroctl as that user, or set HOME to a folder of your own, as `sudo -H` does",
	}
}

// trustedUser reports whether this process may follow what a user has put on the way to a file.
func trustedUser(uid uint32) bool {
	return uid == 0 || int(uid) == os.Geteuid() || outside(uid)
}

// open opens a file of the folder; with O_CREATE, it makes a missing one. It follows no link,
// and does not wait for the writer of a named pipe.
func (d *folder) open(name string, flag int) (*os.File, error) {
	path := filepath.Join(d.path, name)
	fd, err := openAt(d.fd, name, flag|noFollow|unix.O_NONBLOCK)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EMLINK): // EMLINK on FreeBSD
		return nil, &Error{Kind: KindFile, Path: path, Msg: "it is a symbolic link, and must be a file", Hint: "run `rm " + terminal.ShellWord(path) + "`"}
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (d *folder) rename(from, to string) error {
	err := retried(func() error { return unix.Renameat(d.fd, from, d.fd, to) })
	if err != nil {
		return &fs.PathError{Op: "rename", Path: filepath.Join(d.path, to), Err: err}
	}
	return nil
}

func (d *folder) remove(name string) error {
	err := retried(func() error { return unix.Unlinkat(d.fd, name, 0) })
	if err != nil {
		return &fs.PathError{Op: "remove", Path: filepath.Join(d.path, name), Err: err}
	}
	return nil
}

// sync waits until the disk has the names in the folder. Some file systems can't do that,
// and say so with EINVAL or ENOTSUP.
func (d *folder) sync() error {
	fd, err := openAt(d.fd, ".", unix.O_RDONLY)
	if err != nil {
		return &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	err = retried(func() error { return unix.Fsync(fd) })
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return &fs.PathError{Op: "sync", Path: d.path, Err: err}
	}
	return nil
}

// list returns the files in the folder.
func (d *folder) list() ([]fs.FileInfo, error) {
	fd, err := openAt(d.fd, ".", unix.O_RDONLY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer f.Close()
	return f.Readdir(-1)
}

func openAt(at int, name string, flag int) (fd int, err error) {
	err = retried(func() (err error) { fd, err = unix.Openat(at, name, flag|unix.O_CLOEXEC, 0o600); return err })
	return fd, err
}

// retried repeats a call that a signal interrupts.
func retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
