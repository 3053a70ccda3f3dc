package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// A dead letter is appended as a whole, or the file is as it was.
func TestDeadLettersAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead")
	for _, line := range []string{"one\n", "two\n"} {
		d, err := openDeadLetters(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.add([]byte(line)); err != nil {
			t.Error(err)
		}
		d.close()
		if err := d.add([]byte("lost\n")); err == nil {
			t.Error("a closed file took a line")
		}
	}
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	if err := (&deadLetters{readOnly}).add([]byte("lost\n")); err == nil {
		t.Error("a file that can't be written took a line")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "one\ntwo\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := openDeadLetters(filepath.Dir(path)); kindOf(err) != cli.KindUsage {
		t.Error(err)
	}
	if _, err := openDeadLetters(filepath.Join(path, "x")); kindOf(err) != cli.KindInternal {
		t.Error(err)
	}
}
