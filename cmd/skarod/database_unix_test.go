//go:build !windows

package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user that is not root.
const nobody = 65534

// A user without the right to read the database reads which users have it.
func TestOtherUserIsToldWhichUsersMayRead(t *testing.T) {
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	addUsers(t, data, "bob")
	path := program(t)
	var user *syscall.SysProcAttr
	if os.Getuid() == 0 {
		user = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
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
			cmd.Dir, cmd.SysProcAttr, cmd.Stdin = "/", user, strings.NewReader("a long password")
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

// needsRoot skips a test that gives files to another user.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to give files to another user")
	}
}

// asRoot runs the program as root; it then gets the rights of the data's owner.
func asRoot(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

func mustRunAsRoot(t *testing.T, in string, args ...string) string {
	t.Helper()
	code, out, errs := asRoot(t, in, args...)
	if code != 0 {
		t.Fatalf("%q: exit %d, %s", args, code, errs)
	}
	return out
}

// folderOf makes a folder that belongs to a user. Only if it is reachable can that user get
// there by its path: systemd keeps the folders of its services below one of root's.
func folderOf(t *testing.T, uid int, reachable bool) string {
	t.Helper()
	above := t.TempDir()
	if reachable {
		if err := errors.Join(os.Chmod(filepath.Dir(above), 0o755), os.Chmod(above, 0o755)); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chmod(above, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(above, "data")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func checkOwner(t *testing.T, uid int, files ...string) {
	t.Helper()
	for _, file := range files {
		info, err := os.Lstat(file)
		if err != nil {
			t.Error(err)
		} else if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != uid || int(owner.Gid) != uid {
			t.Errorf("%s is that of %d, %d", file, owner.Uid, owner.Gid)
		}
	}
}

// What root makes in the folder of another user is that user's, so that a server that is
// not root can open it; a backup, which goes elsewhere, stays root's.
func TestRootLeavesTheDataToItsOwner(t *testing.T) {
	needsRoot(t)
	for _, reachable := range []bool{true, false} {
		data := folderOf(t, nobody, reachable)
		db := filepath.Join(data, "skarod.db")
		if _, _, errs := asRoot(t, "a long password", "user", "add", "bob", "--password-stdin", "--data", data); errs != "skarod: created a new database, "+db+"\n" {
			t.Errorf("add says %s", errs)
		}
		secret := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(secret, []byte("another password\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		mustRunAsRoot(t, "", "user", "passwd", "bob", "--password-file", secret, "--data", data)
		if out := mustRunAsRoot(t, "", "__complete", "user", "passwd", "--data", data, ""); !strings.HasPrefix(out, "bob\n") {
			t.Errorf("completed: %s", out)
		}
		for _, folder := range []string{t.TempDir(), folderOf(t, 1, true)} {
			copied := filepath.Join(folder, "copy.db")
			mustRunAsRoot(t, "", "backup", copied, "--data", data)
			checkOwner(t, 0, copied)
			if code, _, errs := asRoot(t, "", "backup", copied, "--data", data); code != 2 || !strings.Contains(errs, "file already exists\nhint: name a file that is not there yet\n") {
				t.Errorf("a second backup: exit %d, %s", code, errs)
			}
			_, _, errs := asRoot(t, "", "restore", copied, "--data", data)
			if !strings.HasPrefix(errs, "skarod: the old database is kept as "+db+".old-") || strings.Count(errs, "\n") != 1 {
				t.Errorf("restore says %s", errs)
			}
		}
		if out := mustRunAsRoot(t, "", "user", "list", "-o", "json", "--data", data); !strings.Contains(out, `"login":"bob"`) {
			t.Errorf("the accounts are %s", out)
		}
		checkOwner(t, nobody, db, db+".lock", db+".old-1", db+".old-2")
		entries, err := os.ReadDir(data)
		if err != nil || len(entries) != 4 {
			t.Errorf("there is %v, %v", entries, err)
		}
	}
}

// A backup that fails in the process of the owner is one error, and leaves nothing.
func TestBackupOfAnotherUsersDataFails(t *testing.T) {
	needsRoot(t)
	data, target := folderOf(t, nobody, true), t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "skarod.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(data, "skarod.db"), nobody, nobody); err != nil {
		t.Fatal(err)
	}
	code, _, errs := asRoot(t, "", "backup", filepath.Join(target, "copy.db"), "--data", data)
	if code != 1 || strings.Count(errs, "skarod: ") != 1 || !strings.Contains(errs, "the file is empty\nhint: ") {
		t.Errorf("exit %d, %s", code, errs)
	}
	if entries, err := os.ReadDir(target); err != nil || len(entries) != 0 {
		t.Errorf("there is %v, %v", entries, err)
	}
}

// everyCommand is every command that opens the database, with what it reads.
var everyCommand = []string{
	"user add carol --password-stdin", "user passwd bob --password-stdin", "user remove bob", "user list",
	"conference create dev bob", "conference add ops bob", "conference remove ops bob", "conference list", "conference delete ops",
	"invite create", "invite list", "invite revoke 1", "backup -", "backup COPY", "restore BACKUP", "serve --listen 127.0.0.1:0", "__complete user passwd ",
}

// The owner of the data has put links there, which lead to files of root's. They stay as
// they are, and none is made, whatever root runs.
func TestRootFollowsNoLinkOfTheOwner(t *testing.T) {
	needsRoot(t)
	const content = "not for skarod\n"
	whole := folderOf(t, nobody, true)
	mustRunAsRoot(t, "a long password", "user", "add", "bob", "--password-stdin", "--data", whole)
	mustRunAsRoot(t, "", "conference", "create", "ops", "bob", "--data", whole)
	mustRunAsRoot(t, "", "invite", "create", "--data", whole)
	backup := filepath.Join(t.TempDir(), "backup.db")
	mustRunAsRoot(t, "", "backup", backup, "--data", whole)
	plant := map[string]func(target, link string) error{
		"a link": os.Symlink,
		"a link to nothing": func(target, link string) error {
			return errors.Join(os.Remove(target), os.Symlink(target, link))
		},
		"a hard link": os.Link,
	}
	for _, side := range []string{"", "-wal", "-shm", ".lock"} {
		for kind, plant := range plant {
			for _, command := range everyCommand {
				data, elsewhere := folderOf(t, nobody, true), t.TempDir()
				copyFile(t, filepath.Join(whole, "skarod.db"), filepath.Join(data, "skarod.db"))
				target, link := filepath.Join(elsewhere, "target"), filepath.Join(data, "skarod.db"+side)
				if err := errors.Join(os.WriteFile(target, []byte(content), 0o644), os.RemoveAll(link), plant(target, link)); err != nil {
					t.Fatal(err)
				}
				command := strings.NewReplacer("COPY", filepath.Join(data, "..", "copy.db"), "BACKUP", backup).Replace(command)
				args := strings.Split(command, " ")
				args = append(args[:len(args)-1:len(args)-1], "--data", data, args[len(args)-1])
				code, _, errs := asRoot(t, "a long password", args...)
				if code > 2 || code > 0 && !strings.Contains(errs, "\nhint: ") {
					t.Errorf("%s, %s: %s: exit %d, %s", side, kind, command, code, errs)
				}
				if kind == "a link to nothing" {
					if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) != 0 {
						t.Errorf("%s, %s: %s has made %v, %v", side, kind, command, entries, err)
					}
					continue
				}
				info, err := os.Stat(target)
				if err != nil {
					t.Fatal(err)
				}
				if b, err := os.ReadFile(target); err != nil || string(b) != content || info.Mode() != 0o644 {
					t.Errorf("%s, %s: %s has left %v, %q, %v", side, kind, command, info.Mode(), b, err)
				}
				checkOwner(t, 0, target)
			}
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(to, b, 0o600), os.Chown(to, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
}

// A file beside the database that is a link is refused for every user, with its name.
func TestLinkBesideTheDatabaseIsRefused(t *testing.T) {
	for _, side := range []string{"", "-wal", "-shm"} {
		data := t.TempDir()
		addUsers(t, data, "bob")
		target, link := filepath.Join(t.TempDir(), "target"), filepath.Join(data, "skarod.db"+side)
		if err := os.WriteFile(target, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.RemoveAll(link), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
		want := filepath.Base(link) + ": it must be a file of its own, and is a symbolic link\nhint: remove the link if you did not make it; if the database is in another folder, give that folder with --data\n"
		if code, _, errs := skarod("", "user", "list", "--data", data); code != 1 || !strings.HasSuffix(errs, want) {
			t.Errorf("exit %d, %s", code, errs)
		}
		if info, err := os.Stat(target); err != nil || info.Mode() != 0o644 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

// A database is served once, whatever name it has: by a link of its folder, by a second name, and
// after its file was moved away from its lock.
func TestDatabaseIsServedOnce(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	addUsers(t, data, "bob")
	p := startServer(t, data)
	refused := func(what, data, says string, status int) {
		t.Helper()
		cmd := exec.Command(program(t), "serve", "--listen", "127.0.0.1:0", "--data", data)
		stderr, err := cmd.StderrPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			out.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "msg=listening") {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if cmd.ProcessState.ExitCode() != status || !strings.Contains(out.String(), says) || !strings.Contains(out.String(), "hint: ") {
			t.Errorf("%s: exit %d, %s", what, cmd.ProcessState.ExitCode(), out.String())
		}
	}
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.Symlink(data, folder); err != nil {
		t.Fatal(err)
	}
	refused("a link of the folder", folder, "another skarod serves", 2)
	link := filepath.Join(t.TempDir(), "skarod.db")
	if err := os.Symlink(filepath.Join(data, "skarod.db"), link); err != nil {
		t.Fatal(err)
	}
	refused("a link of the file", filepath.Dir(link), "is a symbolic link", 1)
	second := filepath.Join(t.TempDir(), "skarod.db")
	if err := os.Link(filepath.Join(data, "skarod.db"), second); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		refused("a second name", filepath.Dir(second), "another skarod serves", 2)
	}
	p.cmd.Process.Kill()
	p.wait()
	refused("a second name of a database that is not served", filepath.Dir(second), "has another name too", 1)
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	startServer(t, data)
	if runtime.GOOS != "linux" {
		return
	}
	moved := filepath.Join(t.TempDir(), "skarod.db")
	if err := os.Rename(filepath.Join(data, "skarod.db"), moved); err != nil {
		t.Fatal(err)
	}
	refused("a moved file", filepath.Dir(moved), "another skarod serves", 2)
}

// Root does not use a folder of its own if other users can change it, or the way to it.
func TestRootRefusesFoldersThatOthersChange(t *testing.T) {
	needsRoot(t)
	const shared = ": other users can change what is there\nhint: run it as the user of the server, or remove the write permission of other users\n"
	others := folderOf(t, nobody, true)
	roots := filepath.Join(others, "roots")
	open := t.TempDir()
	if err := errors.Join(os.Mkdir(roots, 0o755), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	admins, planted := filepath.Join(t.TempDir(), "link"), filepath.Join(others, "link")
	target := t.TempDir()
	if err := errors.Join(os.Symlink(target, admins), os.Symlink(target, planted), os.Lchown(planted, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	for data, said := range map[string]string{
		roots: others + shared, open: open + shared, filepath.Join(open, "new"): open + shared, planted: others + shared,
	} {
		code, _, errs := asRoot(t, "a long password", "user", "add", "bob", "--password-stdin", "--data", data)
		if code != 1 || !strings.HasSuffix(errs, said) {
			t.Errorf("%s: exit %d, %s", data, code, errs)
		}
		if _, err := os.Stat(filepath.Join(data, "skarod.db")); err == nil {
			t.Errorf("%s: a database was made", data)
		}
	}
	mustRunAsRoot(t, "a long password", "user", "add", "bob", "--password-stdin", "--data", admins)
	checkOwner(t, 0, filepath.Join(target, "skarod.db"))
	below := filepath.Join(others, "below", "it")
	mustRunAsRoot(t, "a long password", "user", "add", "bob", "--password-stdin", "--data", below)
	checkOwner(t, nobody, filepath.Dir(below), below, filepath.Join(below, "skarod.db"))
}

// Root restores no file that a link of another user leads to: that user may have no right
// to what is in it.
func TestRootRestoresNothingByALinkOfAnother(t *testing.T) {
	needsRoot(t)
	data, others := folderOf(t, nobody, true), folderOf(t, nobody, true)
	mustRunAsRoot(t, "a long password", "user", "add", "bob", "--password-stdin", "--data", data)
	backup, link := filepath.Join(t.TempDir(), "backup.db"), filepath.Join(others, "backup.db")
	mustRunAsRoot(t, "", "backup", backup, "--data", data)
	if err := os.Symlink(backup, link); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := asRoot(t, "", "restore", link, "--data", data); code != 2 || !strings.HasSuffix(errs, "\nhint: name the file itself, and not a link to it\n") {
		t.Errorf("exit %d, %s", code, errs)
	}
	mine := filepath.Join(t.TempDir(), "latest.db")
	if err := os.Symlink(backup, mine); err != nil {
		t.Fatal(err)
	}
	mustRunAsRoot(t, "", "restore", mine, "--data", data)
}
