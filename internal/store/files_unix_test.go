//go:build unix

package store

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	open(t, filepath.Join(dir, "skarod.db"))
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info, err)
		}
	}
}

// Other users lose their rights to a database and its side files, as a careless copy gives them.
func TestLooseModeIsTightened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skarod.db")
	open(t, path)
	for _, mode := range []os.FileMode{0o644, 0o660, 0o604, 0o777} {
		files := []string{path, path + "-wal", path + "-shm"}
		for _, file := range files {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
		}
		open(t, path)
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != mode&0o700 {
				t.Errorf("%s with %o: %v, %v", file, mode, info.Mode(), err)
			}
		}
	}
}

// A write into a file that was moved away is not confirmed, and no new file is made in its place.
// Windows lets no process move an open file.
func TestMovedDatabaseConfirmsNothing(t *testing.T) {
	s := newStore(t, "alice")
	alice := id(t, s, "alice")
	mustSend(t, s, "alice", "alice", "before")
	away := s.path + ".away"
	refused := func(what string) {
		t.Helper()
		if _, err := send(s, Message{Sender: alice, To: "alice", Body: what, Date: now}); err == nil || !strings.Contains(err.Error(), "moved or removed") {
			t.Errorf("%s: %v", what, err)
		}
		if err := s.Ping(t.Context()); err == nil {
			t.Errorf("%s: it says that all is well", what)
		}
	}
	if err := os.Rename(s.path, away); err != nil {
		t.Fatal(err)
	}
	refused("moved")
	var reading []*sql.Rows
	for range Readers { // every reader at once
		if rows, err := s.read.Query("SELECT 1 FROM users"); err == nil {
			reading = append(reading, rows)
		}
		if _, err := os.Stat(s.path); err == nil {
			t.Fatal("there is a new file")
		}
	}
	for _, rows := range reading {
		rows.Close()
	}
	if err := os.WriteFile(s.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("another in its place")
	if err := os.Rename(away, s.path); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, "alice", "alice", "after")
	if got, _ := updates(t, s, alice, 0, 10); got != "alice>alice:before alice>alice:after" {
		t.Errorf("there is %s", got)
	}
}
