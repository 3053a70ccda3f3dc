package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/store"
)

// databasePath is the database file: in --data, else in skarod's folder of
// XDG_DATA_HOME (XDG Base Directory Specification) or of the platform.
func (a *app) databasePath() (string, error) {
	const name = "skarod.db"
	if a.data != "" {
		dir, err := filepath.Abs(a.data)
		return filepath.Join(dir, name), err
	}
	if dir := a.getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "skarod", name), nil
	}
	base, path := a.getenv("HOME"), []string{".local", "share"}
	switch runtime.GOOS {
	case "darwin":
		path = []string{"Library", "Application Support"}
	case "windows":
		base, path = a.getenv("LocalAppData"), nil
	}
	if !filepath.IsAbs(base) {
		return "", &usageError{"it is not known where the data is: there is no home folder", "give --data FOLDER"}
	}
	return filepath.Join(append(append([]string{base}, path...), "skarod", name)...), nil
}

// withStore opens the database for one command, which may make it where there is
// none, or not.
func (a *app) withStore(create bool, do func(*store.Store) error) error {
	path, err := a.databasePath()
	if err != nil {
		return err
	}
	if !create {
		if _, err := os.Stat(path); err != nil {
			return cantOpen(path, fmt.Errorf("open the database: %w", err))
		}
	}
	s, err := a.open(path)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

// open opens the database, and says so where it has made a new one: the folder may
// be a mistyped one. It also says where it has taken it away from others: they may have
// read it by then.
func (a *app) open(path string) (*store.Store, error) {
	before, missing := os.Stat(path)
	s, err := store.Open(path)
	if err != nil {
		return nil, cantOpen(path, err)
	}
	if errors.Is(missing, fs.ErrNotExist) {
		fmt.Fprintf(a.streams.Err, "skarod: made a new database, %s\n", output.Line(path))
	}
	if after, err := os.Stat(path); missing == nil && err == nil && before.Mode() != after.Mode() {
		fmt.Fprintf(a.streams.Err, "skarod: others could read %s: its mode was %#o, and is %#o now\n", output.Line(path), before.Mode().Perm(), after.Mode().Perm())
	}
	return s, nil
}

// restoreHint is what to do about a database that is damaged.
const restoreHint = "`skarod restore FILE` puts a backup in the place of the database, and keeps this one under another name"

// cantOpen says what to do about a database that can't be opened.
func cantOpen(path string, err error) error {
	switch {
	case errors.Is(err, store.ErrEmpty):
		return cli.Advise(err, "a copy may have failed: `skarod restore FILE` puts a backup there; delete the file if you want a new database")
	case errors.Is(err, store.ErrLog):
		return cli.Advise(err, fmt.Sprintf("move %s to its database, or away where that is lost", output.Line(path+"-wal")))
	case errors.Is(err, fs.ErrPermission):
		return cli.Advise(err, "run it as root or as the user of the server, or name another folder with --data")
	case belowFile(path):
		return cli.Advise(err, "--data names a folder, not a file")
	case errors.Is(err, fs.ErrNotExist):
		return cli.Advise(err, "`skarod user add` makes a database; --data says in which folder it is")
	}
	return err
}

// belowFile reports whether a folder on the way to path is a file. To Windows that
// is no error of its own, but a path that does not exist.
func belowFile(path string) bool {
	for folder := filepath.Dir(path); folder != path; path, folder = folder, filepath.Dir(folder) {
		if info, err := os.Stat(folder); err == nil {
			return !info.IsDir()
		}
	}
	return false
}
