//go:build unix

package account

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// modesMatter reports whether the mode of a file protects it.
const modesMatter = true

func TestFileStoreRefusesFilesThatOthersCanUse(t *testing.T) {
	for _, mode := range []os.FileMode{0o601, 0o602, 0o604, 0o610, 0o620, 0o640, 0o644, 0o666, 0o777} {
		t.Run(fmt.Sprintf("%04o", mode), func(t *testing.T) {
			s, content := fileWith(t, alice)
			if err := os.Chmod(s.path, mode); err != nil {
				t.Fatal(err)
			}
			_, getErr := s.Get(t.Context(), alice)
			for what, err := range map[string]error{
				"get": getErr, "set": s.Set(t.Context(), bob, someCredentials()),
				"delete": s.Delete(t.Context(), alice), "renew": s.Renew(t.Context(), alice, "x", noon),
			} {
				var fileErr *Error
				if !errors.As(err, &fileErr) || fileErr.Kind != KindUnreadable || fileErr.Path != s.path || !strings.Contains(err.Error(), fmt.Sprintf("%04o", mode)) {
					t.Errorf("%s: %v", what, err)
				}
				if hintOf(err) != "run `chmod 600 "+s.path+"`" {
					t.Errorf("%s: hint %q", what, hintOf(err))
				}
			}
			untouched(t, s.path, content)
		})
	}
}

func TestFileStoreReadsAReadOnlyFile(t *testing.T) {
	s, _ := fileWith(t, alice)
	if err := os.Chmod(s.path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), alice); err != nil {
		t.Error(err)
	}
}

func TestFilesOfAnotherUserAreLeftAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root, to give a file away")
	}
	s, content := fileWith(t, alice)
	config := filepath.Join(filepath.Dir(s.path), "config.toml")
	configText := []byte("default_profile = \"x\"\n")
	if err := os.WriteFile(config, configText, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{s.path, config} {
		if err := os.Chown(path, 4242, -1); err != nil {
			t.Fatal(err)
		}
	}
	_, getErr := s.Get(t.Context(), alice)
	for what, err := range map[string]error{
		"get": getErr, "set": s.Set(t.Context(), bob, someCredentials()),
		"config": UpdateConfig(t.Context(), config, func(c *Config) error { c.DefaultProfile = "y"; return nil }),
	} {
		if err == nil || !strings.Contains(err.Error(), "another user (uid 4242") || !strings.Contains(hintOf(err), "chown 0 ") {
			t.Errorf("%s: %v, hint %q", what, err, hintOf(err))
		}
	}
	untouched(t, s.path, content)
	untouched(t, config, configText)
	if c, err := LoadConfig(config); err == nil || !strings.Contains(err.Error(), "another user (uid 4242") {
		t.Errorf("a config of another user is read: %+v, %v", c, err)
	}
}

// A folder may be closed to us because it is another user's. Nothing is closed to root, so
// that the child gives up being root.
func TestClosedFolderHasAHint(t *testing.T) {
	s, _ := fileWith(t, alice)
	folder := filepath.Dir(s.path)
	if err := os.Chmod(folder, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) }) // so that it can be removed
	cmd := exec.Command(os.Args[0])
	cmd.Env = asChild("closed", "ACCOUNT_TEST_FOLDER="+folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func init() { children["closed"] = closedChild }

// closedChild tries to read files of a folder that is closed.
func closedChild() error {
	if os.Geteuid() == 0 {
		if err := syscall.Seteuid(4242); err != nil {
			return err
		}
	}
	folder := os.Getenv("ACCOUNT_TEST_FOLDER")
	_, getErr := (&fileStore{path: filepath.Join(folder, "credentials.json")}).Get(newContext(), alice)
	_, loadErr := LoadConfig(filepath.Join(folder, "config.toml"))
	for what, err := range map[string]error{"get": getErr, "load": loadErr} {
		if !errors.Is(err, syscall.EACCES) || !strings.Contains(hintOf(err), "HOME, ") {
			return fmt.Errorf("%s: %v, hint %q", what, err, hintOf(err))
		}
	}
	return nil
}

// A named pipe in place of a file does not stop the program.
func TestNamedPipeIsRefusedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &fileStore{path: path}
	_, getErr := s.Get(t.Context(), alice)
	_, loadErr := LoadConfig(path)
	for what, err := range map[string]error{
		"get": getErr, "set": s.Set(t.Context(), alice, someCredentials()), "load": loadErr,
		"update": UpdateConfig(t.Context(), path, func(c *Config) error { c.DefaultProfile = "y"; return nil }),
	} {
		if err == nil || !strings.Contains(err.Error(), "not a regular file") || hintOf(err) != moveAway {
			t.Errorf("%s: %v", what, err)
		}
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the pipe is gone: %v", err)
	}
}

// If a link leads to a device, the hint is not to move the device away.
func TestDeviceStaysWhereItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.Symlink(os.DevNull, path); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(path); hintOf(err) != "remove the link that leads to it" {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
}

func init() { children["full"] = fullChild }

// fullChild tries to write more than its file size limit allows.
func fullChild() error {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 100, Max: 100}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	files := filesIn(os.Getenv("ACCOUNT_TEST_FOLDER"))
	s := &fileStore{path: files.Credentials}
	c := someCredentials()
	for what, err := range map[string]error{
		"set": s.Set(newContext(), bob, c), "session": s.Set(newContext(), alice, someSession()),
		"config": UpdateConfig(newContext(), files.Config, func(c *Config) error {
			c.Profiles["x"] = Profile{Server: strings.Repeat("x", 200)}
			return nil
		}),
	} {
		var fileErr *Error
		if !errors.As(err, &fileErr) || fileErr.Kind != KindFile || !errors.Is(err, syscall.EFBIG) {
			return fmt.Errorf("%s: %v", what, err)
		}
	}
	return nil
}

// A write that fails half way leaves the old file as it is, and nothing else.
func TestFailedWriteLosesNothing(t *testing.T) {
	folder := t.TempDir()
	files := filesIn(folder)
	s := &fileStore{path: files.Credentials}
	if err := s.Set(t.Context(), alice, someCredentials()); err != nil {
		t.Fatal(err)
	}
	if err := UpdateConfig(t.Context(), files.Config, func(c *Config) error { c.DefaultProfile = "old"; return nil }); err != nil {
		t.Fatal(err)
	}
	before := map[string][]byte{}
	for _, path := range []string{files.Credentials, files.Config} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before[path] = b
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = asChild("full", "ACCOUNT_TEST_FOLDER="+folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for path, content := range before {
		untouched(t, path, content)
		names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
		if err != nil || len(names) != 2 { // the file and its lock
			t.Errorf("%v is there, %v", names, err)
		}
	}
}

// A symbolic link at the temporary name, or what a killed process left there, is replaced.
func TestTemporaryNameIsNotFollowed(t *testing.T) {
	s, _ := fileWith(t, alice)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, s.path+".tmp"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), bob, someCredentials()); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(victim); err != nil || !bytes.Equal(b, []byte("precious")) {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := s.Get(t.Context(), bob); err != nil {
		t.Error(err)
	}
}

func TestSymbolicLinksAreFollowed(t *testing.T) {
	for name, layout := range map[string]func(folder string) (link, real string, err error){
		"absolute": func(f string) (string, string, error) {
			return f + "/link", f + "/real", os.Symlink(f+"/real", f+"/link")
		},
		"relative, twice, through a linked folder": func(f string) (string, string, error) {
			return f + "/in/link", f + "/deep/er/real", errors.Join(
				os.MkdirAll(f+"/deep/er", 0o700), os.MkdirAll(f+"/deep/inner", 0o700), os.Symlink(f+"/deep/inner", f+"/in"),
				os.Symlink("../er/second", f+"/deep/inner/link"), os.Symlink("real", f+"/deep/er/second"))
		},
	} {
		for _, exists := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, exists %v", name, exists), func(t *testing.T) {
				link, real, err := layout(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				if exists {
					if err := os.WriteFile(real, []byte(`{"version":1,"accounts":[]}`), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				s := &fileStore{path: link}
				if err := s.Set(t.Context(), alice, someCredentials()); err != nil {
					t.Fatal(err)
				}
				if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
					t.Fatalf("the link was replaced: %v", err)
				}
				for _, path := range []string{link, real} {
					if got, err := (&fileStore{path: path}).Get(t.Context(), alice); err != nil || !sameCredentials(got, someCredentials()) {
						t.Errorf("%s: %v", path, err)
					}
				}
			})
		}
	}
	loop := filepath.Join(t.TempDir(), "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	if err := (&fileStore{path: loop}).Set(t.Context(), alice, someCredentials()); err == nil {
		t.Error("a link to itself was written to")
	}
}

func TestFilesAreMadePrivate(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	files := filesIn(filepath.Join(t.TempDir(), "new"))
	if err := (&fileStore{path: files.Credentials}).Set(t.Context(), alice, someCredentials()); err != nil {
		t.Fatal(err)
	}
	if err := UpdateConfig(t.Context(), files.Config, func(c *Config) error { c.DefaultProfile = "x"; return nil }); err != nil {
		t.Fatal(err)
	}
	err := filepath.Walk(filepath.Dir(files.State), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// A config that others may read is made private at the next change.
	if err := os.Chmod(files.Config, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := UpdateConfig(t.Context(), files.Config, func(c *Config) error { c.DefaultProfile = "y"; return nil }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(files.Config); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
