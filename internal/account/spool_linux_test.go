package account

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func init() { children["full disk of the spool"] = fullDiskOfSpool }

// fullDiskOfSpool fills the disk of a spool with one message.
func fullDiskOfSpool() error {
	folder := os.Getenv("ACCOUNT_TEST_FOLDER")
	if err := mountSmall(folder); err != nil {
		return err
	}
	s, err := OpenSpool(filesIn(folder))
	if err != nil {
		return err
	}
	entries, err := s.Add(alice, lines("1"))
	if err != nil {
		return err
	}
	h, err := s.Hold(newContext(), alice)
	if err != nil {
		return err
	}
	defer h.Release()
	before, err := everyFile(s.folder)
	if err != nil {
		return err
	}
	filler, err := os.Create(filepath.Join(folder, "filler"))
	for err == nil {
		_, err = filler.Write(make([]byte, 1<<10))
	}
	filler.Close()
	for name, change := range map[string]func() error{
		"add":     func() error { _, err := s.Add(alice, lines("2")); return err },
		"attempt": func() error { return h.Attempt(entries[0], noon, true) },
		"keep":    func() error { return h.Keep(entries[0], SpoolRefused, "404") },
	} {
		var named *Error
		if err := change(); !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &named) || named.Path == "" {
			return fmt.Errorf("%s: %v", name, err)
		}
		after, err := everyFile(s.folder)
		if err != nil || len(after) != len(before) {
			return fmt.Errorf("%s: %d files have become %d, %v", name, len(before), len(after), err)
		}
		for path, content := range before {
			if after[path] != content {
				return fmt.Errorf("%s: %s has changed", name, path)
			}
		}
	}
	if err := h.Remove(entries[0]); err != nil {
		return err
	}
	if err := os.Remove(filler.Name()); err != nil {
		return err
	}
	_, err = s.Add(alice, lines("3"))
	return err
}

// A full disk is an error that names the file, and every message stays as it was.
func TestFullDiskOfSpoolLosesNothing(t *testing.T) {
	onSmallDisk(t, "full disk of the spool", t.TempDir())
}
