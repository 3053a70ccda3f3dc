package terminal

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ExposedError is the error for a file with a secret that others can read, although this
// process could make it private.
type ExposedError struct {
	Path string
	Mode fs.FileMode
	Hint string // how to make the file private
}

// Error returns the file and its mode.
func (e *ExposedError) Error() string {
	return fmt.Sprintf("%s: others can use this secret: its mode is %04o, not 0600", e.Path, e.Mode.Perm())
}

// ReadSecret reads a file with a secret, at most limit bytes. regular reports whether it
// is a regular file, which can be read again. If that is ours, on a file system that can
// be written, and others can use it, the error is an ExposedError. A file of another user
// or on a read-only file system, as in a container, is as its administrator wants it.
func ReadSecret(path string, limit int64) (content []byte, regular bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	regular = info.Mode().IsRegular()
	if regular && exposed(f, info) {
		return nil, true, &ExposedError{Path: path, Mode: info.Mode(), Hint: "run `chmod 600 " + ShellWord(path) + "`"}
	}
	content, err = io.ReadAll(io.LimitReader(f, limit))
	return content, regular, err
}
