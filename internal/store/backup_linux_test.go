package store

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// If the write-ahead log still fits on the disk, and what it adds to the database does not, nothing
// is put in place. A limit on the size of files stands for the full disk.
func TestRestoreOnFullDiskChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skarod.db")
	s := open(t, path)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := copyOf(t, path)
	// Of an earlier version: this one adds tables.
	earlier := filepath.Join(t.TempDir(), "earlier.db")
	if err := os.WriteFile(earlier, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := connect(earlier)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{schema[0], "PRAGMA user_version = 1", "INSERT INTO messages (date, sender, recipient, body) VALUES (1, 1, 1, hex(zeroblob(500000)))"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b := copyOf(t, earlier)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(len(b)), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	_, restoreErr := Restore(t.Context(), path, bytes.NewReader(b), now)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if restoreErr == nil {
		t.Error("it was restored")
	}
	if got := beside(t, path); got != "skarod.db" {
		t.Errorf("there is %s", got)
	}
	if !bytes.Equal(copyOf(t, path), before) {
		t.Error("the database has changed")
	}
	restore(t, path, b)
}
