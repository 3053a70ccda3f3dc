package main

import (
	"cmp"
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
		return "", cli.Usage("it is not known where the data is: there is no home folder", "give --data FOLDER")
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
	entered, err := enter(path)
	if err != nil {
		return err
	}
	s, err := a.open(path, entered)
	if err != nil {
		return err
	}
	return cmp.Or(do(s), s.Close())
}

// enter makes root the owner of the folder of a database. It returns the path by which the
// database is opened from then on; path is the one to show.
func enter(path string) (entered string, err error) {
	if entered, err = store.Enter(path); err != nil {
		return "", cantOpen(path, fmt.Errorf("open the database %s: %w", path, err))
	}
	return entered, nil
}

// open opens the database, and says if it has made a new one: the folder may be a mistyped
// one. It also says if it has taken the database away from other users: they may have read
// it by then.
func (a *app) open(path, entered string) (*store.Store, error) {
	before, missing := os.Lstat(entered)
	s, err := store.Open(entered)
	if err != nil {
		return nil, cantOpen(path, fmt.Errorf("open the database %s: %w", path, err))
	}
	if errors.Is(missing, fs.ErrNotExist) {
		fmt.Fprintf(a.streams.Err, "skarod: made a new database, %s\n", output.Line(path))
	}
	if after, err := os.Lstat(entered); missing == nil && err == nil && before.Mode() != after.Mode() {
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
		return cli.WithHint(err, "a copy may have failed: `skarod restore FILE` puts a backup there; delete the file if you want a new database")
	case errors.Is(err, store.ErrLostLog):
		return cli.WithHint(err, fmt.Sprintf("move %s to its database, or away where that is lost", output.Line(path+"-wal")))
	case errors.Is(err, store.ErrLink):
		return cli.WithHint(err, "look where it leads, and remove it; if another folder has the database, name that one with --data")
	case errors.Is(err, store.ErrShared):
		return cli.WithHint(err, "run it as the user of the server, or take the right to write there from the others")
	case errors.Is(err, fs.ErrPermission):
		return cli.WithHint(err, "run it as root or as the user of the server, or name another folder with --data")
	case belowFile(path):
		return cli.WithHint(err, "--data names a folder, not a file")
	case errors.Is(err, fs.ErrNotExist):
		return cli.WithHint(err, "`skarod user add` makes a database; --data says in which folder it is")
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
