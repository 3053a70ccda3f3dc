package store

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

func TestLoginHasOneForm(t *testing.T) {
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
		"a,b": {"a,b", "a comma separates two logins"}, ",": {",", "comma"}, "A，b": {"a,b", "comma"},
		"-a": {"-a", "it looks like a flag"}, "--": {"--", "flag"},
		"admin": {"admin", "it is reserved"}, "ROOT": {"root", "reserved"}, "Ａdmin": {"admin", "reserved"}, ".": {".", "reserved"}, "..": {"..", "reserved"}, "%": {"%", "reserved"},
		"bоb": {"bоb", "it mixes letters of several scripts"}, "раураl": {"раураl", "scripts"}, "αlice": {"αlice", "scripts"}, "Ꭺdmin": {"ꭺdmin", "scripts"}, // Cyrillic, Greek, Cherokee
		"ひкa": {"ひкa", "scripts"}, "ㄅひ": {"ㄅひ", "scripts"}, "한ひ": {"한ひ", "scripts"}, "bob२": {"bob२", "scripts"},
	} {
		if got, err := Login(in); got != "" || err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("a new account %q: %q, %v", in, got, err)
		}
		if got, err := LoginForm(in); got != c.form || err != nil {
			t.Errorf("an old account %q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"a-b-", "administrator", "...", "%a", "боб", "борис2", "αλίκη", "मोहन२", "john東京", "東京タワー", "ひらがなカタカナ漢字", "한국漢字a", "ㄅ漢字a", "עִבְרִית", "محمد", "ไทย", "naïve_1",
	} {
		if got, err := Login(in); got != norm.NFC.String(in) || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
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

func TestChangesOfAccountsTakeEffect(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, "bob", "alice")
	if err := s.AddUser("bob", newToken("x"), now); !errors.Is(err, ErrTaken) {
		t.Errorf("twice: %v", err)
	}
	for _, err := range []error{s.RemoveUser("nobody", now), s.SetToken("nobody", newToken("x"))} {
		if !errors.Is(err, ErrNoUser) {
			t.Errorf("an unknown login: %v", err)
		}
	}
	before, err := s.User(ctx, "bob")
	if err != nil || !before.Token.Verify("T", newToken("secret of bob").Answer("T")) {
		t.Fatalf("%+v, %v", before, err)
	}
	if err := s.SetToken("bob", newToken("new")); err != nil {
		t.Fatal(err)
	}
	after, err := s.User(ctx, "bob")
	if err != nil || after.ID != before.ID || after.Revision <= before.Revision || after.Token != newToken("new") {
		t.Fatalf("%+v, %v", after, err)
	}
	users, err := s.Users(ctx, now)
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

// The messages of a removed user stay with the other side. A new account with the same login has
// none of them.
func TestRemovedUserLeavesItsMessages(t *testing.T) {
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
	if err := s.AddUser("alice", newToken("x"), now); err != nil {
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

// A login does not wait for the other readers.
func TestLoginsHaveAReaderOfTheirOwn(t *testing.T) {
	s := newStore(t, "alice")
	for range Readers {
		c, err := s.read.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if u, err := s.User(t.Context(), "alice"); err != nil || u.Login != "alice" {
		t.Errorf("%+v, %v", u, err)
	}
}
