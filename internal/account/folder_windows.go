package account

import (
	"io/fs"
	"os"
	"path/filepath"
)

// folder is a folder with private files. It is not held open: the profile of a user is
// closed to others.
type folder struct{ path string }

func (d *folder) close() {}

// open opens a file of the folder; with O_CREATE, it makes a missing one.
func (d *folder) open(name string, flag int) (*os.File, error) {
	return os.OpenFile(filepath.Join(d.path, name), flag, 0o600)
}

func (d *folder) rename(from, to string) error {
	return os.Rename(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

func (d *folder) remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

// sync does nothing: a folder can't be synced here.
func (d *folder) sync() error { return nil }

// list returns the files in the folder.
func (d *folder) list() ([]fs.FileInfo, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdir(-1)
}

// locate returns the file that symbolic links lead to, which need not exist. That file is
// replaced, not a link to it.
func locate(path string, missing folders) (*stateFile, error) {
	path, err := followLinks(path)
	if err != nil {
		return nil, err
	}
	d := &folder{path: filepath.Dir(path)}
	if missing == makeMissing {
		if err := os.MkdirAll(d.path, 0o700); err != nil {
			return nil, fileError(d.path, err)
		}
	}
	return &stateFile{in: d, name: filepath.Base(path)}, nil
}

func followLinks(path string) (string, error) {
	for range linkLimit {
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
	return "", tooManyLinks(path)
}
