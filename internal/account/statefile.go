package account

import (
	"cmp"
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

// The files of this package are private: they have mode 0600, in folders of mode 0700. Each
// is a stateFile, whose methods do every read, replacement and lock. locate finds it, and
// follows nothing that another user has put there.

// stateFile is a private file, which need not exist, in a folder that is held open.
type stateFile struct {
	in   *folder
	name string
}

// path returns the path of the file, without symbolic links.
func (f *stateFile) path() string { return filepath.Join(f.in.path, f.name) }

func (f *stateFile) close() { f.in.close() }

// durability says what replace waits for.
type durability bool

const (
	durable  durability = true  // the disk has the new content: a power failure loses nothing
	volatile durability = false // after a power failure, the old content may be there
)

// check refuses an open file, according to what its descriptor says about it.
type check func(f *os.File, info fs.FileInfo) error

// anyMode accepts every file. A folder may be what keeps it private.
func anyMode(*os.File, fs.FileInfo) error { return nil }

// oursAlone refuses a file of another user, and one that others can use.
func oursAlone(f *os.File, info fs.FileInfo) error {
	if err := ours(f, info); err != nil {
		return err
	}
	return private(f, info)
}

// readFile returns the content of a regular file that accept does not refuse, or nil
// if there is none.
func readFile(path string, accept check) ([]byte, error) {
	f, err := locate(path, existing)
	if err == nil {
		defer f.close()
		return f.read(accept)
	}
	return nil, readError(path, err)
}

// read is readFile for a file that was located.
func (f *stateFile) read(accept check) ([]byte, error) {
	content, err := f.readAccepted(accept)
	return content, readError(f.path(), err)
}

// readError returns the error of reading a file, nil if there is no file. A service often
// starts with the HOME of another user.
func readError(path string, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err = fileError(path, err)
	var e *Error
	if errors.As(err, &e) && e.Hint == "" && errors.Is(err, fs.ErrPermission) {
		e.Hint = "check " + folderVariables + ": they may be those of another user"
	}
	return err
}

// readAccepted is read with the errors of the os package.
func (f *stateFile) readAccepted(accept check) ([]byte, error) {
	var file *os.File
	err := whileInUse(func() (err error) {
		file, err = f.in.open(f.name, os.O_RDONLY)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := regular(file)
	if err != nil {
		return nil, err
	}
	if err := accept(file, info); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		return nil, &Error{Kind: KindFile, Path: file.Name(), Msg: fmt.Sprintf("it has more than %d MiB", maxFileBytes>>20), Hint: moveAway}
	}
	return content, err
}

// maxFileBytes is how long a private file may be. Only an entry of the spool may be as long.
const maxFileBytes = maxSpoolBytes

// moveAway is the hint for a file that skaroctl can't use, and leaves as it is.
const moveAway = "move it away"

// regular refuses a file that is not a regular one: reading it might never end, and it must
// not be replaced.
func regular(f *os.File) (fs.FileInfo, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		e := &Error{Kind: KindFile, Path: f.Name(), Msg: "it is not a regular file", Hint: moveAway}
		if info.Mode()&os.ModeDevice != 0 {
			e.Hint = "remove the link that leads to it" // other programs need /dev/null
		}
		err = e
	}
	return info, err
}

// replace writes a new file, so that at every moment the whole old or the whole new content
// is there. The caller holds the file's lock: the temporary file has a fixed name, and
// replace removes what a killed process left there.
func (f *stateFile) replace(content []byte, d durability) error {
	temporary := f.name + ".tmp"
	if err := f.in.remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(filepath.Join(f.in.path, temporary), err)
	}
	onStep()
	return f.put(temporary, content, d)
}

// create is replace for a file that is new. If it exists, the error is fs.ErrExist. The caller
// needs no lock: only one process can make the temporary file, whose name replace does not use.
func (f *stateFile) create(content []byte) error {
	return f.put(f.name+".new", content, durable, f.isNew)
}

// isNew returns fs.ErrExist for a file that exists.
func (f *stateFile) isNew() error {
	file, err := f.in.open(f.name, os.O_RDONLY)
	switch {
	case err == nil:
		return errors.Join(fs.ErrExist, file.Close())
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// put writes a temporary file, and gives it the name of the file if every check agrees.
func (f *stateFile) put(temporary string, content []byte, d durability, checks ...func() error) error {
	err := f.in.writeNew(temporary, content, d)
	if errors.Is(err, fs.ErrExist) {
		return fileError(f.path(), err) // it is another process's
	}
	for _, check := range checks {
		err = cmp.Or(err, check())
	}
	if err == nil {
		onStep()
		err = whileInUse(func() error { return f.in.rename(temporary, f.name) })
	}
	if err != nil {
		_ = f.in.remove(temporary)
		return fileError(f.path(), err)
	}
	onStep()
	if d == durable {
		if err := syncFolder(f.in); err != nil {
			return &Error{Kind: KindNotSynced, Path: f.path(), Err: fileError("", err)}
		}
	}
	return nil
}

// onStep is called between the steps of a change, at which a process may be killed. Tests
// replace it.
var onStep = func() {}

// syncFolder waits until the names in a folder are on disk. Tests make it fail.
var syncFolder = (*folder).sync

// writeNew writes a file that must not exist yet.
func (d *folder) writeNew(name string, content []byte, waitFor durability) error {
	f, err := d.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil && waitFor == durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// whileInUse repeats an action that Windows refuses while another program has the file open.
// A virus scanner or a backup soon closes it.
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

// The time between two attempts to take a lock. It doubles from the first to the second: a
// thousand processes that wait must leave the processor to the one that has the lock.
const (
	lockPause     = 10 * time.Millisecond
	lockPauseMost = 320 * time.Millisecond
)

// await tries to take a lock until ctx ends.
func await(ctx context.Context, l *flock.Flock) (ok bool, err error) {
	for pause := lockPause; ; pause = min(2*pause, lockPauseMost) {
		if ok, err := l.TryLock(); ok || err != nil {
			return ok, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// lock takes the lock of a file, and waits for it until ctx ends. The lock is a file
// beside it, and ends with the process.
func (f *stateFile) lock(ctx context.Context) (unlock func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l, made, err := f.lockFile()
	if err != nil {
		return nil, err
	}
	switch ok, err := await(ctx, l); {
	case ok:
		return unlocker(l, made)
	case ctx.Err() != nil:
		return nil, &Error{Kind: KindLocked, Msg: "another skaroctl holds " + l.Path(), Hint: "end the other skaroctl, or give it more time with --timeout", Err: context.Cause(ctx)}
	default:
		return nil, fileError(l.Path(), err)
	}
}

// tryLock is lock without the wait: if another process holds the lock, the error is of
// KindLocked.
func (f *stateFile) tryLock() (unlock func(), err error) {
	l, made, err := f.lockFile()
	if err != nil {
		return nil, err
	}
	switch ok, err := l.TryLock(); {
	case err != nil:
		return nil, fileError(l.Path(), err)
	case !ok:
		return nil, &Error{Kind: KindLocked, Path: f.path(), Msg: "another skaroctl holds its lock"}
	}
	return unlocker(l, made)
}

// lockFile makes the lock file beside a file, if it is missing, and returns the lock. made
// is the file that was checked: the library opens a lock by its path.
func (f *stateFile) lockFile() (l *flock.Flock, made fs.FileInfo, err error) {
	path := f.path() + ".lock"
	file, err := f.in.open(f.name+".lock", os.O_RDWR|os.O_CREATE)
	if err == nil {
		made, err = regular(file)
		if err == nil {
			err = oursOnce(file, made)
		}
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return nil, nil, fileError(path, err)
	}
	return flock.New(path, flock.SetFlag(os.O_RDWR|noFollow), flock.SetPermissions(0o600)), made, nil
}

// unlocker returns the function that ends a lock, if the locked file is the one that was checked.
func unlocker(l *flock.Flock, made fs.FileInfo) (unlock func(), err error) {
	taken, err := l.Stat()
	if err == nil && !os.SameFile(taken, made) {
		err = errors.New("another program has replaced the lock")
	}
	if err != nil {
		_ = l.Close()
		return nil, fileError(l.Path(), err)
	}
	return func() { _ = l.Close() }, nil
}

// locked calls do with the file, which no other process and no other goroutine changes
// meanwhile. It makes a missing folder.
func locked(ctx context.Context, path string, do func(f *stateFile) error) error {
	f, err := locate(path, makeMissing)
	if err != nil {
		return err
	}
	defer f.close()
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return do(f)
}

// folders says what locate does about folders that are missing.
type folders bool

const (
	existing    folders = false // the error is fs.ErrNotExist
	makeMissing folders = true  // they are made, with mode 0700
)

// linkLimit is how many symbolic links are followed: as many as Linux follows.
const linkLimit = 40

// tooManyLinks returns the error for links that lead to links without end.
func tooManyLinks(path string) error {
	return &Error{Kind: KindFile, Path: path, Msg: "too many symbolic links", Hint: moveAway}
}
