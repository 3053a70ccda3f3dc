package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

var (
	// ErrNewer is the error for a database that a newer skarod has written.
	ErrNewer = errors.New("it was written by a newer skarod")
	// ErrEmpty is the error for an empty database file, which a failed copy leaves. It never
	// becomes a new database, because one with data was expected there.
	ErrEmpty = errors.New("the file is empty")
	// ErrLostLog is the error for a write-ahead log without its database. SQLite would write
	// its contents into any other database that is put in that place, and so damage it.
	ErrLostLog = errors.New("there is a write-ahead log without its database; it may have the newest messages")
	// ErrLink is the error for a file of the database that is a symbolic link, is not a regular
	// file, or has a second name: a write to it would change a file elsewhere.
	ErrLink = errors.New("it must be a file of its own")
	// ErrShared is the error for a folder that other users can change, if root would work
	// in it.
	ErrShared = errors.New("other users can change what is there")
)

// sideFiles are what SQLite keeps beside a database: the write-ahead log and its index.
var sideFiles = []string{"-wal", "-shm"}

// allFiles are the names of a database and its side files.
func allFiles(path string) []string {
	files := []string{path}
	for _, side := range sideFiles {
		files = append(files, path+side)
	}
	return files
}

// prepare makes the database if there is none, and makes it private to its owner, because a
// careless copy may have opened it to others, and anyone with it can log in as every user.
// SQLite gives new side files the mode of the database.
func prepare(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := checkOwnFiles(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return err
		}
		f, err = os.OpenFile(path, os.O_RDWR|noFollow, 0)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() == 0 {
		return cmp.Or(err, ErrEmpty)
	}
	return tightenModes(path)
}

// create makes a new database. It gets its name only when it is complete, so that an empty
// file is never one that is still being made. It has its journal mode by then: if several
// processes set that at the same time, SQLite lets one succeed, and the others fail.
func create(path string) error {
	if err := checkLostLog(path); err != nil {
		if _, there := os.Lstat(path); there == nil {
			return nil // another process was faster, and the log is that of its database
		}
		return err
	}
	f, err := createTemp(path)
	if err != nil {
		return err
	}
	temp := f.Name()
	defer removeDatabase(temp)
	if err := f.Close(); err != nil {
		return err
	}
	db, err := connect(temp, walMode)
	if err != nil {
		return err
	}
	err = withConn(db, migrate)
	if err == nil {
		err = foldLog(context.Background(), db)
	}
	if err = errors.Join(err, db.Close()); err == nil {
		err = syncFile(temp)
	}
	if err == nil {
		err = giveName(temp, path)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	return err
}

func withConn(db *sql.DB, do func(*sql.Conn) error) error {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close())
}

// foldLog writes the write-ahead log into the database. SQLite does it when the last
// connection is closed, but reports no error then, as on a full disk.
func foldLog(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// checkLostLog returns ErrLostLog if a database that does not exist has a write-ahead log.
func checkLostLog(path string) error {
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return ErrLostLog
	}
	return nil
}

// checkOwnFiles returns ErrLink if the database or a side file is not a file of its own. A
// database has two names while it is made.
func checkOwnFiles(path string) error {
	for _, file := range allFiles(path) {
		info, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = checkOwnFile(info, file == path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	return nil
}

// checkOwnFile returns ErrLink if a file is a symbolic link, is not a regular file, or has a
// second name that it must not have.
func checkOwnFile(info fs.FileInfo, second bool) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%w, and is a symbolic link", ErrLink)
	case !info.Mode().IsRegular():
		return ErrLink
	case !second && links(info) > 1:
		return fmt.Errorf("%w, and has another name too", ErrLink)
	}
	return nil
}

// tightenModes makes a database and its side files private to the owner. It opens only a
// file whose mode it changes, because a process that closes a file loses SQLite's locks on
// it. Windows has no such modes.
func tightenModes(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	var errs []error
	for _, file := range allFiles(path) {
		if info, err := os.Lstat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
			errs = append(errs, tightenMode(file, file == path))
		}
	}
	return errors.Join(errs...)
}

// tightenMode changes the file that it has opened and checked, even if another file has
// the name by then.
func tightenMode(file string, second bool) error {
	f, err := os.OpenFile(file, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = checkOwnFile(info, second)
	}
	if err != nil {
		return err
	}
	return f.Chmod(info.Mode().Perm() &^ 0o077)
}

// lockPause is the time between two attempts to take the lock of a database.
const lockPause = 10 * time.Millisecond

// Lock takes the lock of an open database: of a file beside it, and of the database itself, so
// that it is served once, whatever its names are. While another process has the lock, it waits
// until ctx ends. The caller calls unlock only after closing the database.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	if err := checkOwnFiles(path); err != nil {
		return nil, err
	}
	beside, err := lockBeside(ctx, path+".lock")
	if err != nil {
		return nil, err
	}
	itself, err := lockItself(ctx, path)
	if err != nil {
		return nil, errors.Join(err, beside())
	}
	return func() error { return errors.Join(itself(), beside()) }, nil
}

// lockBeside takes the lock of a file that is only for that.
func lockBeside(ctx context.Context, path string) (unlock func() error, err error) {
	lock := flock.New(path, flock.SetFlag(os.O_RDWR|os.O_CREATE|noFollow), flock.SetPermissions(0o600))
	_, err = lock.TryLockContext(ctx, lockPause)
	if ctx.Err() != nil && err != nil {
		return nil, context.Cause(ctx)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = lock.Stat() // of the file that is locked
	} else if there, statErr := os.Lstat(path); statErr == nil {
		info = there
	}
	if info != nil {
		if linkErr := checkOwnFile(info, false); linkErr != nil {
			err = fmt.Errorf("%s: %w", filepath.Base(path), linkErr)
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}

// AwaitOneName returns ErrLink if a database still has a second name when ctx ends: SQLite has a
// log for each name, and two logs damage a database. It has two for a moment while another process
// makes it.
func AwaitOneName(ctx context.Context, path string) error {
	for {
		info, err := os.Lstat(path)
		if err == nil {
			err = checkOwnFile(info, false)
		}
		if !errors.Is(err, ErrLink) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		case <-time.After(lockPause):
		}
	}
}

// createTemp makes an empty file that only its owner can read, in the folder of a path. An error
// names the path, which the file is to have later.
func createTemp(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	var failed *fs.PathError
	if errors.As(err, &failed) {
		failed.Op, failed.Path = "create", path
	}
	return f, err
}

// removeDatabase removes a database and its side files, if they exist.
func removeDatabase(path string) {
	for _, file := range append(allFiles(path), path+"-journal") {
		os.Remove(file)
	}
}

// giveName gives a complete file its name, durably. If another file has the name, the error
// is fs.ErrExist.
func giveName(temp, path string) error {
	err := os.Link(temp, path)
	if err != nil && !errors.Is(err, fs.ErrExist) { // this file system may have no hard links
		if _, err := os.Lstat(path); err == nil {
			return &fs.PathError{Op: "rename", Path: path, Err: fs.ErrExist}
		}
		err = os.Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// fsync waits until what an open file or folder has is on disk. Tests watch it.
var fsync = (*os.File).Sync

// syncFile waits until a closed file is on disk.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0) // Windows syncs no file that is open only for reading
	if err != nil {
		return err
	}
	return errors.Join(fsync(f), f.Close())
}

// syncFolder waits until the names in a folder are on disk. Windows has no such call.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return fsync(f)
}
