package account

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// somePosition is a position as a listener may have it.
type somePosition struct {
	ID   int64     `json:"id,omitempty"`
	Date time.Time `json:"date,omitzero"`
	Seen []string  `json:"seen,omitempty"`
}

// UnmarshalJSON refuses JSON that is not a position.
func (p *somePosition) UnmarshalJSON(text []byte) error {
	type plain somePosition
	if err := json.Unmarshal(text, (*plain)(p)); err != nil {
		return err
	}
	if p.ID < 0 {
		return errors.New("the id is negative")
	}
	return nil
}

func openPosition(t *testing.T, files Files, key Key) *PositionFile {
	t.Helper()
	f, err := OpenPosition(files, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func TestPositionIsKept(t *testing.T) {
	files := filesIn(t.TempDir())
	for _, want := range []somePosition{{ID: 1 << 60}, {ID: 5, Date: noon}, {}, {Date: noon, Seen: []string{"a"}}} {
		f := openPosition(t, files, alice)
		if err := f.Save(want); err != nil {
			t.Fatal(err)
		}
		f.Close()
		f = openPosition(t, files, alice)
		var got somePosition
		if found, err := f.Read(&got); err != nil || !found || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v came back as %+v, %v, %v", want, got, found, err)
		}
		f.Close()
	}
}

func TestPositionIsMissingAtFirst(t *testing.T) {
	var got somePosition
	if found, err := openPosition(t, filesIn(t.TempDir()), alice).Read(&got); found || err != nil {
		t.Error(got, found, err)
	}
	if _, err := OpenPosition(Files{}, alice); err == nil || hintOf(err) == "" {
		t.Errorf("without a folder: %v", err)
	}
}

func TestPositionHasOneListener(t *testing.T) {
	files := filesIn(t.TempDir())
	first := openPosition(t, files, alice)
	if _, err := OpenPosition(files, alice); KindOf(err) != KindLocked || hintOf(err) == "" {
		t.Errorf("a second listener: %v", err)
	}
	openPosition(t, files, bob)
	first.Close()
	openPosition(t, files, alice)
}

func TestPositionIsWrittenOnlyIfItChanged(t *testing.T) {
	f := openPosition(t, filesIn(t.TempDir()), alice)
	if err := f.Save(somePosition{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(f.file.path()); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(somePosition{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.file.path()); err == nil {
		t.Error("the same position was written twice")
	}
	if err := f.Save(somePosition{ID: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.file.path()); err != nil {
		t.Error(err)
	}
}

// FuzzPosition: whatever the file holds, Read returns a position or an error that names
// the file, and leaves the file as it is. What it returns can be saved, and reads back.
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
		var got somePosition
		file, err := locate(path, existing)
		if err != nil {
			t.Fatal(err)
		}
		defer file.close()
		found, err := (&PositionFile{file: file}).Read(&got)
		var broken *Error
		switch {
		case err == nil && (!found || got.ID < 0):
			t.Errorf("the position is %+v, %v", got, found)
		case err != nil && (!errors.As(err, &broken) || broken.Path != path || broken.Hint == ""):
			t.Errorf("%v", err)
		}
		untouched(t, path, content)
		if !found {
			return
		}
		var again somePosition
		f := &PositionFile{file: file, key: alice}
		if err := f.Save(got); err != nil {
			t.Fatal(err)
		}
		if found, err := f.Read(&again); !found || err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%+v is saved as %+v, %v, %v", got, again, found, err)
		}
	})
}
