package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

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
	if _, err := os.Stat(path); err != nil && !create {
		return &missing{err}
	}
	s, err := store.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

// missing is a database that is not where it was looked for.
type missing struct{ why error }

func (m *missing) Error() string { return fmt.Sprintf("open the database: %v", m.why) }
func (m *missing) Unwrap() error { return m.why }
func (m *missing) Hint() string {
	return "`skarod user add` makes a database; --data says in which folder it is"
}
