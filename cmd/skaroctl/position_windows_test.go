package main

import (
	"os"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/session"
)

// A virus scanner or a backup that reads the position does not end the listener.
func TestPositionWhileRead(t *testing.T) {
	files := account.Files{State: t.TempDir()}
	key := account.Key{Server: "ws://127.0.0.1/", Login: "alice"}
	f, err := openPosition(files, key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if err := f.save(key, session.Position{ID: 1}); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(f.path)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { reader.Close() })
	if err := f.save(key, session.Position{ID: 2}); err != nil {
		t.Error(err)
	}
}
