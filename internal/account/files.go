package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rogpeppe/go-internal/lockedfile"
	"github.com/rogpeppe/go-internal/robustio"
)

// Files are the absolute paths of what is kept on this machine.
type Files struct {
	Config      string // the config file
	Credentials string // the file of the store "file"
	State       string // the folder of everything else
	Cache       string // the folder of what can be had again; "" where none is known
}

// FindFiles says where our files are. None needs to exist. XDG_CONFIG_HOME and
// XDG_STATE_HOME come first, on every platform, unless they are relative (XDG
// Base Directory Specification 0.8). Else it is ~/.config and ~/.local/state, on
// macOS ~/Library/Application Support, on Windows %AppData% and %LocalAppData%.
// XDG_CACHE_HOME, ~/.cache, ~/Library/Caches and %LocalAppData% are for the cache.
func FindFiles(getenv func(string) string) (Files, error) {
	return findFiles(runtime.GOOS, getenv)
}

func findFiles(goos string, getenv func(string) string) (Files, error) {
	config, state := getenv("XDG_CONFIG_HOME"), getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(config) {
		config = ""
	}
	if !filepath.IsAbs(state) {
		state = ""
	}
	if config == "" || state == "" {
		c, s, err := ownFolders(goos, getenv)
		if err != nil {
			return Files{}, err
		}
		if config == "" {
			config = c
		}
		if state == "" {
			state = s
		}
	}
	state = filepath.Join(state, "skaroctl")
	return Files{
		Config:      filepath.Join(config, "skaroctl", "config.toml"),
		Credentials: filepath.Join(state, "credentials.json"),
		State:       state,
		Cache:       cacheFolder(goos, getenv),
	}, nil
}

// cacheFolder is where the cache is, "" where that is not known: no command fails
// for want of it.
func cacheFolder(goos string, getenv func(string) string) string {
	if folder := getenv("XDG_CACHE_HOME"); filepath.IsAbs(folder) {
		return filepath.Join(folder, "skaroctl")
	}
	base, below := getenv("HOME"), ".cache"
	switch goos {
	case "darwin":
		below = filepath.Join("Library", "Caches")
	case "windows":
		base, below = getenv("LocalAppData"), ""
	}
	if !filepath.IsAbs(base) {
		return ""
	}
	return filepath.Join(base, below, "skaroctl")
}

// ownFolders are the folders of the platform for config and for state.
func ownFolders(goos string, getenv func(string) string) (config, state string, err error) {
	if goos == "windows" {
		config, state = getenv("AppData"), getenv("LocalAppData")
		if config == "" || state == "" {
			return "", "", advise(errors.New("the config file can't be found: %AppData% or %LocalAppData% is not set"), "set both")
		}
		return config, state, nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		why := "HOME is not set"
		if home != "" {
			why = fmt.Sprintf("HOME is %q, which is not an absolute path", home)
		}
		return "", "", advise(errors.New("the config file can't be found: "+why), "set HOME, or both XDG_CONFIG_HOME and XDG_STATE_HOME; with SKAROCTL_SERVER, SKAROCTL_LOGIN and SKAROCTL_TOKEN_FILE no file of ours is needed")
	}
	if goos == "darwin" {
		folder := filepath.Join(home, "Library", "Application Support")
		return folder, folder, nil
	}
	return filepath.Join(home, ".config"), filepath.Join(home, ".local", "state"), nil
}

// readFile reads a whole file; nil when it is missing. check looks at it first.
func readFile(path string, check func(path string, info fs.FileInfo) error) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = regular(path, info)
	}
	if err == nil {
		err = check(path, info)
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	b, err := robustio.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

// unreadable is a file that can't be read. Who may not read it is often a service
// that was left the HOME of another user.
func unreadable(path string, err error) error {
	err = fileError(path, err)
	var known *FileError
	if errors.As(err, &known) && known.Advice == "" && errors.Is(err, fs.ErrPermission) {
		known.Advice = folderVariables + " may be those of another user: set or unset them"
	}
	return err
}

// regular refuses what reading could hang on, and what a new file must not replace.
func regular(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return &FileError{Path: path, Err: errors.New("it is not a regular file")}
}

// resolve follows symbolic links to the file itself, which need not exist: it is
// the file that is to be replaced, not a link to it.
func resolve(path string) (string, error) {
	for range 40 { // as many as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil // not a link; what else is wrong shows when it is used
		}
		if !filepath.IsAbs(target) {
			folder, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return "", fileError(path, err)
			}
			target = filepath.Join(folder, target)
		}
		path = target
	}
	return "", &FileError{Path: path, Err: errors.New("too many symbolic links")}
}

// locked calls do with the path of the file itself, while no other process and
// no other goroutine changes that file. The lock is a file beside it.
func locked(ctx context.Context, path string, do func(path string) error) error {
	path, err := resolve(path)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil {
		if err := regular(path, info); err != nil {
			return err
		}
		if err := ours(path, info); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fileError(filepath.Dir(path), err)
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	return do(path)
}

// lock takes a lock between processes, or gives up when ctx ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	type result struct {
		file *lockedfile.File
		err  error
	}
	done := make(chan result, 1)
	go func() { // taking the lock can't be interrupted
		f, err := lockedfile.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		done <- result{f, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fileError(path, r.err)
		}
		return func() { _ = r.file.Close() }, nil
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				_ = r.file.Close()
			}
		}()
		return nil, fmt.Errorf("another skaroctl holds %s: %w", path, context.Cause(ctx))
	}
}

// replace writes a file anew, mode 0600, so that at every moment either the old
// or the new content is there as a whole. The caller holds the lock: the
// temporary file has a fixed name, and what a killed process left is overwritten.
func replace(path string, content []byte) (err error) {
	temporary := path + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(temporary, err)
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fileError(temporary, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary)
			err = fileError(path, err)
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return robustio.Rename(temporary, path)
}

// lineAt is the number of the line, from 1, that has the byte at offset.
func lineAt(content []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(content)))
	return 1 + bytes.Count(content[:offset], []byte("\n"))
}
