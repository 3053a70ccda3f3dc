package store

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// now is the time of a test, unless it moves it.
var now = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.quit: // the test has closed it
			return
		default:
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// newStore is a new store with accounts.
func newStore(t testing.TB, logins ...string) *Store {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "data", "skarod.db"))
	for _, login := range logins {
		if err := s.AddUser(login, newToken("secret of "+login), now); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// id is the id of an account.
func id(t testing.TB, s *Store, login string) int64 {
	t.Helper()
	u, err := s.User(context.Background(), login)
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}

func send(s *Store, l Message) (Stored, error) {
	type result struct {
		stored Stored
		err    error
	}
	done := make(chan result, 1)
	s.Send(l, func(stored Stored, err error) { done <- result{stored, err} })
	o := <-done
	return o.stored, o.err
}

func mustSend(t testing.TB, s *Store, from, to, body string) Stored {
	t.Helper()
	sent, err := send(s, Message{Sender: id(t, s, from), To: to, Body: body, Date: now})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// bodies are messages as text.
func bodies(list []proto.Message) string {
	var b []string
	for _, m := range list {
		b = append(b, m.From+">"+m.To+":"+m.Body)
	}
	return strings.Join(b, " ")
}

// updates are the messages that a user sees, with no bound on their bytes.
func updates(t testing.TB, s *Store, user, after int64, limit int) (string, bool) {
	t.Helper()
	list, more, err := s.Updates(context.Background(), user, Page{After: after, Limit: limit, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return bodies(list), more
}

// logins are the logins of contacts, as text.
func logins(list []Contact) string {
	var names []string
	for _, c := range list {
		names = append(names, c.Login)
	}
	return strings.Join(names, " ")
}

// copyOf are the contents of a file.
func copyOf(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// backup is a backup of a store.
func backup(t testing.TB, s *Store) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "copy")
	if err := s.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	return copyOf(t, file)
}

// restore puts a backup in the place of a database.
func restore(t testing.TB, path string, b []byte) Restored {
	t.Helper()
	done, err := Restore(t.Context(), path, bytes.NewReader(b), now)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// beside are the names in the folder of a file.
func beside(t testing.TB, file string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// in sends a message to a conference, and returns its recipients.
func in(t testing.TB, s *Store, from, conference, body string) string {
	t.Helper()
	var to []string
	for _, member := range mustSend(t, s, from, conference, body).Members {
		u, err := s.UserByID(t.Context(), member)
		if err != nil {
			t.Fatal(err)
		}
		to = append(to, u.Login)
	}
	return strings.Join(to, " ")
}

// newToken makes the token of a password.
func newToken(password string) proto.Token {
	token, err := proto.NewToken(password)
	if err != nil {
		panic(err)
	}
	return token
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
