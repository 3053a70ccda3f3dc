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

// Backup writes the database as it is at one moment into a new file, which only its
// owner can read, and checks it; fs.ErrExist where there is a file of that name. The
// server may go on meanwhile. (SQLite's online backup begins again after every write of
// another process, and may never end.)
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

// WriteNew makes a new file, which only its owner can read. It has its name when fill is
// done, and all is on disk; fs.ErrExist if there is a file of that name.
func WriteNew(file string, fill func(*os.File) error) error {
	file, err := filepath.Abs(file) // a name that begins with file: is a URI to SQLite
	if err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return &fs.PathError{Op: "create", Path: file, Err: fs.ErrExist}
	}
	f, err := private(file)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := fill(f); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return place(f.Name(), file)
}

var (
	// ErrForeign is the error for a file that is no database of skarod.
	ErrForeign = errors.New("it is no database of skarod")
	// ErrDamaged is the error for a database that is not whole.
	ErrDamaged = errors.New("it is damaged")
)

// check is an error where a database is damaged, or none that this skarod can read.
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

// idGap is how far above the highest id of a backup the ids go on after its restore.
// Those that were given out after the backup are not known, and must not be given again:
// who has shown a message with one of them would take another for the same.
const idGap = 1_000_000_000

// Restored is what Restore has done.
type Restored struct {
	Kept   string // where the database from before is; "" where there was none
	Unread error  // why it could not be read; then ids that it gave out may be given again
	Above  int64  // the ids of new messages are above it
}

// Restore puts a backup in the place of the database file, whose server must not run. It
// checks the backup, keeps the database from before, makes the ids of messages go on far
// above those of both, and ends the sessions: one may have been ended after the backup.
func Restore(ctx context.Context, path string, backup io.Reader, now time.Time) (Restored, error) {
	var done Restored
	if err := ownFiles(path); err != nil {
		return done, err
	}
	f, err := private(path)
	if err != nil {
		return done, err
	}
	temp := f.Name()
	defer discard(temp)
	if err := fill(ctx, f, backup); err != nil {
		return done, fmt.Errorf("copy the backup: %w", err)
	}
	db, err := connect(temp, walMode, "synchronous(FULL)")
	if err != nil {
		return done, err
	}
	defer db.Close()
	if err := check(ctx, db); err != nil {
		return done, cmp.Or(asForeign(err), fmt.Errorf("check the backup: %w", err))
	}
	if err := withConn(db, migrate); err != nil {
		return done, err
	}
	last, err := lastID(ctx, db)
	if err != nil {
		return done, err
	}
	info, err := os.Stat(path)
	there := err == nil && info.Size() > 0
	if !there {
		if err := lostLog(path); err != nil {
			return done, err
		}
	} else {
		var before int64
		before, done.Unread = settle(ctx, path)
		last = max(last, before)
	}
	done.Above = last + idGap
	// SQLite gives the id above the highest that there is. Nobody is 0.
	if _, err := db.ExecContext(ctx, "INSERT INTO messages (id, date, sender, recipient, body) VALUES (?, ?, 0, 0, '')", done.Above, micros(now)); err != nil {
		return done, err
	}
	if _, err := db.ExecContext(ctx, "DELETE FROM sessions"); err != nil {
		return done, err
	}
	if err := errors.Join(fold(ctx, db), db.Close()); err != nil {
		return done, err
	}
	if there {
		if err := tighten(path); err != nil {
			return done, err
		}
		if done.Kept, err = keep(path); err != nil {
			return done, fmt.Errorf("keep the database from before: %w", err)
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return done, fmt.Errorf("put the backup in place (the database from before is %s): %w", cmp.Or(done.Kept, "as it was"), err)
	}
	return done, syncFolder(filepath.Dir(path))
}

// asForeign is ErrForeign for what SQLite can't read at all, and nil for any other error.
func asForeign(err error) error {
	if Damaged(err) {
		return fmt.Errorf("%w, or damaged: %w", ErrForeign, err)
	}
	if errors.Is(err, ErrForeign) {
		return err
	}
	return nil
}

// fill writes what can be read into a file until ctx ends, and closes the file. A pipe may
// stay silent for ever.
func fill(ctx context.Context, f *os.File, from io.Reader) error {
	defer f.Close()
	n, err := terminal.Await(ctx, func() (int64, error) { return io.Copy(f, from) })
	if err == nil && n == 0 {
		return ErrEmpty
	}
	return err
}

// lastID is the highest id of a message.
func lastID(ctx context.Context, db *sql.DB) (id int64, err error) {
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM messages").Scan(&id)
	return id, err
}

// settle folds the write-ahead log into a database, and returns its highest id.
func settle(ctx context.Context, path string) (last int64, err error) {
	db, err := connect(path)
	if err != nil {
		return 0, err
	}
	last, err = lastID(ctx, db)
	if err == nil {
		err = fold(ctx, db)
	}
	return last, errors.Join(err, db.Close())
}

// keep gives a database a second name, which is free, and its side files that name
// alone: with a log that is not its own another database would be damaged.
func keep(path string) (string, error) {
	for n := 1; ; n++ {
		kept := fmt.Sprintf("%s.old-%d", path, n)
		err := place(path, kept)
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
