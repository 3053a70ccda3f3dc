package account

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// onSmallDisk runs a child of this test binary in a mount namespace of its own, in which folder
// is a disk of 64 KiB.
func onSmallDisk(t *testing.T, child, folder string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = asChild(child, "ACCOUNT_TEST_FOLDER="+folder)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, fs.ErrPermission), bytes.Contains(out, []byte(noMount)):
		t.Skip("SKIPPED: needs a small disk; how to enable it: run the tests as root, where mounting is allowed")
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
}

const noMount = "can't mount a small disk"

// mountSmall mounts a disk of 64 KiB at folder.
func mountSmall(folder string) error {
	err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "")
	if err == nil {
		err = syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k,mode=0700")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", noMount, err)
	}
	return nil
}

// prepareDisk mounts a small disk and fills it with the state of alice and bob.
func prepareDisk() (files Files, position string, err error) {
	folder := os.Getenv("ACCOUNT_TEST_FOLDER")
	if err := mountSmall(folder); err != nil {
		return files, "", err
	}
	files = filesIn(folder)
	s := &fileStore{path: files.Credentials}
	f, err := OpenPosition(files, alice)
	if err != nil {
		return files, "", err
	}
	defer f.Close()
	return files, f.file.path(), errors.Join(
		s.Set(newContext(), alice, someCredentials()), s.Set(newContext(), bob, someCredentials()),
		UpdateConfig(newContext(), files.Config, func(c *Config) error {
			c.Profiles["alice"], c.Profiles["bob"] = Profile{Login: "alice"}, Profile{Login: "bob"}
			return nil
		}),
		f.Save(somePosition{ID: 42}),
	)
}

// refusesToChange tries to change each file, and checks that this fails with the error want, and
// that each file is as before, with nothing beside it.
func refusesToChange(files Files, position string, want error) error {
	before, err := everyFile(filepath.Dir(files.State))
	if err != nil {
		return err
	}
	for path, change := range stateChanges(newContext(), files, position) {
		var named *Error
		if err := change(); !errors.Is(err, want) || !errors.As(err, &named) || named.Path == "" || errors.Is(err, syscall.ENOSPC) && named.Hint != "make room on the disk" {
			return fmt.Errorf("%s: %v; hint %q", path, err, hintOf(err))
		}
	}
	after, err := everyFile(filepath.Dir(files.State))
	if err != nil || len(after) != len(before) {
		return fmt.Errorf("%d files have become %d, %v", len(before), len(after), err)
	}
	for path, content := range before {
		if after[path] != content {
			return fmt.Errorf("%s has changed", path)
		}
	}
	return nil
}

// everyFile is the content of each file below a folder.
func everyFile(folder string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[path] = string(content)
		return err
	})
	return files, err
}

func init() { children["full disk"], children["read-only disk"] = fullDisk, readOnlyDisk }

func fullDisk() error {
	files, position, err := prepareDisk()
	if err != nil {
		return err
	}
	filler, err := os.Create(filepath.Join(filepath.Dir(files.State), "filler"))
	for err == nil {
		_, err = filler.Write(make([]byte, 1<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	if err := refusesToChange(files, position, syscall.ENOSPC); err != nil {
		return err
	}
	if err := os.Remove(filler.Name()); err != nil {
		return err
	}
	filler.Close()
	for path, change := range stateChanges(newContext(), files, position) {
		if err := change(); err != nil {
			return fmt.Errorf("there is room again: %s: %w", path, err)
		}
	}
	_, err = (&fileStore{path: files.Credentials}).Get(newContext(), bob)
	return err
}

func readOnlyDisk() error {
	files, position, err := prepareDisk()
	if err == nil {
		err = syscall.Mount("", filepath.Dir(files.State), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	}
	if err != nil {
		return err
	}
	if err := refusesToChange(files, position, syscall.EROFS); err != nil {
		return err
	}
	_, err = (&fileStore{path: files.Credentials}).Get(newContext(), bob)
	return err
}

// A change that a full disk refuses leaves every file as it was, and works when there is room.
func TestFullDiskLosesNothing(t *testing.T) { onSmallDisk(t, "full disk", t.TempDir()) }

// A change on a read-only disk is refused; reading goes on.
func TestReadOnlyDiskIsRead(t *testing.T) { onSmallDisk(t, "read-only disk", t.TempDir()) }
