package account

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A process that was stopped while it held the lock does not stop the others for ever.
func TestLockEndsWithContext(t *testing.T) {
	s, content := fileWith(t, alice)
	config := filepath.Join(t.TempDir(), "config.toml")
	holdConfig, err := holdLock(config)
	if err != nil {
		t.Fatal(err)
	}
	defer holdConfig()
	held, err := holdLock(s.path)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("the time ran out")
	ctx, cancel := context.WithCancelCause(t.Context())
	done, configDone := make(chan error), make(chan error)
	go func() { done <- s.Set(ctx, bob, someCredentials()) }()
	go func() {
		configDone <- UpdateConfig(ctx, config, func(*Config) error { t.Error("changed without the lock"); return nil })
	}()
	if _, err := s.Get(t.Context(), alice); err != nil {
		t.Errorf("reading waits for the lock: %v", err)
	}
	cancel(why)
	for _, done := range []chan error{done, configDone} {
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
	}
	untouched(t, s.path, content)
	held()
	if err := s.Set(t.Context(), bob, someCredentials()); err != nil {
		t.Error(err)
	}
}

// stateOf is a config, credentials and a position of alice and bob, in a folder of its own.
func stateOf(t *testing.T) (files Files, position string) {
	t.Helper()
	files = filesIn(t.TempDir())
	s := &fileStore{path: files.Credentials}
	for _, key := range []Key{alice, bob} {
		err := errors.Join(
			s.Set(t.Context(), key, someCredentials()),
			UpdateConfig(t.Context(), files.Config, func(c *Config) error {
				c.Profiles[key.Login] = Profile{Server: key.Server, Login: key.Login, Store: "file"}
				return nil
			}),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	f := openPosition(t, files, alice)
	if err := f.Save(somePosition{ID: 42, Date: noon, Seen: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	return files, f.file.path()
}

// stateChanges change something of alice in each file, as the commands do. The key is the path
// of the file.
func stateChanges(ctx context.Context, files Files, position string) map[string]func() error {
	return map[string]func() error{
		files.Credentials: func() error { return (&fileStore{path: files.Credentials}).Set(ctx, alice, someSession()) },
		files.Config: func() error {
			return UpdateConfig(ctx, files.Config, func(c *Config) error {
				p := c.Profiles["alice"]
				p.CAFile = "/etc/ca.pem"
				c.Profiles["alice"] = p
				return nil
			})
		},
		position: func() error {
			f, err := OpenPosition(files, alice)
			if err != nil {
				return err
			}
			defer f.Close()
			var p somePosition
			if _, err = f.Read(&p); err != nil {
				return err
			}
			p.ID++
			return f.Save(p)
		},
	}
}

// A bad disk may cut a file anywhere. The file is refused and stays as it is; or what is left of
// it is valid, and then nothing of that is lost.
func TestFileThatIsCutAnywhereIsKept(t *testing.T) {
	files, position := stateOf(t)
	for path, change := range stateChanges(t.Context(), files, position) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(content) {
			if err := os.WriteFile(path, content[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			before, beforeErr := LoadConfig(files.Config)
			err := change()
			var named *Error
			switch {
			case err != nil:
				if !errors.As(err, &named) || named.Path != path || named.Hint == "" {
					t.Errorf("cut after %d bytes: %v", n, err)
				}
				untouched(t, path, content[:n])
			case path != files.Config:
				if n < len(content)-1 { // without its last newline, JSON is whole
					t.Errorf("%s is taken although it is cut after %d bytes", path, n)
				}
			default:
				after, err := LoadConfig(path)
				delete(before.Profiles, "alice")
				delete(after.Profiles, "alice")
				if err != nil || beforeErr != nil || !reflect.DeepEqual(before, after) {
					t.Errorf("cut after %d bytes: %+v has become %+v, %v, %v", n, before, after, beforeErr, err)
				}
			}
		}
	}
}

// A private file is not read to its end if that is far away: memory would not suffice.
func TestLongFileIsRefused(t *testing.T) {
	files := filesIn(t.TempDir())
	if err := os.MkdirAll(filepath.Dir(files.Config), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(files.Config, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(maxFileBytes+1), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(files.Config); KindOf(err) != KindFile || !strings.HasSuffix(err.Error(), "config.toml: it has more than 64 MiB") {
		t.Errorf("%v", err)
	}
}
