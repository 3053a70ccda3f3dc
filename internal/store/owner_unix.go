//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// noFollow makes opening a symbolic link an error. Opening a pipe does not wait.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// links is how many names a file has.
func links(info fs.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Nlink) }

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// way says where a path leads, and which users can make it lead elsewhere.
type way struct {
	folder  string   // the deepest folder of the path that exists, without symbolic links
	missing []string // the names below it that don't exist
	linked  bool     // a symbolic link was on the way
	changes []change
}

// change is a folder of a way that a user other than root can change.
type change struct {
	folder string
	user   int
}

const anyUser = -1 // a group, or everybody

// walk follows a path as the kernel does.
func walk(path string) (way, error) {
	w := way{folder: "/"}
	names := strings.Split(path, "/")
	for followed := 0; len(names) > 0; {
		name := names[0]
		switch name {
		case "", ".":
			names = names[1:]
			continue
		case "..":
			w.folder, names = filepath.Dir(w.folder), names[1:]
			continue
		}
		next := filepath.Join(w.folder, name)
		info, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			w.missing = names
			return w, nil
		}
		if err == nil {
			err = w.mayChange(w.folder, info)
		}
		if err != nil {
			return w, err
		}
		names = names[1:]
		if info.Mode()&fs.ModeSymlink == 0 {
			w.folder = next
			continue
		}
		if followed++; followed > 40 {
			return w, &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		target, err := os.Readlink(next)
		if err != nil {
			return w, err
		}
		w.linked = true
		if filepath.IsAbs(target) {
			w.folder = "/"
		}
		names = append(strings.Split(target, "/"), names...)
	}
	return w, nil
}

// mayChange adds the users who can replace an entry of a folder. In a folder with the sticky
// bit those are the owners of the folder and of the entry.
func (w *way) mayChange(folder string, entry fs.FileInfo) error {
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	w.changes = append(w.changes, change{folder, owner(info)})
	switch {
	case !writableByOthers(info):
	case info.Mode()&fs.ModeSticky != 0 && entry != nil:
		w.changes = append(w.changes, change{folder, owner(entry)})
	default:
		w.changes = append(w.changes, change{folder, anyUser})
	}
	return nil
}

// writableByOthers reports whether users other than the owner and root can change a folder.
func writableByOthers(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	return mode&0o002 != 0 || mode&0o020 != 0 && info.Sys().(*syscall.Stat_t).Gid != 0
}

// heldBy returns ErrShared if a user other than root and the given one can change the way.
func (w *way) heldBy(user int) error {
	for _, c := range w.changes {
		if c.user != 0 && c.user != user {
			return fmt.Errorf("%s: %w", c.folder, ErrShared)
		}
	}
	return nil
}

// Enter gives up the rights of root for good: the process then runs as the user who owns
// the folder of the database, so that a symbolic link which this user has put there opens
// no file of root. It returns the path by which the database is opened from then on.
//
// If root owns the folder, the process stays one of root, and Enter makes the folder if it is
// missing. If other users can change where the path leads, the error is ErrShared. In a
// process of any other user, Enter does nothing.
func Enter(path string) (string, error) {
	if os.Geteuid() != 0 {
		return path, nil
	}
	for range 10 { // another process may make the same folder
		w, err := walk(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		info, err := os.Stat(w.folder)
		if err != nil {
			return "", err
		}
		if !info.IsDir() {
			return "", &fs.PathError{Op: "open", Path: w.folder, Err: syscall.ENOTDIR}
		}
		if err := w.heldBy(owner(info)); err != nil {
			return "", err
		}
		if owner(info) != 0 {
			return become(w, info, path)
		}
		if len(w.missing) == 0 {
			if writableByOthers(info) {
				return "", fmt.Errorf("%s: %w", w.folder, ErrShared)
			}
			return path, nil
		}
		if err := makeFolders(w.folder, w.missing); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: %w", filepath.Dir(path), ErrShared)
}

// makeFolders makes folders one below the other. If another process is faster, the error is
// fs.ErrExist.
func makeFolders(folder string, names []string) error {
	for _, name := range names {
		folder = filepath.Join(folder, name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// become gives this process, with all its threads, the user who owns the folder of a way. If
// that user can't reach the folder by its path (systemd keeps those of DynamicUser= below one
// that only root can enter), the folder becomes the root of all paths.
func become(w way, info fs.FileInfo, path string) (string, error) {
	folder, err := openSame(w.folder, info)
	if err == nil {
		defer folder.Close()
		path, err = becomeOwner(w, folder, info, path)
	}
	if err != nil {
		return "", fmt.Errorf("become the owner of %s: %w", w.folder, err)
	}
	return path, nil
}

// openSame opens a folder, which must be the one that was looked at.
func openSame(path string, info fs.FileInfo) (*os.File, error) {
	folder, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|noFollow, 0)
	if err != nil {
		return nil, err
	}
	opened, err := folder.Stat()
	if err == nil && (!os.SameFile(opened, info) || owner(opened) != owner(info)) {
		err = ErrShared
	}
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return folder, nil
}

func becomeOwner(w way, folder *os.File, info fs.FileInfo, path string) (string, error) {
	uid := owner(info)
	gid, groups := groupsOf(uid, int(info.Sys().(*syscall.Stat_t).Gid))
	_ = time.Now().Local().String() // reads the time zone's file, which can't be reached later
	if err := errors.Join(syscall.Setgroups(groups), syscall.Setgid(gid)); err != nil {
		return "", err
	}
	reached, err := reaches(uid, w.folder, info)
	if err != nil {
		return "", err
	}
	if !reached {
		if err := errors.Join(folder.Chdir(), syscall.Chroot(".")); err != nil {
			return "", err
		}
		path = filepath.Join(append(append([]string{"/"}, w.missing...), filepath.Base(path))...)
	}
	if err := syscall.Setuid(uid); err != nil {
		return "", err
	}
	if os.Getuid() != uid || os.Geteuid() != uid || syscall.Setuid(0) == nil {
		return "", errors.New("the rights of root can't be given up")
	}
	return path, nil
}

// reaches reports whether a user can reach a folder by its path. The process, with all its
// threads, has the rights of that user meanwhile.
func reaches(uid int, path string, info fs.FileInfo) (bool, error) {
	if err := syscall.Setreuid(-1, uid); err != nil {
		return false, err
	}
	seen, err := os.Stat(path)
	return err == nil && os.SameFile(seen, info), syscall.Setreuid(-1, 0)
}

// groupsOf returns the group of a user and all its groups. A user without an account, as
// systemd makes them, has the group of its folder, unless that is root's.
func groupsOf(uid, folderGroup int) (gid int, groups []int) {
	gid = folderGroup
	if gid == 0 {
		gid = uid
	}
	if account, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		if primary, err := strconv.Atoi(account.Gid); err == nil {
			gid = primary
		}
		ids, _ := account.GroupIds()
		for _, id := range ids {
			if group, err := strconv.Atoi(id); err == nil {
				groups = append(groups, group)
			}
		}
	}
	if !slices.Contains(groups, gid) {
		groups = append(groups, gid)
	}
	return gid, groups
}

// NeedsTwoProcesses reports whether two processes have to write a backup into a file: one
// opens the file, and the other the database, because SQLite would open both by their names.
// That is so if root backs up the database of another user, or if other users can change the
// folder of the file.
func NeedsTwoProcesses(path, file string) bool {
	if w, err := walk(filepath.Dir(path)); os.Geteuid() == 0 && err == nil {
		if info, err := os.Stat(w.folder); err == nil && owner(info) != 0 {
			return true
		}
	}
	folder := filepath.Dir(file)
	w, err := walk(folder)
	if err == nil && len(w.missing) == 0 {
		var info fs.FileInfo
		if info, err = os.Stat(w.folder); err == nil && info.Mode()&fs.ModeSticky == 0 {
			err = w.mayChange(w.folder, nil)
		}
	}
	return err == nil && w.heldBy(os.Geteuid()) != nil
}

// CheckLink returns ErrShared for a file that root has opened by a symbolic link of another
// user, who may not be allowed to read it. It also does if the path has another file by now: the
// link may have been there before. A pipe has nothing to protect, and its path may be only a name
// in /dev/fd.
func CheckLink(path string, file *os.File) error {
	info, err := file.Stat()
	if err != nil || os.Geteuid() != 0 || info.Mode()&fs.ModeNamedPipe != 0 {
		return err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return err
	}
	w, err := walk(path)
	if err != nil {
		return err
	}
	if w.linked {
		return w.heldBy(owner(info))
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(now, info) {
		return fmt.Errorf("%s: %w", path, ErrShared)
	}
	return nil
}
