package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// The files of this package are private: they have mode 0600, in folders of mode
// 0700. All are read by readFile, replaced by replaceFile, and locked by lock.

// durability says what replaceFile waits for.
type durability bool

const (
	durable  durability = true  // the disk has the new content: a power failure loses nothing
	volatile durability = false // after a power failure, the old content may be there
)

// check refuses a file by what its descriptor says about it.
type check func(path string, info fs.FileInfo) error

// anyMode accepts every file. A folder may be what keeps it private.
func anyMode(string, fs.FileInfo) error { return nil }

// oursAlone refuses a file of another user, and one that others can use.
func oursAlone(path string, info fs.FileInfo) error {
	if err := ours(path, info); err != nil {
		return err
	}
	return private(path, info)
}

// readFile returns the content of a regular file that accept does not refuse, or nil
// if there is none.
func readFile(path string, accept check) ([]byte, error) {
	content, err := readAccepted(path, accept)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		err = fileError(path, err)
		var e *Error
		if errors.As(err, &e) && e.Hint == "" && errors.Is(err, fs.ErrPermission) {
			// A service often starts with the HOME of another user.
			e.Hint = folderVariables + " may be those of another user: set or unset them"
		}
		return nil, err
	}
	return content, nil
}

// readAccepted is readFile with the errors of the os package.
func readAccepted(path string, accept check) ([]byte, error) {
	var f *os.File
	err := whileInUse(func() (err error) {
		f, err = os.OpenFile(path, os.O_RDONLY|withoutWaiting, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // reading it might never end, and it must not be replaced
		return nil, &Error{Kind: KindFile, Path: path, Msg: "it is not a regular file"}
	}
	if err := accept(path, info); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// replaceFile writes a file anew, so that at every moment the old or the new content
// is there as a whole. The caller holds the file's lock: the temporary file has a fixed
// name, and what a killed process left there is removed.
func replaceFile(path string, content []byte, d durability) error {
	temporary := path + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(temporary, err)
	}
	err := writeNew(temporary, content, d)
	if err == nil {
		err = whileInUse(func() error { return os.Rename(temporary, path) })
	}
	if err != nil {
		_ = os.Remove(temporary)
		return fileError(path, err)
	}
	if d == durable {
		if err := syncFolder(filepath.Dir(path)); err != nil {
			return fileError(path, err)
		}
	}
	return nil
}

// writeNew writes a file that must not exist yet; O_EXCL follows no symbolic link.
func writeNew(path string, content []byte, d durability) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil && d == durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// whileInUse repeats what Windows refuses while another program has the file open. A
// virus scanner or a backup soon closes it.
func whileInUse(do func() error) error {
	const limit = 2 * time.Second
	for end, pause := time.Now().Add(limit), time.Millisecond; ; pause *= 2 {
		err := do()
		if err == nil || !inUse(err) || time.Now().Add(pause).After(end) {
			return err
		}
		time.Sleep(pause)
	}
}

// lockPause is the time between two attempts to take a lock.
const lockPause = 10 * time.Millisecond

// lock takes the lock of a file, and waits for it until ctx ends. The lock is a file
// beside it, and ends with the process.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	switch ok, err := l.TryLockContext(ctx, lockPause); {
	case ok:
		return func() { _ = l.Close() }, nil
	case ctx.Err() != nil:
		return nil, &Error{Kind: KindLocked, Msg: fmt.Sprintf("another skaroctl holds %s: %v", l.Path(), context.Cause(ctx)), Err: context.Cause(ctx)}
	default:
		return nil, fileError(l.Path(), err)
	}
}

// tryLock is lock without the wait: if another process holds the lock, the error is of
// KindLocked.
func tryLock(path string) (unlock func(), err error) {
	l, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	switch ok, err := l.TryLock(); {
	case err != nil:
		return nil, fileError(l.Path(), err)
	case !ok:
		return nil, &Error{Kind: KindLocked, Path: path, Msg: "another skaroctl holds its lock"}
	}
	return func() { _ = l.Close() }, nil
}

// lockFile makes the folder of a file, and returns the lock beside the file.
func lockFile(path string) (*flock.Flock, error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fileError(folder, err)
	}
	return flock.New(path+".lock", flock.SetFlag(os.O_RDWR|os.O_CREATE), flock.SetPermissions(0o600)), nil
}

// locked calls do with the path of the file itself, which no other process and no
// other goroutine changes meanwhile.
func locked(ctx context.Context, path string, do func(path string) error) error {
	path, err := followLinks(path)
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	return do(path)
}

// followLinks returns the file that symbolic links lead to, which need not exist: that
// file is to be replaced, and not a link to it.
func followLinks(path string) (string, error) {
	for range 40 { // as many as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil // not a link; what else is wrong shows when it is used
		}
		if !filepath.IsAbs(target) {
			folder, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return "", fileError(path, err)
			}
			target = filepath.Join(folder, target)
		}
		path = target
	}
	return "", &Error{Kind: KindFile, Path: path, Msg: "too many symbolic links"}
}
