package account

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// modesMatter reports whether the mode of a file protects it.
const modesMatter = false

// A virus scanner or a backup that reads a file delays its replacement.
func TestReplaceFileWhileItIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	f, err := locate(path, existing)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.replace([]byte("1"), durable); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { reader.Close() })
	if err := f.replace([]byte("2"), durable); err != nil {
		t.Error(err)
	}
}
