package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/store"
)

// databaseName is the file of the database, in the data folder.
const databaseName = "skarod.db"

// databasePath returns the path of the database: in --data, else in skarod's folder of
// XDG_DATA_HOME (XDG Base Directory Specification) or of the platform.
func (f *Factory) databasePath() (string, error) {
	path, err := f.findDatabase()
	if err == nil {
		f.trace("the database is %s", output.Line(path))
	}
	return path, err
}

func (f *Factory) findDatabase() (string, error) {
	if f.data != "" {
		dir, err := filepath.Abs(f.data)
		return filepath.Join(dir, databaseName), err
	}
	if dir := f.getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "skarod", databaseName), nil
	}
	base, below := f.getenv("HOME"), filepath.Join(".local", "share")
	switch runtime.GOOS {
	case "darwin":
		below = filepath.Join("Library", "Application Support")
	case "windows":
		base, below = f.getenv("LocalAppData"), ""
	}
	if !filepath.IsAbs(base) {
		return "", cli.Usage("can't find the data folder: there is no home folder", "give --data FOLDER")
	}
	return filepath.Join(base, below, "skarod", databaseName), nil
}

// database is a database that this process may open.
type database struct {
	path   string // as users know it
	opened string // as this process opens it; it may differ if the process was one of root
}

// enterDatabase makes a process of root run as the user who owns the data folder. Every
// other path must be resolved before, because it may lead elsewhere for that user.
func (f *Factory) enterDatabase(path string) (database, error) {
	before := os.Geteuid()
	opened, err := store.Enter(path)
	d := database{path, opened}
	if err != nil {
		return d, d.openError("open", err)
	}
	if now := os.Geteuid(); now != before {
		f.trace("became uid %d, the owner of the folder", now)
	}
	return d, nil
}

// open opens the database. A notice says if it is a new one, because --data may be mistyped,
// and if others could read it before.
func (d database) open(f *Factory) (*store.Store, error) {
	before, missing := os.Lstat(d.opened)
	s, err := store.Open(d.opened)
	if err != nil {
		return nil, d.openError("open", err)
	}
	if errors.Is(missing, fs.ErrNotExist) {
		f.notice("created a new database, %s", output.Line(d.path))
	}
	if after, err := os.Lstat(d.opened); missing == nil && err == nil && before.Mode() != after.Mode() {
		f.notice("others could read %s: its mode was %#o, and is %#o now", output.Line(d.path), before.Mode().Perm(), after.Mode().Perm())
	}
	return s, nil
}

// lockTimeout bounds the wait for another server, which may be ending.
const lockTimeout = 2 * time.Second

// errServed is the cause of the end of lockTimeout.
var errServed = errors.New("another skarod serves it")

// lock keeps another server away from the database: neither would push what the other
// one stores.
func (d database) lock(ctx context.Context) (unlock func() error, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockTimeout, errServed)
	defer cancel()
	unlock, err = store.Lock(ctx, d.opened)
	switch {
	case errors.Is(err, errServed):
		return nil, cli.Usage("another skarod serves "+d.path, "stop it, or give another --data")
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, d.openError("lock", err)
	}
	return unlock, nil
}

// checkOneName refuses to serve a database that has a second name.
func (d database) checkOneName(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	err := store.AwaitOneName(ctx, d.opened)
	if errors.Is(err, store.ErrLink) {
		return cli.WithHint(fmt.Errorf("serve the database %s: %w", d.path, err), "remove the other name, which `find FOLDER -samefile "+output.Line(d.path)+"` shows")
	}
	return err
}

// ifMissing says what withStore does if there is no database.
type ifMissing bool

const (
	mustExist ifMissing = false
	create    ifMissing = true
)

// withStore opens the database for one command.
func (f *Factory) withStore(missing ifMissing, do func(*store.Store) error) error {
	path, err := f.databasePath()
	if err != nil {
		return err
	}
	if missing == mustExist {
		if _, err := os.Stat(path); err != nil {
			return openHint(path, fmt.Errorf("open the database: %w", err))
		}
	}
	d, err := f.enterDatabase(path)
	if err != nil {
		return err
	}
	s, err := d.open(f)
	if err != nil {
		return err
	}
	f.trace("opened the database")
	err = store.InWords(cmp.Or(do(s), s.Close()))
	f.trace("closed the database")
	return err
}

// restoreHint is the hint for a damaged database.
const restoreHint = "restore a backup with `skarod restore FILE`, which keeps this database under another name"

// openError returns the error of a database that can't be opened or locked.
func (d database) openError(verb string, err error) error {
	return openHint(d.path, fmt.Errorf("%s the database %s: %w", verb, d.path, store.InWords(err)))
}

// openHint adds the hint to the error of a database that can't be opened.
func openHint(path string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, store.ErrNewer):
		hint = "use the newer skarod, or restore an older backup with `skarod restore FILE`"
	case errors.Is(err, store.ErrEmpty):
		hint = "restore a backup with `skarod restore FILE`, or delete the file to get a new database: a copy may have failed"
	case errors.Is(err, store.ErrLostLog):
		hint = fmt.Sprintf("move %s to its database, or away if that is lost", output.Line(path+"-wal"))
	case errors.Is(err, store.ErrLink):
		hint = "remove the link if you did not make it; if the database is in another folder, give that folder with --data"
	case errors.Is(err, store.ErrShared):
		hint = "run it as the user of the server, or remove the write permission of other users"
	case errors.Is(err, fs.ErrPermission):
		hint = "run it as root or as the user of the server, or name another folder with --data"
	case isBelowFile(path):
		hint = "give --data a folder, not a file"
	case errors.Is(err, fs.ErrNotExist):
		hint = "make a database with `skarod user add`, or name its folder with --data"
	default:
		return err
	}
	return cli.WithHint(err, hint)
}

// isBelowFile reports whether a folder on the way to path is a file. On Windows the error
// says only that the path does not exist.
func isBelowFile(path string) bool {
	for folder := filepath.Dir(path); folder != path; path, folder = folder, filepath.Dir(folder) {
		if info, err := os.Stat(folder); err == nil {
			return !info.IsDir()
		}
	}
	return false
}
