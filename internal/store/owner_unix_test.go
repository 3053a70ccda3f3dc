//go:build unix

package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Root uses no file that it may have opened by a link of another user: whatever that file is, and
// even if the link was replaced since.
func TestRootNoticesALinkThatItHasFollowed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root follows such links")
	}
	folder, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.Chown(folder, 4242, -1), os.WriteFile(secret, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "backup.db")
	for _, target := range []string{secret, os.DevNull} {
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := CheckLink(path, f); !errors.Is(err, ErrShared) {
			t.Errorf("%s by a link: %v", target, err)
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := CheckLink(path, f); !errors.Is(err, ErrShared) {
			t.Errorf("%s by a link that is gone: %v", target, err)
		}
		own, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		if err := errors.Join(CheckLink(path, own), os.Remove(path)); err != nil {
			t.Errorf("a file: %v", err)
		}
	}
}
