package account

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestContacts(t *testing.T) {
	files := Files{Cache: filepath.Join(t.TempDir(), "new", "folder")}
	a, b := Key{"wss://a/", "alice"}, Key{"wss://b/", "alice"}
	if got, kept, err := files.CachedContacts(a); len(got) != 0 || !kept.IsZero() || err == nil {
		t.Errorf("of nothing: %v, %v, %v", got, kept, err)
	}
	if err := files.ForgetContacts(a); err != nil {
		t.Error(err)
	}
	for key, contacts := range map[Key][]Contact{a: {{"bob", false}, {"zoë", false}, {"ops", true}}, b: nil} {
		if err := files.CacheContacts(key, contacts); err != nil {
			t.Fatal(err)
		}
		got, kept, err := files.CachedContacts(key)
		if err != nil || !slices.Equal(got, contacts) || time.Since(kept) > time.Minute {
			t.Errorf("%v: %v, %v, %v", key, got, kept, err)
		}
	}
	path, err := files.contacts(a)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if err := files.CacheContacts(a, []Contact{{"carol", false}}); err != nil {
		t.Error(err)
	}
	if got, _, err := files.CachedContacts(a); err != nil || !slices.Equal(got, []Contact{{"carol", false}}) {
		t.Errorf("replaced: %v, %v", got, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.WriteFile(path, []byte(`{"version":1,"contacts":["bob"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _, err := files.CachedContacts(a); err == nil || got != nil {
		t.Errorf("of a strange file: %v", got)
	}
	if err := files.ForgetContacts(a); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("what was to be forgotten is there")
	}
	if _, _, err := files.CachedContacts(b); err != nil {
		t.Errorf("the other account is forgotten too: %v", err)
	}
	if err := (Files{}).CacheContacts(a, nil); err == nil {
		t.Error("contacts were kept nowhere")
	}
}
