package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
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

func newStore(t testing.TB, logins ...string) *Store {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "data", "skarod.db"))
	for _, login := range logins {
		if err := s.AddUser(login, proto.NewToken("secret of "+login), now); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func id(t testing.TB, s *Store, login string) int64 {
	t.Helper()
	u, err := s.User(context.Background(), login)
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}

func send(s *Store, l Message) (Stored, error) {
	type outcome struct {
		stored Stored
		err    error
	}
	done := make(chan outcome, 1)
	s.Send(l, func(stored Stored, err error) { done <- outcome{stored, err} })
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

func bodies(list []proto.Message) string {
	var b []string
	for _, m := range list {
		b = append(b, m.From+">"+m.To+":"+m.Body)
	}
	return strings.Join(b, " ")
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	name := "50% of #1? ü"
	if runtime.GOOS == "windows" { // where no file is named so
		name = strings.ReplaceAll(name, "?", "")
	}
	odd := filepath.Join(dir, name)
	s := open(t, filepath.Join(odd, "skarod.db"))
	if err := s.AddUser("alice", proto.NewToken("x"), now); err != nil {
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

func TestLogin(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "Alice": "alice", "ＡＬＩＣＥ": "alice", "JÜRGEN": "jürgen", "Ju\u0308rgen": "jürgen",
		"a.b@c": "a.b@c", strings.Repeat("ж", 64): strings.Repeat("ж", 64),
		strings.Repeat("\U000110ab", 64): strings.Repeat("\U000110ab", 64), strings.Repeat("\u0ccb", 64): strings.Repeat("\u0ccb", 64), strings.Repeat("\u0cc6\u0cc2\u0cd5", 64): strings.Repeat("\u0ccb", 64), // the longest
		"": "", " ": "", "a b": "", "a\nb": "", "a\x00": "", "\xff": "", "a\u202eb": "", "😀": "", strings.Repeat("a", 65): "",
	} {
		got, err := Login(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
		if form, _ := LoginForm(in); form != got {
			t.Errorf("%q: the form %q", in, form)
		}
	}
	for in, c := range map[string]struct{ form, why string }{
		"a,b": {"a,b", "a comma stands between two logins"}, ",": {",", "comma"}, "A，b": {"a,b", "comma"},
		"-a": {"-a", "what begins with - is taken for a flag"}, "--": {"--", "flag"},
	} {
		if got, err := Login(in); got != "" || err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("a new account %q: %q, %v", in, got, err)
		}
		if got, err := LoginForm(in); got != c.form || err != nil {
			t.Errorf("an old account %q: %q, %v", in, got, err)
		}
	}
	if got, err := Login("a-b-"); got != "a-b-" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzLogin(f *testing.F) {
	f.Add("Alice")
	f.Add("ＡＬＩＣＥ\u0308")
	f.Fuzz(func(t *testing.T, text string) {
		login, err := Login(text)
		if err != nil {
			return
		}
		if again, err := Login(login); err != nil || again != login {
			t.Errorf("%q gives %q, which gives %q, %v", text, login, again, err)
		}
	})
}

func TestUsers(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, "bob", "alice")
	if err := s.AddUser("bob", proto.NewToken("x"), now); !errors.Is(err, ErrTaken) {
		t.Errorf("twice: %v", err)
	}
	for _, err := range []error{s.RemoveUser("nobody", now), s.SetToken("nobody", proto.NewToken("x"))} {
		if !errors.Is(err, ErrNoUser) {
			t.Errorf("nobody: %v", err)
		}
	}
	before, err := s.User(ctx, "bob")
	if err != nil || !before.Token.Verify("T", proto.NewToken("secret of bob").Answer("T")) {
		t.Fatalf("%+v, %v", before, err)
	}
	if err := s.SetToken("bob", proto.NewToken("new")); err != nil {
		t.Fatal(err)
	}
	after, err := s.User(ctx, "bob")
	if err != nil || after.ID != before.ID || after.Revision <= before.Revision || after.Token != proto.NewToken("new") {
		t.Fatalf("%+v, %v", after, err)
	}
	users, err := s.Users(ctx)
	if err != nil || len(users) != 2 || users[0].Login != "alice" || !users[0].Created.Equal(now) {
		t.Fatalf("%+v, %v", users, err)
	}
	if err := s.RemoveUser("alice", now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.User(ctx, "alice"); !errors.Is(err, ErrNoUser) {
		t.Errorf("removed: %v", err)
	}
	if _, err := s.UserByID(ctx, users[0].ID); !errors.Is(err, ErrNoUser) {
		t.Errorf("removed: %v", err)
	}
}

// updates is what a user sees with no bound on the bytes.
func updates(t testing.TB, s *Store, user, after int64, limit int) (string, bool) {
	t.Helper()
	list, more, err := s.Updates(context.Background(), user, Page{After: after, Limit: limit, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return bodies(list), more
}

// A removed user's messages stay with the other side; a new account with the same
// login has none of them.
func TestRemovedUser(t *testing.T) {
	s := newStore(t, "alice", "bob")
	alice, bob := id(t, s, "alice"), id(t, s, "bob")
	mustSend(t, s, "alice", "bob", "1")
	mustSend(t, s, "bob", "alice", "2")
	if err := s.RemoveUser("alice", now); err != nil {
		t.Fatal(err)
	}
	if _, err := send(s, Message{Sender: bob, To: "alice", Body: "3", Date: now}); !errors.Is(err, ErrNoUser) {
		t.Errorf("to a removed user: %v", err)
	}
	if c, err := s.Contacts(t.Context(), bob); err != nil || len(c) != 0 {
		t.Errorf("contacts: %v, %v", c, err)
	}
	if err := s.AddUser("alice", proto.NewToken("x"), now); err != nil {
		t.Fatal(err)
	}
	again := id(t, s, "alice")
	if again == alice {
		t.Fatal("the new account has the id of the old one")
	}
	mustSend(t, s, "bob", "alice", "4")
	if got, _ := updates(t, s, again, 0, 10); got != "bob>alice:4" {
		t.Errorf("the new account sees %s", got)
	}
	if got, _ := updates(t, s, bob, 0, 10); got != "alice>bob:1 bob>alice:2 bob>alice:4" {
		t.Errorf("the other side sees %s", got)
	}
}

func logins(list []Contact) string {
	var names []string
	for _, c := range list {
		names = append(names, c.Login)
	}
	return strings.Join(names, " ")
}

func TestContacts(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, "alice", "bob", "carol")
	alice, bob, carol := id(t, s, "alice"), id(t, s, "bob"), id(t, s, "carol")
	known := func(user int64) string {
		t.Helper()
		list, err := s.Contacts(ctx, user)
		if err != nil {
			t.Fatal(err)
		}
		return logins(list)
	}
	for range 2 { // a second time changes nothing
		if err := s.AddContact(alice, carol); err != nil {
			t.Fatal(err)
		}
	}
	mustSend(t, s, "alice", "bob", "1")
	if known(alice) != "bob carol" || known(bob) != "alice" || known(carol) != "" {
		t.Errorf("%q, %q, %q", known(alice), known(bob), known(carol))
	}
	if err := s.RemoveContact(alice, bob); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveContact(alice, bob); !errors.Is(err, ErrNoContact) {
		t.Errorf("twice: %v", err)
	}
	if known(alice) != "carol" || known(bob) != "alice" {
		t.Errorf("%q, %q", known(alice), known(bob))
	}
	mustSend(t, s, "bob", "alice", "2")
	if known(alice) != "bob carol" {
		t.Errorf("after the next message: %q", known(alice))
	}
}

func TestSearch(t *testing.T) {
	s := newStore(t, "alice", "bob", "100%", "a_b", "a'b", `a"b`, "a\\b", "jürgen", "straße", "gone")
	if err := s.RemoveUser("gone", now); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"LIC": "alice", "ob": "bob", "%": "100%", "_": "a_b", "'": "a'b", `"`: `a"b`, "\\": "a\\b", "%%": "", "b": `a"b a'b a\b a_b bob`,
		"JU\u0308R": "jürgen", "ｂｏｂ": "bob", "STRASSE": "", "straß": "straße", "gon": "", "o b": "", "' OR 1=1 --": "", "\x00": "", "\xff": "", "*": "",
	} {
		list, more, err := s.Search(t.Context(), text, 100)
		if logins(list) != want || more || err != nil {
			t.Errorf("%q finds %q, %v, %v, not %q", text, logins(list), more, err, want)
		}
	}
	if list, more, err := s.Search(t.Context(), "b", 2); len(list) != 2 || !more || err != nil {
		t.Errorf("with a limit: %v, %v, %v", list, more, err)
	}
}

func TestInvites(t *testing.T) {
	s := newStore(t, "alice")
	token := proto.NewToken("x")
	later := now.Add(time.Hour)
	code, err := s.CreateInvite(now, later)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "x", code[1:], "1"} {
		if err := s.Redeem(wrong, "bob", token, now); !errors.Is(err, ErrNoInvite) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := s.Redeem(code, "bob", token, later); !errors.Is(err, ErrNoInvite) {
		t.Errorf("too late: %v", err)
	}
	if err := s.Redeem(code, "alice", token, now); !errors.Is(err, ErrTaken) {
		t.Errorf("a login that is taken: %v", err)
	}
	// Of several who come with one code, one gets in.
	outcomes := make(chan error)
	for i := range 8 {
		go func() {
			outcomes <- s.Redeem(strings.ReplaceAll(strings.ToUpper(code), "-", " "), fmt.Sprintf("bob%d", i), token, now)
		}()
	}
	in := 0
	for range 8 {
		if err := <-outcomes; err == nil {
			in++
		} else if !errors.Is(err, ErrNoInvite) {
			t.Errorf("the others: %v", err)
		}
	}
	users, err := s.Users(t.Context())
	if in != 1 || len(users) != 2 || err != nil {
		t.Errorf("%d got in, users %v, %v", in, users, err)
	}
	list, err := s.Invites(t.Context())
	if err != nil || len(list) != 1 || list[0].User != users[1].Login || !list[0].Created.Equal(now) || !list[0].Expires.Equal(later) {
		t.Errorf("%+v, %v", list, err)
	}
	for _, which := range []string{code, "1"} {
		if err := s.RevokeInvite(which); !errors.Is(err, ErrInviteUsed) {
			t.Errorf("revoke a used one: %v", err)
		}
	}
	code, _ = s.CreateInvite(now, later)
	if err := s.RevokeInvite("2"); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if err := s.Redeem(code, "bobby", token, now); !errors.Is(err, ErrNoInvite) {
		t.Errorf("a revoked one: %v", err)
	}
	if err := s.RevokeInvite(code); !errors.Is(err, ErrNoInvite) {
		t.Errorf("revoke twice: %v", err)
	}
}

// A database of an earlier version is brought to this one, with all that is in it.
func TestMigrate(t *testing.T) {
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
		if err := s.Redeem(code, "carol", proto.NewToken("x"), now); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateConference("ops", []string{"alice", "carol"}, now); err != nil {
			t.Fatal(err)
		}
		mustSend(t, s, "alice", "ops", "new")
		if users, err := s.Users(t.Context()); err != nil || len(users) != 3 {
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

// A change by another process is seen at once by the next message, and is told
// of soon.
func TestTwoProcesses(t *testing.T) {
	s := newStore(t, "alice", "bob")
	told := make(chan struct{}, 100)
	s.OnForeignWrite(func() { told <- struct{}{} })
	other := open(t, s.path)
	mustSend(t, s, "alice", "bob", "1") // the writer knows bob now
	if len(told) != 0 {
		t.Error("our own write counts as another's")
	}
	if err := other.RemoveUser("bob", now); err != nil {
		t.Fatal(err)
	}
	if _, err := send(s, Message{Sender: id(t, s, "alice"), To: "bob", Body: "2", Date: now}); !errors.Is(err, ErrNoUser) {
		t.Errorf("to a user whom another process removed: %v", err)
	}
	<-told
	if err := other.AddUser("carol", proto.NewToken("x"), now); err != nil {
		t.Fatal(err)
	}
	<-told // nobody writes here: the ticker looks
	mustSend(t, s, "alice", "carol", "3")
	members := func(body string) string {
		t.Helper()
		return fmt.Sprint(mustSend(t, s, "alice", "ops", body).Members)
	}
	alice, carol := id(t, s, "alice"), id(t, s, "carol")
	if err := other.CreateConference("ops", []string{"alice"}, now); err != nil {
		t.Fatal(err)
	}
	if got := members("4"); got != fmt.Sprint([]int64{alice}) {
		t.Errorf("members %s", got)
	}
	if _, err := other.AddMembers("ops", []string{"carol"}); err != nil {
		t.Fatal(err)
	}
	if got := members("5"); got != fmt.Sprint([]int64{alice, carol}) {
		t.Errorf("members %s", got)
	}
	if err := other.RemoveMembers("ops", []string{"alice"}); err != nil {
		t.Fatal(err)
	}
	if _, err := send(s, Message{Sender: alice, To: "ops", Body: "6", Date: now}); !errors.Is(err, ErrNotMember) {
		t.Errorf("from a member whom another process removed: %v", err)
	}
	if err := other.DeleteConference("ops", now); err != nil {
		t.Fatal(err)
	}
	if _, err := send(s, Message{Sender: carol, To: "ops", Body: "7", Date: now}); !errors.Is(err, ErrNoUser) {
		t.Errorf("to a conference that another process deleted: %v", err)
	}
}

func TestBodies(t *testing.T) {
	s := newStore(t, "alice", "bob")
	for _, body := range []string{" ", "a\x00b", "\x00", "\n", "😀", "'; DROP TABLE messages; --", strings.Repeat("x", 1<<20)} {
		sent := mustSend(t, s, "alice", "bob", body)
		list, _, err := s.History(t.Context(), id(t, s, "bob"), id(t, s, "alice"), Page{After: sent.ID - 1, Limit: 1, Bytes: 1})
		if err != nil || len(list) != 1 || list[0].Body != body || !list[0].Date.Time.Equal(now) {
			t.Errorf("%.30q comes back as %.30q, %v", body, bodies(list), err)
		}
	}
}

func TestHistory(t *testing.T) {
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

func TestUpdates(t *testing.T) {
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

// However long the tables are, a page is read from the indexes in order. What is
// sorted of updates are the ids of each conference that there is room for.
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

func TestNonces(t *testing.T) {
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
	if other, err := send(s, Message{Sender: bob, To: "bob", Body: "hi", Nonce: l.Nonce, Date: now}); err != nil || other.Repeated {
		t.Errorf("the same nonce from another user: %+v, %v", other, err)
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
	if err := s.AddUser("bob", proto.NewToken("bob"), now); err != nil {
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

func nonces(t testing.TB, s *Store) (n int) {
	t.Helper()
	if err := s.read.QueryRow("SELECT count(nonce) FROM messages").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Pruning gets on, however many there are, and leaves the young ones alone.
func TestPruneNonces(t *testing.T) {
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

func TestSessions(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, "alice", "bob", "carol")
	put := func(x Session) error {
		done := make(chan error, 1)
		s.AddSession(x, func(err error) { done <- err })
		return <-done
	}
	var list []Session
	for i, login := range []string{"alice", "alice", "bob", "carol"} {
		u, err := s.User(ctx, login)
		if err != nil {
			t.Fatal(err)
		}
		x := Session{SID: [32]byte{byte(i)}, User: u.ID, Revision: u.Revision}
		if i == 1 {
			x.Ended = now
		}
		if err := put(x); err != nil {
			t.Fatal(err)
		}
		list = append(list, x)
	}
	s.DropSession(list[2].SID)
	if err := s.SetToken("carol", proto.NewToken("new")); err != nil {
		t.Fatal(err)
	}
	if err := put(list[3]); !errors.Is(err, ErrNoUser) {
		t.Errorf("a session that was made with the old password: %v", err)
	}
	alive := now.Add(time.Minute)
	if err := s.Alive(alive); err != nil {
		t.Fatal(err)
	}
	got, err := s.Sessions(ctx, now)
	if err != nil || len(got) != 2 || got[0].SID != list[0].SID || !got[0].Ended.Equal(alive) || got[1].SID != list[1].SID || !got[1].Ended.Equal(now) || got[0].Revision != list[0].Revision {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := s.Sessions(ctx, now.Add(time.Microsecond)); err != nil || len(got) != 1 || got[0].SID != list[0].SID {
		t.Errorf("of those that have not ended before: %+v, %v", got, err)
	}
	if got, err := s.Sessions(ctx, now); err != nil || len(got) != 1 {
		t.Errorf("what was too old is there: %+v, %v", got, err)
	}
	if err := s.RemoveUser("alice", now); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Sessions(ctx, now); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A change of a session that was dropped meanwhile does not bring it back.
func TestUpdateBringsNoDroppedSessionBack(t *testing.T) {
	s := newStore(t, "alice")
	u, err := s.User(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	kept, dropped := Session{SID: [32]byte{1}, User: u.ID, Revision: u.Revision}, Session{SID: [32]byte{2}, User: u.ID, Revision: u.Revision}
	for _, x := range []Session{kept, dropped} {
		done := make(chan error, 1)
		s.AddSession(x, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	s.DropSession(dropped.SID)
	for _, x := range []Session{kept, dropped} {
		x.Ended = now
		s.UpdateSession(x)
	}
	if got, err := s.Sessions(t.Context(), now); err != nil || len(got) != 1 || got[0].SID != kept.SID || !got[0].Ended.Equal(now) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A full disk refuses what does not fit, and nothing else is lost.
func TestFullDisk(t *testing.T) {
	s := newStore(t, "alice", "bob")
	mustSend(t, s, "alice", "bob", "before")
	limit := func(pages int) {
		t.Helper()
		if err := s.perform(func() error { return s.exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)) }); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite takes this as: no larger than now
	alice := id(t, s, "alice")
	if _, err := send(s, Message{Sender: alice, To: "bob", Body: strings.Repeat("x", 100_000), Date: now}); err == nil || errors.Is(err, ErrNoUser) {
		t.Errorf("with no room: %v", err)
	}
	limit(1 << 30)
	if sent := mustSend(t, s, "alice", "bob", "after"); sent.ID != 2 {
		t.Errorf("the next id is %d", sent.ID)
	}
	if got, _ := updates(t, s, alice, 0, 10); got != "alice>bob:before alice>bob:after" {
		t.Errorf("%s", got)
	}
}

// One write that the database refuses takes its whole group with it, and nothing
// of the group is there afterwards.
func TestFailedGroup(t *testing.T) {
	s := newStore(t, "alice", "bob")
	alice := id(t, s, "alice")
	broken := errors.New("broken")
	outcome := make(chan error, 3)
	// The first of these keeps the writer busy until the rest is queued.
	started, queued := make(chan struct{}), make(chan struct{})
	s.submit(func() error { close(started); <-queued; return nil }, func(err error) { outcome <- err })
	<-started
	s.Send(Message{Sender: alice, To: "bob", Body: "x", Date: now}, func(_ Stored, err error) { outcome <- err })
	s.submit(func() error { return broken }, func(err error) { outcome <- err })
	close(queued)
	for range 3 {
		if err := <-outcome; !errors.Is(err, broken) {
			t.Errorf("the outcome is %v", err)
		}
	}
	if got, _ := updates(t, s, alice, 0, 10); got != "" {
		t.Errorf("there is %s", got)
	}
	mustSend(t, s, "alice", "bob", "y")
	if c, err := s.Contacts(t.Context(), alice); err != nil || len(c) != 1 {
		t.Errorf("the contact was forgotten: %v, %v", c, err)
	}
}

func TestClose(t *testing.T) {
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

// While another process keeps the database to itself, everybody who waits is refused
// together, and so is who waits when the store is closed.
func TestLockedDatabase(t *testing.T) {
	s := newStore(t, "alice")
	alice := id(t, s, "alice")
	if err := s.perform(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 100"); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	begins := time.Now()
	if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	const waiting = 2000
	outcomes := make(chan error, waiting)
	for range waiting {
		s.Send(Message{Sender: alice, To: "alice", Body: "x", Date: now}, func(_ Stored, err error) { outcomes <- err })
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begins); took > waiting*100*time.Millisecond/2 {
		t.Errorf("each has waited for itself: it took %v", took)
	}
	for range waiting {
		if err := <-outcomes; err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("the outcome is %v", err)
		}
	}
}

// Completions run in the order of the ids, whoever sends.
func TestOrder(t *testing.T) {
	s := newStore(t, "alice", "bob")
	alice := id(t, s, "alice")
	var ids []int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				s.Send(Message{Sender: alice, To: "bob", Body: "x", Date: now}, func(stored Stored, _ error) { ids = append(ids, stored.ID) })
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(ids) != 2000 {
		t.Errorf("%d completions", len(ids))
	}
	for i, id := range ids {
		if id != int64(i+1) {
			t.Fatalf("the message %d completes as number %d", id, i+1)
		}
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
