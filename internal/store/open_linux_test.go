package store

import (
	"os"
	"path/filepath"
	"testing"
)

// Every connection to the database is open from the start: with no descriptor left, reads go on.
func TestReadersAreOpenFromTheStart(t *testing.T) {
	s := newStore(t, "alice")
	files := 0
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == s.path {
			files++
		}
	}
	if files < Readers+2 { // with those of the writer and of logins
		t.Errorf("the database is open %d times", files)
	}
}
