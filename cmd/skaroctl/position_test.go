package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/session"
)

func TestPosition(t *testing.T) {
	files := account.Files{State: t.TempDir()}
	key := account.Key{Server: "ws://127.0.0.1/", Login: "alice"}
	f, err := openPosition(files, key)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := f.read(); p != nil || err != nil {
		t.Fatal(p, err)
	}
	var busy *busyError
	if _, err := openPosition(files, key); !errors.As(err, &busy) {
		t.Errorf("a second listener: %v", err)
	}
	other, err := openPosition(files, account.Key{Server: key.Server, Login: "bob"})
	if err != nil {
		t.Errorf("another account: %v", err)
	} else {
		other.close()
	}
	for _, want := range []session.Position{{ID: 1 << 60}, {ID: 5, Date: time.Unix(5, 7).UTC()}, {}, {Date: time.Unix(5, 7).UTC(), Seen: []string{"a"}, Undated: []string{"b"}, Dialogs: []string{"ops"}}} {
		if err := f.save(key, want); err != nil {
			t.Fatal(err)
		}
		f.close()
		if f, err = openPosition(files, key); err != nil {
			t.Fatal(err)
		}
		if p, err := f.read(); err != nil || p == nil || !reflect.DeepEqual(*p, want) {
			t.Fatalf("%+v came back as %+v, %v", want, p, err)
		}
	}
	f.close()
	if _, err := openPosition(account.Files{}, key); err == nil {
		t.Error("a position without a folder")
	}
}

// FuzzPosition: whatever the file holds, it is a position or an error that names
// the file, and is left as it is.
func FuzzPosition(f *testing.F) {
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `{"version":1}`, `{"version":2}`, `{"version":1,"position":{"id":7}}`, `{"version":1,"position":{"id":-1}}`, `{"version":1,"position":{"id":1.5}}`,
		`{"version":1,"position":{"date":"2016-01-01T00:00:00Z","seen":["AAAAAAAAAAAAAAAAAAAAAA","x"]}}`,
	} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "position.json")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := (&positionFile{path: path}).read()
		var broken *account.FileError
		switch {
		case err == nil && p.ID < 0:
			t.Errorf("the position is %d", p.ID)
		case err != nil && (!errors.As(err, &broken) || broken.Path != path || broken.Advice == ""):
			t.Errorf("%v", err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(content) {
			t.Errorf("the file holds %q now, %v", after, err)
		}
	})
}
