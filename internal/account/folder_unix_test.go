//go:build unix

package account

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// another is the user who lays out folders and links for us.
const another = 65534

// writers are all functions that write or remove a private file.
var writers = map[string]func(Files) error{
	"config": func(f Files) error {
		return UpdateConfig(newContext(), f.Config, func(c *Config) error { c.DefaultProfile = "y"; return nil })
	},
	"credentials": func(f Files) error {
		return (&fileStore{path: f.Credentials}).Set(newContext(), alice, someCredentials())
	},
	"keyring": func(f Files) error {
		return locked(newContext(), newKeyringStore(f).lockPath, func(*stateFile) error { return nil })
	},
	"position": func(f Files) error {
		p, err := OpenPosition(f, alice)
		if err != nil {
			return err
		}
		defer p.Close()
		return p.Save(somePosition{ID: 7})
	},
	"contacts": func(f Files) error { return f.CacheContacts(alice, []Contact{{Login: "bob"}}) },
	"logout":   func(f Files) error { return f.ForgetContacts(alice) },
}

// wayOf returns the folder, the file and the lock that a writer uses.
func wayOf(t *testing.T, files Files, writer string) (folder, file, lock string) {
	t.Helper()
	switch writer {
	case "config":
		file = files.Config
	case "credentials":
		file = files.Credentials
	case "keyring":
		file = filepath.Join(files.State, "keyring")
	case "position":
		file = filepath.Join(files.State, "positions", alice.FileName())
	default:
		path, err := files.contacts(alice)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(path), path, filepath.Dir(path) + ".lock"
	}
	return filepath.Dir(file), file, file + ".lock"
}

// filesOf are the files of a home.
func filesOf(home string) Files {
	files := filesIn(home)
	files.Cache = filepath.Join(home, "cache")
	return files
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root, to make files of another user")
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Root with the HOME of another user makes nothing there, and nothing that a link there
// leads to.
func TestRootFollowsNothingOfAnotherUser(t *testing.T) {
	needsRoot(t)
	layouts := map[string]func(t *testing.T, home, elsewhere string, files Files, writer string) error{
		"an empty home": func(_ *testing.T, home, _ string, _ Files, _ string) error { return os.Chown(home, another, another) },
		"a folder": func(t *testing.T, _, _ string, files Files, writer string) error {
			folder, _, _ := wayOf(t, files, writer)
			return errors.Join(os.MkdirAll(folder, 0o700), os.Chown(folder, another, another))
		},
		"a folder above": func(t *testing.T, _, _ string, files Files, writer string) error {
			folder, _, _ := wayOf(t, files, writer)
			return errors.Join(os.MkdirAll(folder, 0o700), os.Chown(filepath.Dir(folder), another, another))
		},
		"a link to a folder": func(t *testing.T, _, elsewhere string, files Files, writer string) error {
			folder, _, _ := wayOf(t, files, writer)
			return errors.Join(os.MkdirAll(filepath.Dir(folder), 0o700), os.Symlink(elsewhere, folder), os.Lchown(folder, another, another))
		},
		"a dead link": func(t *testing.T, _, elsewhere string, files Files, writer string) error {
			folder, file, _ := wayOf(t, files, writer)
			return errors.Join(os.MkdirAll(folder, 0o700), os.Symlink(elsewhere+"/new", file), os.Lchown(file, another, another))
		},
		"a relative link to a file": func(t *testing.T, home, elsewhere string, files Files, writer string) error {
			folder, file, _ := wayOf(t, files, writer)
			up, err := filepath.Rel(folder, elsewhere)
			return errors.Join(err, os.MkdirAll(folder, 0o700), os.Symlink(up+"/precious", file), os.Lchown(file, another, another))
		},
	}
	for writer, write := range writers {
		for name, lay := range layouts {
			t.Run(writer+", "+name, func(t *testing.T) {
				home, elsewhere := t.TempDir(), t.TempDir()
				must(t, os.WriteFile(elsewhere+"/precious", []byte("precious"), 0o644))
				files := filesOf(home)
				must(t, lay(t, home, elsewhere, files, writer))
				before := tree(t, home)
				err := write(files)
				if err == nil && writer == "logout" && name == "an empty home" {
					return // nothing was kept there
				}
				if err == nil || !strings.Contains(err.Error(), "another user (uid 65534, and this is uid 0)") || !strings.Contains(hintOf(err), "set HOME") {
					t.Errorf("%v, hint %q", err, hintOf(err))
				}
				if after := tree(t, home); after != before {
					t.Errorf("before:\n%safter:\n%s", before, after)
				}
				if names := tree(t, elsewhere); strings.Count(names, "\n") != 2 {
					t.Errorf("elsewhere there is:\n%s", names)
				}
				untouched(t, elsewhere+"/precious", []byte("precious"))
			})
		}
	}
}

// tree lists what is in a folder, with modes.
func tree(t *testing.T, folder string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&b, path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
		}
		return err
	}))
	return b.String()
}

func TestReadingRefusesWhatAnotherUserLaidOut(t *testing.T) {
	needsRoot(t)
	home := t.TempDir()
	files := filesOf(home)
	for _, write := range writers {
		must(t, write(files))
	}
	must(t, writers["contacts"](files))
	must(t, os.Chown(home, another, another))
	_, configErr := LoadConfig(files.Config)
	_, getErr := (&fileStore{path: files.Credentials}).Get(t.Context(), alice)
	_, _, contactsErr := files.CachedContacts(alice)
	_, positionErr := OpenPosition(files, alice)
	for what, err := range map[string]error{"config": configErr, "credentials": getErr, "contacts": contactsErr, "position": positionErr} {
		if err == nil || !strings.Contains(err.Error(), home+": it belongs to another user (uid 65534, and this is uid 0)") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A lock is our own file with one name: with another user's file, or a link to one, that
// user could hold it, or have it made somewhere.
func TestLockIsAFileOfOurs(t *testing.T) {
	for writer, write := range writers {
		if writer == "logout" {
			continue
		}
		for name, lay := range map[string]func(lock, victim string) error{
			"it is a symbolic link, and must be a file": func(lock, victim string) error { return os.Symlink(victim, lock) },
			"has 2 names":              func(lock, victim string) error { return os.Link(victim, lock) },
			"it is not a regular file": func(lock, _ string) error { return syscall.Mkfifo(lock, 0o600) },
			"another user (uid 65534": func(lock, _ string) error {
				return errors.Join(os.WriteFile(lock, nil, 0o666), os.Chown(lock, another, another))
			},
		} {
			t.Run(writer+", "+name, func(t *testing.T) {
				if strings.Contains(name, "uid") {
					needsRoot(t)
				}
				files := filesOf(t.TempDir())
				_, _, lock := wayOf(t, files, writer)
				victim := filepath.Join(t.TempDir(), "victim")
				must(t, os.MkdirAll(filepath.Dir(lock), 0o700), os.WriteFile(victim, []byte("precious"), 0o644), lay(lock, victim))
				if err := write(files); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("%v", err)
				}
				untouched(t, victim, []byte("precious"))
			})
		}
	}
}

// A user who is not root may use a shared folder above, and root's, but none that another
// user was first to make in /tmp.
func TestSharedFolders(t *testing.T) {
	needsRoot(t)
	base := t.TempDir()
	must(t, openUp(base), os.Mkdir(base+"/sticky", 0o700), os.Chmod(base+"/sticky", 0o777|os.ModeSticky))
	for path, owner := range map[string]int{"shared": 4243, "sticky/theirs": 4243, "roots": 0, "roots/skaroctl": 0} {
		must(t, os.MkdirAll(filepath.Join(base, path), 0o700), os.Chmod(filepath.Join(base, path), 0o777), os.Chown(filepath.Join(base, path), owner, owner))
	}
	must(t, os.Symlink(base+"/shared", base+"/rootlink"), os.Symlink(base+"/shared", base+"/theirlink"), os.Lchown(base+"/theirlink", 4243, 4243))
	cmd := exec.Command(os.Args[0])
	cmd.Env = asChild("shared", "ACCOUNT_TEST_FOLDER="+base)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// openUp lets every user pass through a temporary folder of a test.
func openUp(folder string) error {
	return errors.Join(os.Chmod(folder, 0o755), os.Chmod(filepath.Dir(folder), 0o755))
}

func init() { children["shared"] = sharedChild }

// sharedChild uses the folders of TestSharedFolders as a user who is not root.
func sharedChild() error {
	if err := syscall.Seteuid(4242); err != nil {
		return err
	}
	base := os.Getenv("ACCOUNT_TEST_FOLDER")
	for below, want := range map[string]string{
		"shared": "", "roots": "", "rootlink": "",
		"sticky/mine":   "",
		"sticky/theirs": "sticky/theirs: it belongs to another user (uid 4243, and this is uid 4242)",
		"theirlink":     "theirlink: it is a symbolic link of another user (uid 4243, and this is uid 4242)",
	} {
		err := UpdateConfig(newContext(), filepath.Join(base, below, "skaroctl", "config.toml"), func(c *Config) error { c.DefaultProfile = "x"; return nil })
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			return fmt.Errorf("%s: %v", below, err)
		}
	}
	err := UpdateConfig(newContext(), filepath.Join(base, "shared", "config.toml"), func(*Config) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "shared: it belongs to another user") {
		return fmt.Errorf("in a folder of another user: %v", err)
	}
	return nil
}
