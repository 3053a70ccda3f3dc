//go:build !windows

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user that is not root.
const nobody = 65534

// TestOtherUser: whoever may not read the database is told who may.
func TestOtherUser(t *testing.T) {
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	addUsers(t, data, "bob")
	path := program(t)
	var who *syscall.SysProcAttr
	if os.Getuid() == 0 {
		who = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		for _, dir := range []string{filepath.Dir(path), filepath.Dir(folder), folder} { // of the way to both
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	db := filepath.Join(data, "skarod.db")
	for _, at := range []struct {
		mode   os.FileMode // of the folder
		dbMode os.FileMode
	}{{0o000, 0o600}, {0o755, 0o000}} {
		if err := errors.Join(os.Chmod(db, at.dbMode), os.Chmod(data, at.mode)); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"user", "add", "carol", "--password-stdin"}, {"user", "list"}, {"user", "passwd", "bob", "--password-stdin"},
			{"invite", "create"}, {"conference", "create", "ops"}, {"conference", "list"}, {"serve", "--listen", "127.0.0.1:0"},
		} {
			cmd := exec.Command(path, append(args, "--data", data)...)
			cmd.Dir, cmd.SysProcAttr, cmd.Stdin = "/", who, strings.NewReader("a long password")
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("permission denied\n")) || bytes.Count(out, []byte(db)) > 1 ||
				!bytes.HasSuffix(out, []byte("\nhint: run it as root or as the user of the server, or name another folder with --data\n")) {
				t.Errorf("%q, modes %o and %o: %v, %s", args, at.mode, at.dbMode, err, out)
			}
		}
		if err := os.Chmod(data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOwner: what root makes in the folder of another user is that user's, so that a
// server that is not root can open it; a backup, which goes elsewhere, stays root's.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to give a file away")
	}
	data, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy.db")
	if err := errors.Join(os.Chown(data, nobody, nobody), os.Chown(filepath.Dir(copied), nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	owners := func(want string, files ...string) {
		t.Helper()
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil {
				t.Error(err)
			} else if who := info.Sys().(*syscall.Stat_t); fmt.Sprint(who.Uid, who.Gid) != want {
				t.Errorf("%s is that of %d, %d", file, who.Uid, who.Gid)
			}
		}
	}
	db := filepath.Join(data, "skarod.db")
	addUsers(t, data, "bob")
	owners("65534 65534", db)
	if code, _, errs := skarod("", "backup", copied, "--data", data); code != 0 {
		t.Fatal(errs)
	}
	owners("0 0", copied)
	if err := os.Chown(db, 1, 2); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := skarod("", "restore", copied, "--data", data); code != 0 {
		t.Fatal(errs)
	}
	owners("1 2", db, db+".lock", db+".old-1")
}
