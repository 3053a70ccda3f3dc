package store

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	name := "50% of #1? ü"
	if runtime.GOOS == "windows" { // it has no such names
		name = strings.ReplaceAll(name, "?", "")
	}
	odd := filepath.Join(dir, name)
	s := open(t, filepath.Join(odd, "skarod.db"))
	if err := s.AddUser("alice", newToken("x"), now); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(odd); err != nil || len(entries) != 1 || entries[0].Name() != "skarod.db" {
		t.Errorf("after Close there are %v, %v", entries, err)
	}

	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("This is not a database. ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(text); !Damaged(err) {
		t.Errorf("a text file: %v", err)
	}
	if b, _ := os.ReadFile(text); len(b) != 2400 {
		t.Errorf("the text file was changed: %d bytes", len(b))
	}

	newer := filepath.Join(odd, "skarod.db")
	s = open(t, newer)
	if err := s.perform(func() error { return s.exec("PRAGMA user_version = 99") }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(newer); err == nil || !strings.Contains(err.Error(), "newer skarod") {
		t.Errorf("a newer database: %v", err)
	}
}

func TestErrorsOfSQLiteAreInWords(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("This is not a database. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(text)
	if said := InWords(fmt.Errorf("open %s: %w", text, err)); said.Error() != "open "+text+": the file is not a database" || !Damaged(said) {
		t.Errorf("%v", said)
	}
	for _, err := range []error{nil, ErrEmpty} {
		if InWords(err) != err {
			t.Errorf("%v becomes another error", err)
		}
	}
}

// What is confirmed is on disk: SQLite waits for the disk at every commit (synchronous=FULL is 2).
func TestEveryCommitWaitsForTheDisk(t *testing.T) {
	s := newStore(t)
	var synchronous int
	var journal string
	if err := s.perform(func() error {
		return errors.Join(s.row("PRAGMA synchronous").Scan(&synchronous), s.row("PRAGMA journal_mode").Scan(&journal))
	}); err != nil {
		t.Fatal(err)
	}
	if synchronous != 2 || journal != "wal" {
		t.Errorf("synchronous is %d, the journal is %s", synchronous, journal)
	}
}

// The write-ahead log grows while something reads the database at one moment, as a backup
// does. Afterwards it is small again.
func TestWriteAheadLogShrinksAfterABackup(t *testing.T) {
	s := newStore(t, "alice")
	fill := func() int64 {
		t.Helper()
		body := strings.Repeat("x", 256<<10)
		for range maxWAL/len(body) + 1 {
			mustSend(t, s, "alice", "alice", body)
		}
		info, err := os.Stat(s.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	reader, err := s.read.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.ExecContext(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	var users int
	if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM users").Scan(&users); err != nil {
		t.Fatal(err)
	}
	if size := fill(); size <= maxWAL {
		t.Fatalf("while the database is read, the log has only %d bytes", size)
	}
	if _, err := reader.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if size := fill(); size > maxWAL {
		t.Errorf("afterwards, the log has %d bytes", size)
	}
}

// A database of an earlier version keeps everything.
func TestOpenMigratesEarlierVersions(t *testing.T) {
	for version := 1; version < len(schema); version++ {
		path := filepath.Join(t.TempDir(), "skarod.db")
		old, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range append(schema[:version:version], fmt.Sprintf("PRAGMA user_version = %d", version),
			"INSERT INTO users (login, token, created) SELECT value, zeroblob(128), 1 FROM json_each('[\"alice\", \"bob\"]')",
			"INSERT INTO messages (date, sender, recipient, body) VALUES (1, 1, 2, 'from of old')",
			"INSERT INTO contacts VALUES (1, 2), (2, 1)") {
			if _, err := old.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		code, err := s.CreateInvite(now, now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Redeem(code, "carol", newToken("x"), now); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateConference("ops", []string{"alice", "carol"}, now); err != nil {
			t.Fatal(err)
		}
		mustSend(t, s, "alice", "ops", "new")
		if policy, err := s.Registration(t.Context()); err != nil || policy != "" {
			t.Errorf("version %d: %q, %v", version, policy, err)
		}
		if users, err := s.Users(t.Context(), now); err != nil || len(users) != 3 {
			t.Errorf("version %d: %v, %v", version, users, err)
		}
		if got, _ := updates(t, s, id(t, s, "alice"), 0, 10); got != "alice>bob:from of old alice>ops:new" {
			t.Errorf("version %d: %s", version, got)
		}
		if c, err := s.Contacts(t.Context(), id(t, s, "bob")); err != nil || logins(c) != "alice" {
			t.Errorf("version %d: %v, %v", version, c, err)
		}
	}
}

func TestCloseWaitsForWrites(t *testing.T) {
	s := newStore(t, "alice")
	alice := id(t, s, "alice")
	var confirmed int
	for range 1000 {
		s.Send(Message{Sender: alice, To: "alice", Body: "x", Date: now}, func(_ Stored, err error) {
			if err != nil {
				t.Error(err)
			}
			confirmed++
		})
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil || confirmed != 1000 {
		t.Errorf("%d of 1000 are confirmed, %v", confirmed, err)
	}
	if _, err := send(s, Message{Sender: alice, To: "alice", Body: "x", Date: now}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("it answers after Close")
	}
}
