package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A backup has the data of the moment when it began, while another process writes. It does not
// replace an existing file.
func TestBackupIsOfOneMoment(t *testing.T) {
	s := newStore(t, "alice")
	for n := range 100 {
		mustSend(t, s, "alice", "alice", fmt.Sprint(n))
	}
	other := open(t, s.path)
	alice := id(t, s, "alice")
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if _, err := send(other, Message{Sender: alice, To: "alice", Body: "meanwhile", Date: now}); err != nil {
				stopped <- err
				return
			}
		}
	}()
	name := "file:copy?x"
	if runtime.GOOS == "windows" { // it has no such names
		name = "file copy"
	}
	file := filepath.Join(t.TempDir(), name)
	err := s.Backup(t.Context(), file)
	close(stop)
	if err := errors.Join(err, <-stopped); err != nil {
		t.Fatal(err)
	}
	if got := beside(t, file); got != filepath.Base(file) {
		t.Errorf("there is %s", got)
	}
	before := copyOf(t, file)
	if err := s.Backup(t.Context(), file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the same name again: %v", err)
	}
	if !bytes.Equal(copyOf(t, file), before) {
		t.Error("the file was overwritten")
	}
	var failed *fs.PathError
	if err := s.Backup(t.Context(), filepath.Join(file, "below")); !errors.As(err, &failed) || failed.Path != filepath.Join(file, "below") {
		t.Errorf("below a file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "data", "skarod.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	restore(t, path, before)
	restored := open(t, path)
	if got, _ := updates(t, restored, id(t, restored, "alice"), 0, 100); strings.Contains(got, "meanwhile") || !strings.HasSuffix(got, ":99") {
		t.Errorf("it has %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, file+"2"); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if got := beside(t, file); got != filepath.Base(file) {
		t.Errorf("afterwards there is %s", got)
	}
}

// However often something is restored, no id is given twice. Sessions end, and the old database is
// kept as it was.
func TestRestoreNeverGivesAnIDTwice(t *testing.T) {
	s := newStore(t, "alice")
	path := s.path
	mustSend(t, s, "alice", "alice", "one")
	user, err := s.User(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, 1)
	s.AddSession(Session{SID: [32]byte{1}, User: user.ID, Revision: user.Revision}, func(err error) { stored <- err })
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	b := backup(t, s)
	given := map[int64]bool{mustSend(t, s, "alice", "alice", "two").ID: true}
	highest := mustSend(t, s, "alice", "alice", "three").ID
	given[highest] = true
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		done := restore(t, path, b)
		if want := fmt.Sprintf("%s.old-%d", path, n); done.Kept != want || done.Unread != nil || done.Above != highest+idGap {
			t.Fatalf("restored %d: %+v", n, done)
		}
		s := open(t, path)
		if got, _ := updates(t, s, user.ID, 0, 10); got != "alice>alice:one" {
			t.Errorf("it has %s", got)
		}
		if last, err := s.LastID(t.Context()); err != nil || last != done.Above {
			t.Errorf("the last id is %d, %v", last, err)
		}
		var sessions int
		if err := s.read.QueryRow("SELECT count(*) FROM sessions").Scan(&sessions); err != nil || sessions != 0 {
			t.Errorf("%d sessions, %v", sessions, err)
		}
		highest = mustSend(t, s, "alice", "alice", "new").ID
		if given[highest] || highest <= done.Above {
			t.Errorf("the id %d is given again", highest)
		}
		given[highest] = true
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	kept := open(t, path+".old-1")
	if got, _ := updates(t, kept, user.ID, 0, 10); got != "alice>alice:one alice>alice:two alice>alice:three" {
		t.Errorf("kept is %s", got)
	}
}

// The ids continue above those of the backup if it has higher ones than the database that it
// replaces.
func TestRestoreContinuesAboveABackupWithHigherIDs(t *testing.T) {
	newest := newStore(t, "alice")
	for range 5 {
		mustSend(t, newest, "alice", "alice", "x")
	}
	old := newStore(t, "alice")
	mustSend(t, old, "alice", "alice", "x")
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if done := restore(t, old.path, backup(t, newest)); done.Above != 5+idGap {
		t.Errorf("the ids continue above %d", done.Above)
	}
	if sent := mustSend(t, open(t, old.path), "alice", "alice", "y"); sent.ID != 5+idGap+1 {
		t.Errorf("the next id is %d", sent.ID)
	}
}

// synced watches what is waited for until it is on disk, as the names of files and folders. A name
// that is given meanwhile stands between them.
func synced(t *testing.T, path string, do func()) string {
	t.Helper()
	var events []string
	given := false
	fsync = func(f *os.File) error {
		if _, err := os.Lstat(path); err == nil && !given {
			given = true
			events = append(events, "named")
		}
		switch info, err := f.Stat(); {
		case err != nil:
			t.Error(err)
		case info.IsDir():
			events = append(events, "folder "+filepath.Base(f.Name()))
		case strings.HasPrefix(filepath.Base(f.Name()), "."+filepath.Base(path)+"-"):
			events = append(events, "file")
		default:
			events = append(events, f.Name())
		}
		return f.Sync()
	}
	defer func() { fsync = (*os.File).Sync }()
	do()
	return strings.Join(events, ", ")
}

// A new file is on disk before it gets its name, and its name before the command is done: a power
// failure never leaves half a file with that name.
func TestNewFilesAreOnDiskBeforeTheirNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows syncs no folder")
	}
	const want = "file, named, folder data"
	folder := filepath.Join(t.TempDir(), "data")
	path, copied := filepath.Join(folder, "skarod.db"), filepath.Join(folder, "copy.db")
	var s *Store
	if got := synced(t, path, func() { s = open(t, path) }); got != want {
		t.Errorf("a new database: %s", got)
	}
	if got := synced(t, copied, func() {
		if err := s.Backup(t.Context(), copied); err != nil {
			t.Fatal(err)
		}
	}); got != want {
		t.Errorf("a backup: %s", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b := copyOf(t, copied)
	// The old database has two names for a moment.
	if got := synced(t, path, func() { restore(t, path, b) }); got != "named, file, folder data, folder data" {
		t.Errorf("a restore: %s", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := synced(t, path, func() { restore(t, path, b) }); got != want {
		t.Errorf("a restore without a database from before: %s", got)
	}
}

// A backup of a damaged database fails, and leaves no file, even if the copy itself succeeds, and
// only its check finds the damage.
func TestBackupOfDamagedDatabaseFails(t *testing.T) {
	hole := func(t *testing.T, s *Store) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		b := copyOf(t, s.path)
		clear(b[len(b)/2 : len(b)/2+4096])
		if err := os.WriteFile(s.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	missing := func(t *testing.T, s *Store) { // a value, which a copy does not notice
		for _, statement := range []string{
			"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = replace(sql, 'removed  INTEGER', 'removed  INTEGER NOT NULL') WHERE name = 'users'",
		} {
			if _, err := s.conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, damage := range map[string]func(*testing.T, *Store){"a hole": hole, "a missing value": missing} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, "alice")
			for n := range 200 {
				mustSend(t, s, "alice", "alice", strings.Repeat(fmt.Sprint(n), 100))
			}
			damage(t, s)
			file := filepath.Join(t.TempDir(), "copy")
			err := (&Store{path: s.path}).Backup(t.Context(), file)
			if !Damaged(err) && !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
			if got := beside(t, file); got != "" {
				t.Errorf("there is %s", got)
			}
		})
	}
}

// The newest messages of a server that was killed are in the write-ahead log. The old database keeps
// them.
func TestRestoreKeepsTheLogOfACrash(t *testing.T) {
	s := newStore(t, "alice")
	b := backup(t, s)
	mustSend(t, s, "alice", "alice", "in the log")
	path := filepath.Join(t.TempDir(), "skarod.db")
	for _, side := range []string{"", "-wal"} {
		if err := os.WriteFile(path+side, copyOf(t, s.path+side), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	restore(t, path, b)
	kept := open(t, path+".old-1")
	if got, _ := updates(t, kept, id(t, kept, "alice"), 0, 10); got != "alice>alice:in the log" {
		t.Errorf("kept is %s", got)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	// What can't be read is kept as well.
	if err := os.WriteFile(path, bytes.Repeat([]byte("damaged "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if done := restore(t, path, b); !Damaged(done.Unread) || done.Kept != path+".old-2" {
		t.Errorf("%+v", done)
	}
	if runtime.GOOS == "windows" {
		return // it renames no open file
	}
	// A log that another process has open goes with its database, and not into the new one.
	open(t, path)
	restore(t, path, b)
	if got := beside(t, path); got != "skarod.db skarod.db.old-1 skarod.db.old-2 skarod.db.old-3 skarod.db.old-3-shm skarod.db.old-3-wal" {
		t.Errorf("there is %s", got)
	}
}

// A file that is not a backup changes nothing.
func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	s := newStore(t, "alice")
	for n := range 200 {
		mustSend(t, s, "alice", "alice", strings.Repeat(fmt.Sprint(n), 100))
	}
	whole := backup(t, s)
	foreign := newStore(t)
	if err := foreign.perform(func() error { return foreign.exec("DROP TABLE messages") }); err != nil {
		t.Fatal(err)
	}
	tomorrow := newStore(t)
	if err := tomorrow.perform(func() error { return tomorrow.exec(fmt.Sprintf("PRAGMA user_version = %d", len(schema)+1)) }); err != nil {
		t.Fatal(err)
	}
	raw := func(s *Store) []byte {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return copyOf(t, s.path)
	}
	hole := bytes.Clone(whole)
	clear(hole[len(hole)/2 : len(hole)/2+4096])
	path := filepath.Join(t.TempDir(), "data", "skarod.db")
	if _, err := Open(path); err != nil {
		t.Fatal(err)
	}
	before, content := beside(t, path), copyOf(t, path)
	for what, c := range map[string]struct {
		b    []byte
		says string
	}{
		"nothing":         {nil, "the file is empty"},
		"text":            {bytes.Repeat([]byte("text "), 1000), "it is not a database of skarod"},
		"another":         {raw(foreign), "it is not a database of skarod"},
		"half of one":     {whole[:len(whole)/8192*4096], "damaged"},
		"one with a hole": {hole, "damaged"},
		"a newer one":     {raw(tomorrow), "newer skarod"},
	} {
		if done, err := Restore(t.Context(), path, bytes.NewReader(c.b), now); err == nil || !strings.Contains(err.Error(), c.says) || done.Kept != "" {
			t.Errorf("%s: %+v, %v", what, done, err)
		}
		if got := beside(t, path); got != before {
			t.Errorf("%s: there is %s", what, got)
		}
	}
	if !bytes.Equal(copyOf(t, path), content) {
		t.Error("the database has changed")
	}
	silent, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := Restore(ctx, path, silent, now); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent pipe: %v", err)
	}
	if got := beside(t, path); got != before {
		t.Errorf("there is %s", got)
	}
}

// An empty file, as a failed copy leaves it, does not become a new database.
func TestEmptyFileIsNoNewDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skarod.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrEmpty) {
		t.Errorf("%v", err)
	}
	whole := backup(t, newStore(t, "alice"))
	if done := restore(t, path, whole); done.Kept != "" {
		t.Errorf("%+v", done)
	}
	open(t, path)
}

// A write-ahead log without its database is not used for another one, restored or new.
func TestLostLogGoesIntoNoOtherDatabase(t *testing.T) {
	s := newStore(t, "alice")
	b := backup(t, s)
	mustSend(t, s, "alice", "alice", "in the log")
	path := filepath.Join(t.TempDir(), "skarod.db")
	if err := os.WriteFile(path+"-wal", copyOf(t, s.path+"-wal"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrLostLog) {
		t.Errorf("a new database: %v", err)
	}
	if done, err := Restore(t.Context(), path, bytes.NewReader(b), now); !errors.Is(err, ErrLostLog) || done.Kept != "" {
		t.Errorf("a backup: %+v, %v", done, err)
	}
	if got := beside(t, path); got != "skarod.db-wal" {
		t.Errorf("there is %s", got)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // a copy that failed
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), path, bytes.NewReader(b), now); !errors.Is(err, ErrLostLog) {
		t.Errorf("a backup in the place of an empty file: %v", err)
	}
}

// Processes that create the same database at the same time create one.
func TestProcessesCreateOneDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skarod.db")
	errs := make(chan error, 4)
	for n := range cap(errs) {
		go func() {
			s, err := Open(path)
			if err == nil {
				err = errors.Join(s.CreateConference(fmt.Sprint("c", n), nil, now), s.Close())
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if list, err := open(t, path).Conferences(t.Context()); err != nil || len(list) != cap(errs) {
		t.Errorf("%v, %v", list, err)
	}
	if got := beside(t, path); got != "skarod.db skarod.db-shm skarod.db-wal" {
		t.Errorf("there is %s", got)
	}
}
