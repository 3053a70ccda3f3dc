package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"modernc.org/sqlite"
)

// ErrEmpty is the error for a database file with nothing in it, as a copy that failed
// leaves one. A new database is never made of it: it stands where one was wanted that
// has something in it.
var ErrEmpty = errors.New("the file is empty")

// Damaged reports whether an error says that a file is no SQLite database, or no longer
// one: SQLITE_CORRUPT or SQLITE_NOTADB.
func Damaged(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == 11 || e.Code()&0xff == 26)
}

// ErrLog is the error for a write-ahead log that has lost its database. SQLite would write
// what is in it into any other that came into that place, and so damage it.
var ErrLog = errors.New("a write-ahead log is there without its database, and may have the newest messages of it")

var (
	// ErrLink is the error for a file of the database that is a symbolic link, no file, or
	// one that also has another name: what it is for would happen to a file elsewhere.
	ErrLink = errors.New("it is no file of its own")
	// ErrShared is the error for a folder that other users can change, if root would work
	// in it.
	ErrShared = errors.New("other users can change what is there")
)

// connect opens a database file that is there.
func connect(path string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": append([]string{"busy_timeout(10000)", "foreign_keys(1)"}, pragmas...)}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
}

// Peek opens a database only to read from it, as it is, and for a moment: look may call
// what lists something. A database that is busy is an error soon.
func Peek(path string, look func(*Store) error) error {
	db, err := connect(path, "busy_timeout(100)", "query_only(1)")
	if err != nil {
		return err
	}
	return errors.Join(look(&Store{path: path, read: db}), db.Close())
}

// walMode is the journal mode of every database, which SQLite remembers in the file.
const walMode = "journal_mode(WAL)"

// sideFiles are what SQLite keeps beside a database: the write-ahead log and its index.
var sideFiles = []string{"-wal", "-shm"}

// prepareFile sees to it that the file is there, and that nobody but its owner can read
// it, as others could after a careless restore: it is as good as everybody's password.
// So it is with its side files. SQLite gives new ones the mode of the database.
func prepareFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := ownFiles(path); err != nil {
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
	return tighten(path)
}

// ownFiles is ErrLink if the database, or what is beside it, is not a file of its own. A
// database has two names while it is made.
func ownFiles(path string) error {
	for _, side := range append([]string{""}, sideFiles...) {
		info, err := os.Lstat(path + side)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = ownFile(info, side == "")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path+side), err)
		}
	}
	return nil
}

// ownFile is ErrLink if a file is a link or no file, or has a second name and must not.
func ownFile(info fs.FileInfo, second bool) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%w, but a symbolic link", ErrLink)
	case !info.Mode().IsRegular():
		return ErrLink
	case !second && links(info) > 1:
		return fmt.Errorf("%w: it has another name, too", ErrLink)
	}
	return nil
}

// tighten takes the rights of everybody but the owner away, from a database and what is
// beside it. Windows has no such modes. It opens only a file whose mode it changes: when a
// process closes a file it loses SQLite's locks on it.
func tighten(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	var errs []error
	for _, side := range append([]string{""}, sideFiles...) {
		if info, err := os.Lstat(path + side); err == nil && info.Mode().Perm()&0o077 != 0 {
			errs = append(errs, tightenFile(path+side, side == ""))
		}
	}
	return errors.Join(errs...)
}

// tightenFile takes the rights of everybody but the owner away, from the file that is
// there now.
func tightenFile(path string, second bool) error {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = ownFile(info, second)
	}
	if err != nil {
		return err
	}
	return f.Chmod(info.Mode().Perm() &^ 0o077)
}

// lockPause is the time between two attempts to take the lock of a database.
const lockPause = 10 * time.Millisecond

// Lock takes the lock of a database, a file beside it, and waits until ctx ends while
// another process has it. The lock ends with the process.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	path += ".lock"
	l := flock.New(path, flock.SetFlag(os.O_RDWR|os.O_CREATE|noFollow), flock.SetPermissions(0o600))
	_, err = l.TryLockContext(ctx, lockPause)
	if ctx.Err() != nil && err != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil {
		var info fs.FileInfo
		if info, err = l.Stat(); err == nil { // of the file that is locked
			err = ownFile(info, false)
		}
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	} else if info, statErr := os.Lstat(path); statErr == nil {
		err = cmp.Or(ownFile(info, false), err)
	}
	if errors.Is(err, ErrLink) {
		err = fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	if err != nil {
		return nil, err
	}
	return l.Close, nil
}

// create makes a new database. It has its name only when all is in it: a file that is
// empty is none that is just being made. It has its journal mode, too: of several that
// want to change it at the same time SQLite lets one, and the others don't wait.
func create(path string) error {
	if err := lostLog(path); err != nil {
		if _, there := os.Lstat(path); there == nil {
			return nil // another process was faster, and the log is its database's
		}
		return err
	}
	f, err := private(path)
	if err != nil {
		return err
	}
	temp := f.Name()
	defer discard(temp)
	if err := f.Close(); err != nil {
		return err
	}
	db, err := connect(temp, walMode)
	if err != nil {
		return err
	}
	err = withConn(db, migrate)
	if err == nil {
		err = fold(context.Background(), db)
	}
	if err = errors.Join(err, db.Close()); err == nil {
		err = place(temp, path)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	return err
}

// lostLog is ErrLog where a database that is not there has a write-ahead log.
func lostLog(path string) error {
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return ErrLog
	}
	return nil
}

// fold folds the write-ahead log into a database. SQLite does it by itself when the last
// connection is closed, but keeps silent where it could not, as on a full disk.
func fold(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// discard removes a database and what is beside it, as far as it is there.
func discard(path string) {
	for _, side := range append([]string{"", "-journal"}, sideFiles...) {
		os.Remove(path + side)
	}
}

func withConn(db *sql.DB, do func(*sql.Conn) error) error {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close())
}

// private makes an empty file that only its owner can read, beside a path.
func private(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
}

// place gives a file that is whole its name, for good; fs.ErrExist where another has it.
func place(temp, path string) error {
	err := os.Link(temp, path)
	if err != nil && !errors.Is(err, fs.ErrExist) { // this file system may know no second name
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

// syncFolder waits until the names in a folder are on disk. Windows has no such thing.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
