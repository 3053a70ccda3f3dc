package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestBodiesComeBackUnchanged(t *testing.T) {
	s := newStore(t, "alice", "bob")
	for _, body := range []string{" ", "a\x00b", "\x00", "\n", "😀", "'; DROP TABLE messages; --", strings.Repeat("x", 1<<20)} {
		sent := mustSend(t, s, "alice", "bob", body)
		list, _, err := s.History(t.Context(), id(t, s, "bob"), id(t, s, "alice"), Page{After: sent.ID - 1, Limit: 1, Bytes: 1})
		if err != nil || len(list) != 1 || list[0].Body != body || !list[0].Date.Time.Equal(now) {
			t.Errorf("%.30q comes back as %.30q, %v", body, bodies(list), err)
		}
	}
}

// newFields makes fields that are right.
func newFields(t testing.TB, values map[string]any) proto.Fields {
	t.Helper()
	f, err := proto.NewFields(values)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFieldsComeBackUnchanged(t *testing.T) {
	s := newStore(t, "alice", "bob")
	alice, bob := id(t, s, "alice"), id(t, s, "bob")
	all := []proto.Fields{"", newFields(t, map[string]any{"title": "a\x00é", "n": -1, "yes": true, "tags": []string{"x", ""}})}
	for _, fields := range all {
		if _, err := send(s, Message{Sender: alice, To: "bob", Body: "x", Fields: fields, Date: now}); err != nil {
			t.Fatal(err)
		}
	}
	for name, read := range map[string]func() ([]proto.Message, bool, error){
		"history": func() ([]proto.Message, bool, error) {
			return s.History(t.Context(), bob, alice, Page{Limit: 10, Bytes: 1 << 20})
		},
		"updates": func() ([]proto.Message, bool, error) {
			return s.Updates(t.Context(), bob, Page{Limit: 10, Bytes: 1 << 20})
		},
	} {
		list, _, err := read()
		if err != nil || len(list) != len(all) || list[0].Fields != all[0] || list[1].Fields != all[1] {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
	var without int
	if err := s.read.QueryRow("SELECT count(*) FROM messages WHERE fields IS NULL").Scan(&without); err != nil || without != 1 {
		t.Errorf("%d messages have NULL, %v", without, err)
	}
}

// Fields belong to a message as its body does: they count for the size of a page, and a
// repeated message has the same.
func TestFieldsArePartOfTheMessage(t *testing.T) {
	s := newStore(t, "alice")
	alice := id(t, s, "alice")
	m := Message{Sender: alice, To: "alice", Body: "x", Fields: newFields(t, map[string]any{"a": strings.Repeat("x", 1000)}), Nonce: "0123456789abcdef", Date: now}
	first, err := send(s, m)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := send(s, m); err != nil || !again.Repeated || again.ID != first.ID {
		t.Errorf("%+v, %v", again, err)
	}
	other := m
	other.Fields = ""
	if _, err := send(s, other); !errors.Is(err, ErrNonceUsed) {
		t.Errorf("without the fields: %v", err)
	}
	m.Nonce = ""
	if _, err := send(s, m); err != nil {
		t.Fatal(err)
	}
	if list, more, err := s.Updates(t.Context(), alice, Page{Limit: 10, Bytes: 1500}); err != nil || len(list) != 1 || !more {
		t.Errorf("%d messages, more %v, %v", len(list), more, err)
	}
}

func TestHistoryReturnsTheNewestOfAPage(t *testing.T) {
	s := newStore(t, "alice", "bob", "carol")
	alice, bob := id(t, s, "alice"), id(t, s, "bob")
	for i, m := range []string{"alice bob", "bob alice", "alice carol", "carol bob", "alice alice", "alice bob"} {
		from, to, _ := strings.Cut(m, " ")
		if sent := mustSend(t, s, from, to, fmt.Sprint(i+1)); sent.ID != int64(i+1) {
			t.Fatalf("message %d has the id %d", i+1, sent.ID)
		}
	}
	for _, c := range []struct {
		peer int64
		page Page
		want string
		more bool
	}{
		{bob, Page{Limit: 10}, "alice>bob:1 bob>alice:2 alice>bob:6", false},
		{bob, Page{Limit: 3}, "alice>bob:1 bob>alice:2 alice>bob:6", false},
		{bob, Page{Limit: 2}, "bob>alice:2 alice>bob:6", true},
		{bob, Page{Limit: 10, Before: 6}, "alice>bob:1 bob>alice:2", false},
		{bob, Page{Limit: 1, Before: 6}, "bob>alice:2", true},
		{bob, Page{Limit: 10, After: 1}, "bob>alice:2 alice>bob:6", false},
		{bob, Page{Limit: 10, After: 1, Before: 3}, "bob>alice:2", false},
		{bob, Page{Limit: 10, After: 6}, "", false},
		{bob, Page{Limit: 10, Bytes: 1}, "alice>bob:6", true},
		{bob, Page{Limit: 10, Bytes: 302}, "bob>alice:2 alice>bob:6", true},
		{alice, Page{Limit: 10}, "alice>alice:5", false},
	} {
		if c.page.Bytes == 0 {
			c.page.Bytes = 1 << 20
		}
		list, more, err := s.History(t.Context(), alice, c.peer, c.page)
		if got := bodies(list); err != nil || got != c.want || more != c.more {
			t.Errorf("%+v: %s, more %v, %v", c.page, got, more, err)
		}
	}
	contacts, err := s.Contacts(t.Context(), alice)
	if err != nil || len(contacts) != 2 || contacts[0] != (Contact{ID: bob, Login: "bob"}) || contacts[1].Login != "carol" {
		t.Errorf("%v, %v", contacts, err)
	}
}

func TestUpdatesReturnTheOldestOfAPage(t *testing.T) {
	s := newStore(t, "alice", "bob", "carol")
	alice := id(t, s, "alice")
	if got, more := updates(t, s, alice, 5, 10); got != "" || more {
		t.Errorf("an empty database: %s, %v", got, more)
	}
	for i, m := range []string{"alice bob", "bob alice", "carol bob", "alice alice", "bob carol"} {
		from, to, _ := strings.Cut(m, " ")
		mustSend(t, s, from, to, fmt.Sprint(i+1))
	}
	if last, err := s.LastID(t.Context()); err != nil || last != 5 {
		t.Errorf("the last id is %d, %v", last, err)
	}
	for _, c := range []struct {
		page Page
		want string
		more bool
	}{
		{Page{Limit: 10}, "alice>bob:1 bob>alice:2 alice>alice:4", false},
		{Page{Limit: 2}, "alice>bob:1 bob>alice:2", true},
		{Page{After: 2, Limit: 2}, "alice>alice:4", false},
		{Page{Before: 4, Limit: 10}, "alice>bob:1 bob>alice:2", false},
		{Page{Limit: 10, Bytes: 1}, "alice>bob:1", true},
		{Page{After: 4, Limit: 10}, "", false},
		{Page{After: 99, Limit: 10}, "", false},
	} {
		if c.page.Bytes == 0 {
			c.page.Bytes = 1 << 20
		}
		list, more, err := s.Updates(t.Context(), alice, c.page)
		if got := bodies(list); err != nil || got != c.want || more != c.more {
			t.Errorf("%+v: %s, more %v, %v", c.page, got, more, err)
		}
	}
}

// However long the tables are, a page is read from the indexes in order. Only updatesQuery sorts,
// and only ids of conferences, up to the limit.
func TestQueriesDoNotSort(t *testing.T) {
	s := newStore(t)
	for query, want := range map[string]struct{ ranges, sorts int }{historyQuery: {2, 0}, conferenceQuery: {1, 0}, updatesQuery: {3, 1}} {
		rows, err := s.read.Query("EXPLAIN QUERY PLAN "+query, 1, 2, 3, 4, 5)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var plan strings.Builder
		for rows.Next() {
			var a, b, c any
			var detail string
			if err := rows.Scan(&a, &b, &c, &detail); err != nil {
				t.Fatal(err)
			}
			plan.WriteString(detail + "\n")
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		sorted := strings.LastIndex(plan.String(), "SEARCH messages USING COVERING INDEX messages_recipient")
		if got := plan.String(); strings.Count(got, "TEMP B-TREE") != want.sorts || want.sorts > 0 && strings.Index(got, "TEMP B-TREE") < sorted ||
			strings.Contains(got, "SCAN") || strings.Count(got, "INDEX messages_") != want.ranges {
			t.Errorf("the plan of %s:\n%s", query, got)
		}
	}
}

func TestNonceStoresOneMessageInADay(t *testing.T) {
	s := newStore(t, "alice", "bob")
	alice, bob := id(t, s, "alice"), id(t, s, "bob")
	l := Message{Sender: alice, To: "bob", Body: "hi", Nonce: "0123456789abcdef", Date: now}
	first, err := send(s, l)
	if err != nil || first.Repeated {
		t.Fatalf("%+v, %v", first, err)
	}
	again := func(what string) {
		t.Helper()
		if again, err := send(s, l); err != nil || again.ID != first.ID || !again.Date.Equal(first.Date) || !again.Repeated {
			t.Errorf("%s: %+v, %v", what, again, err)
		}
	}
	l.Date = now.Add(time.Hour)
	again("again")
	for _, other := range []Message{
		{Sender: alice, To: "bob", Body: "ho", Nonce: l.Nonce, Date: now},
		{Sender: alice, To: "alice", Body: "hi", Nonce: l.Nonce, Date: now},
	} {
		if _, err := send(s, other); !errors.Is(err, ErrNonceUsed) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	ofBob := Message{Sender: bob, To: "bob", Body: "hi", Nonce: l.Nonce, Date: now}
	other, err := send(s, ofBob)
	if err != nil || other.Repeated || other.ID == first.ID {
		t.Errorf("the same nonce from another user: %+v, %v", other, err)
	}
	if again, err := send(s, ofBob); err != nil || !again.Repeated || again.ID != other.ID {
		t.Errorf("the same nonce from another user again: %+v, %v", again, err)
	}
	// Both in one group.
	var wg sync.WaitGroup
	var twice [2]Stored
	wg.Add(2)
	for i := range twice {
		s.Send(Message{Sender: alice, To: "bob", Body: "x", Nonce: "fedcba9876543210", Date: now}, func(stored Stored, err error) {
			if err != nil {
				t.Error(err)
			}
			twice[i] = stored
			wg.Done()
		})
	}
	wg.Wait()
	if twice[0].ID != twice[1].ID || twice[0].Repeated || !twice[1].Repeated {
		t.Errorf("in one group: %+v", twice)
	}
	if err := s.RemoveUser("bob", now); err != nil {
		t.Fatal(err)
	}
	again("after the recipient was removed")
	if _, err := send(s, Message{Sender: alice, To: "bob", Body: "hi", Nonce: "another of them.", Date: now}); !errors.Is(err, ErrNoUser) {
		t.Errorf("another after the recipient was removed: %v", err)
	}
	if err := s.AddUser("bob", newToken("bob"), now); err != nil {
		t.Fatal(err)
	}
	l.Date = now.Add(NonceLife)
	again("after exactly 24 hours")
	l.Date = now.Add(NonceLife + time.Microsecond)
	late, err := send(s, l)
	if err != nil || late.ID == first.ID || late.Repeated {
		t.Errorf("after more than 24 hours: %+v, %v", late, err)
	}
	if err := s.PruneNonces(now.Add(NonceLife + time.Microsecond)); err != nil {
		t.Fatal(err)
	}
	if n := nonces(t, s); n != 1 {
		t.Errorf("%d nonces are left", n)
	}
}

// A young nonce stays, also between old ones: the clock of the server may have been wrong for a
// while.
func TestPruneNoncesKeepsEveryYoungOne(t *testing.T) {
	s := newStore(t, "alice")
	alice := id(t, s, "alice")
	young := Message{Sender: alice, To: "alice", Body: "young", Nonce: "0123456789abcdef", Date: now.Add(time.Hour)}
	put := func(m Message) Stored {
		t.Helper()
		stored, err := send(s, m)
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	old := func(n int) {
		put(Message{Sender: alice, To: "alice", Body: "old", Nonce: fmt.Sprintf("%016d", n), Date: now})
	}
	old(1)
	first := put(young)
	old(2)
	last := young
	last.Nonce = "fedcba9876543210"
	put(last)
	prune := func(at time.Time, left int) {
		t.Helper()
		if err := s.PruneNonces(at); err != nil {
			t.Fatal(err)
		}
		if n := nonces(t, s); n != left {
			t.Errorf("%d nonces are left, not %d", n, left)
		}
	}
	prune(now.Add(NonceLife), 4) // exactly as old as they may be
	prune(now.Add(NonceLife+time.Minute), 2)
	if again := put(young); !again.Repeated || again.ID != first.ID {
		t.Errorf("%+v", again)
	}
	prune(now.Add(NonceLife+2*time.Hour), 1) // what is behind the last one that was looked at is looked at now
}

func nonces(t testing.TB, s *Store) (n int) {
	t.Helper()
	if err := s.read.QueryRow("SELECT count(nonce) FROM messages").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Pruning ends, however many nonces there are, and keeps the young ones.
func TestPruneNoncesForgetsAllOldOnes(t *testing.T) {
	s := newStore(t, "alice")
	alice := id(t, s, "alice")
	const old = 2*pruneBatch + 1
	var wg sync.WaitGroup
	for i := range old + 3 {
		date := now
		if i >= old {
			date = now.Add(time.Hour)
		}
		wg.Add(1)
		s.Send(Message{Sender: alice, To: "alice", Body: "x", Nonce: fmt.Sprintf("%016d", i), Date: date}, func(_ Stored, err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		})
	}
	wg.Wait()
	if err := s.PruneNonces(now.Add(NonceLife + time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n := nonces(t, s); n != 3 {
		t.Errorf("%d nonces are left", n)
	}
}

func BenchmarkSend(b *testing.B) {
	for _, c := range []struct {
		name  string
		nonce func(i int) string
	}{
		{"plain", func(int) string { return "" }},
		{"random nonces", func(i int) string { return fmt.Sprintf("%032x", uint64(i)*0x9e3779b97f4a7c15) }},
		{"counted nonces", func(i int) string { return fmt.Sprintf("run of one sender %09d", i) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newStore(b, "alice", "bob")
			l := Message{Sender: id(b, s, "alice"), To: "bob", Body: "disk almost full on web1: 97 % of /var is used", Date: now}
			var wg sync.WaitGroup
			b.ResetTimer()
			for i := range b.N {
				l.Nonce = c.nonce(i)
				wg.Add(1)
				s.Send(l, func(Stored, error) { wg.Done() })
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}
