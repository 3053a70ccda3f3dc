package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

// Backup writes the database as it is at one moment into a new file, which only its owner
// can read, and checks the copy. If the file exists, the error is fs.ErrExist. A server may
// run meanwhile. (SQLite's online backup starts again after every write of another process,
// and may never end.)
func (s *Store) Backup(ctx context.Context, file string) error {
	return WriteNew(file, func(f *os.File) error {
		db, err := connect(s.path)
		if err != nil {
			return err
		}
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", f.Name())
		if err := errors.Join(err, db.Close()); err != nil {
			return fmt.Errorf("copy the database: %w", err)
		}
		copied, err := connect(f.Name())
		if err != nil {
			return err
		}
		if err := errors.Join(check(ctx, copied), copied.Close()); err != nil {
			return fmt.Errorf("check the copy: %w", err)
		}
		return nil
	})
}

// WriteNew makes a new file, which only its owner can read. It gets its name when fill is
// done and its contents are on disk. If the file exists, the error is fs.ErrExist.
func WriteNew(file string, fill func(*os.File) error) error {
	file, err := filepath.Abs(file) // a name that begins with file: is a URI to SQLite
	if err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return &fs.PathError{Op: "create", Path: file, Err: fs.ErrExist}
	}
	f, err := createTemp(file)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := fill(f); err != nil {
		return err
	}
	if err := errors.Join(fsync(f), f.Close()); err != nil {
		return err
	}
	return giveName(f.Name(), file)
}

var (
	// ErrForeign is the error for a file that is not a database of skarod.
	ErrForeign = errors.New("it is not a database of skarod")
	// ErrDamaged is the error for a damaged database.
	ErrDamaged = errors.New("it is damaged")
)

// check returns an error if a database is damaged, or if this skarod can't read it.
func check(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, found)
	}
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('users', 'sessions', 'messages', 'server')").Scan(&tables); err != nil {
		return err
	}
	switch {
	case version < 1 || tables < 4:
		return ErrForeign
	case version > len(schema):
		return newer(version)
	}
	return nil
}

// idGap is how far above the highest id of a backup the ids continue after its restore.
// The ids that were given out after the backup are not known, and must not be given again:
// a listener that has shown a message takes another one with its id for the same.
const idGap = 1_000_000_000

// Restored is what Restore has done.
type Restored struct {
	Kept   string // where the previous database is; "" means that there was none
	Unread error  // why that could not be read; then ids that it gave out may be given again
	Above  int64  // the ids of new messages are above it
}

// Restore replaces the database with a backup. No server may run. Restore checks the backup,
// keeps the previous database under another name, makes the ids of messages continue far
// above those of both, and ends all sessions, since one may have been ended after the
// backup.
func Restore(ctx context.Context, path string, backup io.Reader, now time.Time) (Restored, error) {
	if err := checkOwnFiles(path); err != nil {
		return Restored{}, err
	}
	temp, err := copyToTemp(ctx, path, backup)
	if err != nil {
		return Restored{}, fmt.Errorf("copy the backup: %w", err)
	}
	defer removeDatabase(temp)
	db, err := openBackup(ctx, temp)
	if err != nil {
		return Restored{}, err
	}
	defer db.Close()
	old, err := lookAtOld(ctx, path)
	if err != nil {
		return Restored{}, err
	}
	done := Restored{Unread: old.unread}
	if done.Above, err = startAnew(ctx, db, old.lastID, now); err != nil {
		return Restored{}, err
	}
	if err := errors.Join(foldLog(ctx, db), db.Close()); err != nil {
		return done, err
	}
	if err := syncFile(temp); err != nil {
		return done, err
	}
	if old.exists {
		if done.Kept, err = keepOld(path); err != nil {
			return done, fmt.Errorf("keep the database from before: %w", err)
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return done, fmt.Errorf("put the backup in place (the database from before is %s): %w", cmp.Or(done.Kept, "as it was"), err)
	}
	return done, syncFolder(filepath.Dir(path))
}

// copyToTemp copies a backup into a file beside a path. It ends with ctx: a pipe may stay
// silent.
func copyToTemp(ctx context.Context, path string, backup io.Reader) (temp string, err error) {
	f, err := createTemp(path)
	if err != nil {
		return "", err
	}
	n, err := terminal.Await(ctx, func() (int64, error) { return io.Copy(f, backup) })
	if err == nil && n == 0 {
		err = ErrEmpty
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), err
}

// openBackup opens a copy of a backup, checks it, and brings it to the newest version.
func openBackup(ctx context.Context, temp string) (*sql.DB, error) {
	db, err := connect(temp, walMode, "synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	switch err = check(ctx, db); {
	case Damaged(err):
		err = fmt.Errorf("%w, or it is damaged", ErrForeign)
	case err != nil && !errors.Is(err, ErrForeign):
		err = fmt.Errorf("check the backup: %w", err)
	case err == nil:
		err = withConn(db, migrate)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// oldDatabase is the database that a restore replaces.
type oldDatabase struct {
	exists bool
	lastID int64
	unread error // why lastID is not known
}

// lookAtOld folds the write-ahead log into the old database, so that all of it is in one
// file.
func lookAtOld(ctx context.Context, path string) (old oldDatabase, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return old, checkLostLog(path)
	}
	old.exists = true
	db, err := connect(path)
	if err != nil {
		old.unread = err
		return old, tightenModes(path)
	}
	old.lastID, err = lastID(ctx, db)
	if err == nil {
		err = foldLog(ctx, db)
	}
	old.unread = errors.Join(err, db.Close())
	return old, tightenModes(path)
}

// startAnew makes the ids of a restored database continue far above the highest one of it
// and of the old database, and deletes the sessions. It returns the id above which they
// continue.
func startAnew(ctx context.Context, db *sql.DB, oldLast int64, now time.Time) (above int64, err error) {
	last, err := lastID(ctx, db)
	if err != nil {
		return 0, err
	}
	above = max(last, oldLast) + idGap
	// SQLite gives the id above the highest that exists. No user has the number 0.
	if _, err := db.ExecContext(ctx, "INSERT INTO messages (id, date, sender, recipient, body) VALUES (?, ?, 0, 0, '')", above, toMicros(now)); err != nil {
		return 0, err
	}
	_, err = db.ExecContext(ctx, "DELETE FROM sessions")
	return above, err
}

// keepOld adds a second, free name to a database, and renames its side files to match. If their
// old names stayed, SQLite would write the old log into the restored database, and so damage it.
func keepOld(path string) (string, error) {
	for n := 1; ; n++ {
		kept := fmt.Sprintf("%s.old-%d", path, n)
		err := giveName(path, kept)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		for _, side := range sideFiles {
			if sideErr := os.Rename(path+side, kept+side); !errors.Is(sideErr, fs.ErrNotExist) {
				err = errors.Join(err, sideErr)
			}
		}
		return kept, err
	}
}
