package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Every old message goes, and no young one, in whatever order their dates are. The ids go on, also
// if the newest message is old.
func TestPruneDeletesEveryOldMessage(t *testing.T) {
	s := newStore(t, "alice", "bob")
	alice := id(t, s, "alice")
	const old = 2*deleteBatch + 3
	put := func(body string, date time.Time) Stored {
		t.Helper()
		fields, err := proto.NewFields(map[string]any{proto.FieldTitle: body})
		if err != nil {
			t.Fatal(err)
		}
		stored, err := send(s, Message{Sender: alice, To: "bob", Body: body, Fields: fields, Date: date})
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	put("young 1", now)
	for n := range old {
		put(fmt.Sprint("secret ", n), now.Add(-time.Hour))
	}
	put("young 2", now)
	newest := put("secret newest", now.Add(-time.Hour))
	prune := func(before time.Time, want int64) {
		t.Helper()
		if n, err := s.Prune(t.Context(), before); err != nil || n != want {
			t.Errorf("%d are deleted, %v", n, err)
		}
	}
	prune(now.Add(-time.Hour), 0) // none is older
	prune(now, old+1)
	prune(now, 0)
	if got, more := updates(t, s, alice, 0, 10); got != "alice>bob:young 1 alice>bob:young 2" || more {
		t.Errorf("there is %s", got)
	}
	if last, err := s.LastID(t.Context()); err != nil || last != newest.ID {
		t.Errorf("the last id is %d, %v", last, err)
	}
	if next := put("next", now); next.ID != newest.ID+1 {
		t.Errorf("the next id is %d", next.ID)
	}
	path := s.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if b := copyOf(t, path); bytes.Contains(b, []byte("secret")) || !bytes.Contains(b, []byte("young")) {
		t.Error("what was deleted can be read in the file")
	}
}

// A pruned database can be empty, and can be pruned and restored.
func TestPruneLeavesAGoodDatabase(t *testing.T) {
	s := newStore(t, "alice")
	if n, err := s.Prune(t.Context(), now); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	mustSend(t, s, "alice", "alice", "x")
	if n, err := s.Prune(t.Context(), now.Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	b := backup(t, s)
	path := s.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if done := restore(t, path, b); done.Above != 1+idGap {
		t.Errorf("%+v", done)
	}
}

// Full reports whether SQLite had no room.
func TestFullDiskIsRecognized(t *testing.T) {
	s := newStore(t, "alice", "bob")
	if err := s.perform(func() error { return s.exec("PRAGMA max_page_count = 1") }); err != nil {
		t.Fatal(err)
	}
	_, err := send(s, Message{Sender: id(t, s, "alice"), To: "bob", Body: strings.Repeat("x", 100_000), Date: now})
	if !Full(err) || Full(errors.New("full")) || Full(nil) {
		t.Errorf("%v", err)
	}
}

// A transaction of Prune deletes a bounded number of messages, and of bytes.
func TestPruneDeletesInSmallTransactions(t *testing.T) {
	fieldCost := deleteBytes / (deleteBatch - 1) // with it, a transaction has one message less
	for _, test := range []struct{ size, fields, messages, commits int }{
		{1, 0, 2*deleteBatch + 1, 3}, {deleteBytes / 4, 0, 9, 3}, {2 * deleteBytes, 0, 3, 3}, {1, fieldCost, 2 * deleteBatch, 3},
	} {
		s := newStore(t, "alice", "bob")
		alice := id(t, s, "alice")
		body, fields := strings.Repeat("x", test.size), proto.Fields(strings.Repeat("x", test.fields)) // whatever they are
		done := make(chan error, test.messages)
		for range test.messages {
			s.Send(Message{Sender: alice, To: "bob", Body: body, Fields: fields, Date: now}, func(_ Stored, err error) { done <- err })
		}
		for range test.messages {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		mustSend(t, s, "alice", "bob", "the newest")
		commits := 0
		s.OnCommit(func(int, time.Duration) { commits++ })
		if n, err := s.Prune(t.Context(), now.Add(time.Second)); err != nil || n != int64(test.messages)+1 {
			t.Errorf("%d are deleted, %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if want := test.commits + 1; commits != want { // one for the newest
			t.Errorf("%d messages of %d and %d bytes: %d transactions instead of %d", test.messages, test.size, test.fields, commits, want)
		}
	}
}
