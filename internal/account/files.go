// Package account is who we are: the profiles of the config file, and the stores
// that keep a token and a SID for each account. docs/security.md says what is kept
// where.
package account

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Files are the absolute paths of what is kept on disk.
type Files struct {
	Config      string // config.toml: the profiles
	Credentials string // credentials.json: the store "file"
	State       string // the folder for what else is remembered
}

// FindFiles finds the paths: under XDG_CONFIG_HOME and XDG_STATE_HOME (XDG Base
// Directory Specification; a relative path in them is ignored, as it says), else
// in the platform's own folders.
func FindFiles(getenv func(string) string) (Files, error) {
	home := func() (string, error) {
		name := "HOME"
		if runtime.GOOS == "windows" {
			name = "USERPROFILE"
		}
		dir := getenv(name)
		if !filepath.IsAbs(dir) {
			return "", fmt.Errorf("can't find the config file: %s is not set to a folder", name)
		}
		return dir, nil
	}
	folder := func(xdg string, platform ...string) (string, error) {
		if dir := getenv(xdg); filepath.IsAbs(dir) {
			return filepath.Join(dir, "skaroctl"), nil
		}
		if runtime.GOOS == "windows" {
			if dir := getenv("AppData"); filepath.IsAbs(dir) {
				return filepath.Join(dir, "skaroctl"), nil
			}
		}
		dir, err := home()
		if err != nil {
			return "", err
		}
		return filepath.Join(append(append([]string{dir}, platform...), "skaroctl")...), nil
	}
	configDir, stateDir := []string{".config"}, []string{".local", "state"}
	if runtime.GOOS == "darwin" {
		configDir = []string{"Library", "Application Support"}
		stateDir = configDir
	}
	config, err := folder("XDG_CONFIG_HOME", configDir...)
	if err != nil {
		return Files{}, err
	}
	state, err := folder("XDG_STATE_HOME", stateDir...)
	if err != nil {
		return Files{}, err
	}
	return Files{
		Config:      filepath.Join(config, "config.toml"),
		Credentials: filepath.Join(state, "credentials.json"),
		State:       state,
	}, nil
}

// FileError is a file that can't be used. The file is left as it is.
type FileError struct {
	Path   string
	Line   int // 0 where it is not known
	Err    error
	Advice string
}

func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s, line %d: %v", e.Path, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *FileError) Hint() string { return e.Advice }

// readPrivate reads a file that holds secrets. On systems with file modes, a file
// that somebody else can read, or that belongs to somebody else, is an error. A
// file that does not exist is an error that wraps fs.ErrNotExist.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(path, info); err != nil {
		return nil, err
	}
	const most = 8 << 20
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = &FileError{Path: path, Err: fmt.Errorf("it has more than %d bytes", most)}
	}
	return b, err
}

// replace writes a file at once or not at all, with mode 0600, in a folder that
// is made with mode 0700. A symbolic link is followed, not replaced.
func replace(path string, content []byte) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // its mode is 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
