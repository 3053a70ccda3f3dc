package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// deadLetters is the file of `listen --dead-letter`: one line of JSON for each message for
// which the command of --exec has failed.
type deadLetters struct{ file *os.File }

// openDeadLetters opens the file, or makes it with mode 0600. An empty name means that there
// is none.
func openDeadLetters(name string) (*deadLetters, error) {
	if name == "" {
		return nil, nil
	}
	switch info, err := os.Stat(name); {
	case err == nil && !info.Mode().IsRegular():
		return nil, cli.Usage(fmt.Sprintf("--dead-letter: %s is not a regular file", name), "give a file that can be appended to")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--dead-letter: %w", err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--dead-letter: %w", err)
	}
	return &deadLetters{f}, nil
}

// add appends a line, and returns when it is on disk. If that fails, it removes the part that
// was written.
func (d *deadLetters) add(line []byte) error {
	info, err := d.file.Stat()
	if err != nil {
		return fmt.Errorf("--dead-letter: %w", err)
	}
	end := info.Size()
	n, err := d.file.Write(line)
	if err == nil {
		err = d.sync()
	}
	if err == nil {
		return nil
	}
	if info, statErr := d.file.Stat(); statErr == nil && info.Size() == end+int64(n) { // else another process has appended too
		err = errors.Join(err, d.file.Truncate(end))
	}
	return fmt.Errorf("--dead-letter: %w", err)
}

// sync waits until the file, and its name, are on disk.
func (d *deadLetters) sync() error {
	if err := d.file.Sync(); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(d.file.Name()))
	if err != nil {
		return nil // it can't be read; the file itself is on disk
	}
	defer folder.Close()
	_ = folder.Sync() // not every system can do that
	return nil
}

func (d *deadLetters) close() {
	if d != nil {
		d.file.Close()
	}
}
