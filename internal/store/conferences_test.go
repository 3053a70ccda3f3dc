package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// conferences are all conferences with their members, as text.
func conferences(t testing.TB, s *Store) string {
	t.Helper()
	list, err := s.Conferences(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range list {
		if !c.Created.Equal(now) {
			t.Errorf("%s was made at %v", c.Name, c.Created)
		}
		fmt.Fprint(&b, c.Name, c.Members)
	}
	return b.String()
}

// A change that is refused is refused as a whole, with an error that names the cause.
func TestConferenceChangesDoAllOrNothing(t *testing.T) {
	s := newStore(t, "alice", "bob", "carol")
	for _, c := range []struct {
		what string // a change, its subject and logins
		want error
		says string
		are  string // the conferences afterwards
	}{
		{"create ops bob alice", nil, "", "ops[alice bob]"},
		{"create dev", nil, "", "dev[]ops[alice bob]"},
		{"create ops", ErrIsConference, "", "dev[]ops[alice bob]"},
		{"create bob", ErrTaken, "", "dev[]ops[alice bob]"},
		{"create new alice dave ops", ErrNoUser, `"dave", "ops": no such user`, "dev[]ops[alice bob]"},
		{"add-user ops", ErrIsConference, "", "dev[]ops[alice bob]"},
		{"set-token ops", ErrNoUser, "", "dev[]ops[alice bob]"},
		{"remove-user ops", ErrNoUser, "", "dev[]ops[alice bob]"},
		{"add dev carol alice carol", nil, "", "dev[alice carol]ops[alice bob]"},
		{"add dev carol", nil, "", "dev[alice carol]ops[alice bob]"},
		{"add dev bob dave", ErrNoUser, `"dave": no such user`, "dev[alice carol]ops[alice bob]"},
		{"add nothing bob", ErrNoConference, "", "dev[alice carol]ops[alice bob]"},
		{"add alice bob", ErrNoConference, "", "dev[alice carol]ops[alice bob]"},
		{"remove dev carol bob", ErrNotMember, `"bob": not a member`, "dev[alice carol]ops[alice bob]"},
		{"remove dev carol dave", ErrNoUser, `"dave": no such user`, "dev[alice carol]ops[alice bob]"},
		{"remove dev carol alice carol", nil, "", "dev[]ops[alice bob]"},
		{"remove nothing carol", ErrNoConference, "", "dev[]ops[alice bob]"},
		{"delete alice", ErrNoConference, "", "dev[]ops[alice bob]"},
		{"delete dev", nil, "", "ops[alice bob]"},
		{"delete dev", ErrNoConference, "", "ops[alice bob]"},
		{"remove-user bob", nil, "", "ops[alice]"},
		{"add-user dev", nil, "", "ops[alice]"},
		{"create bob dev", nil, "", "bob[dev]ops[alice]"},
	} {
		words := strings.Split(c.what, " ")
		name, logins := words[1], words[2:]
		var err error
		switch words[0] {
		case "create":
			err = s.CreateConference(name, logins, now)
		case "add":
			_, err = s.AddMembers(name, logins)
		case "remove":
			err = s.RemoveMembers(name, logins)
		case "delete":
			err = s.DeleteConference(name, now)
		case "add-user":
			err = s.AddUser(name, newToken("x"), now)
		case "set-token":
			err = s.SetToken(name, newToken("x"))
		case "remove-user":
			err = s.RemoveUser(name, now)
		}
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, not %v", c.what, err, c.want)
		}
		if got := conferences(t, s); got != c.are {
			t.Errorf("after %s there is %s", c.what, got)
		}
	}
	if _, err := s.User(t.Context(), "ops"); !errors.Is(err, ErrNoUser) {
		t.Errorf("a conference is a user: %v", err)
	}
	if users, err := s.Users(t.Context(), now); err != nil || len(users) != 3 {
		t.Errorf("users %v, %v", users, err)
	}
	if found, _, err := s.Search(t.Context(), "o", 10); err != nil || logins(found) != "carol" {
		t.Errorf("a search finds %v, %v", found, err)
	}
	code, err := s.CreateInvite(now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Redeem(code, "ops", newToken("x"), now); !errors.Is(err, ErrIsConference) {
		t.Errorf("an invitation for a conference's name: %v", err)
	}
}

// A member sees all messages of a conference, in the history and in the updates. Other users see
// none, also none of their own.
func TestMembersSeeAllOfAConference(t *testing.T) {
	s := newStore(t, "alice", "bob", "carol")
	alice, bob, carol := id(t, s, "alice"), id(t, s, "bob"), id(t, s, "carol")
	if err := s.CreateConference("ops", []string{"alice", "bob"}, now); err != nil {
		t.Fatal(err)
	}
	if got := in(t, s, "alice", "ops", "1"); got != "alice bob" {
		t.Errorf("1 goes to %s", got)
	}
	mustSend(t, s, "alice", "bob", "2")
	if got := in(t, s, "bob", "ops", "3"); got != "alice bob" {
		t.Errorf("3 goes to %s", got)
	}
	if _, err := send(s, Message{Sender: carol, To: "ops", Body: "x", Date: now}); !errors.Is(err, ErrNotMember) {
		t.Errorf("from a user who is no member: %v", err)
	}
	mustSend(t, s, "carol", "alice", "4")
	sees := func(when string, want map[int64]string) {
		t.Helper()
		for user, want := range want {
			if got, _ := updates(t, s, user, 0, 100); got != want {
				t.Errorf("%s %d sees %s", when, user, got)
			}
			// The same in pages of one message, in which one might be skipped or come twice.
			var pages []string
			for after, more := int64(0), true; more; {
				list, m, err := s.Updates(t.Context(), user, Page{After: after, Limit: 1, Bytes: 1 << 20})
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range list {
					after = m.ID
					pages = append(pages, bodies(list))
				}
				more = m
			}
			if got := strings.Join(pages, " "); got != want {
				t.Errorf("%s %d sees page by page %s", when, user, got)
			}
		}
	}
	all := "alice>ops:1 alice>bob:2 bob>ops:3"
	sees("in the beginning", map[int64]string{alice: all + " carol>alice:4", bob: all, carol: "carol>alice:4"})

	if err := s.RemoveMembers("ops", []string{"bob"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddMembers("ops", []string{"carol"}); err != nil {
		t.Fatal(err)
	}
	if got := in(t, s, "carol", "ops", "5"); got != "alice carol" {
		t.Errorf("5 goes to %s", got)
	}
	sees("after a change", map[int64]string{
		alice: all + " carol>alice:4 carol>ops:5", bob: "alice>bob:2", carol: "alice>ops:1 bob>ops:3 carol>alice:4 carol>ops:5",
	})
	for user, want := range map[int64]Party{
		alice: {Login: "ops", Created: now, Conference: true, Member: true}, bob: {Login: "ops", Created: now, Conference: true},
	} {
		o, err := s.FindParty(t.Context(), "ops", user)
		want.ID = o.ID
		if o != want || err != nil {
			t.Errorf("for %d it is %+v, %v", user, o, err)
		}
	}
	if o, err := s.FindParty(t.Context(), "bob", alice); err != nil || o != (Party{ID: bob, Login: "bob", Created: now}) {
		t.Errorf("a user is %+v, %v", o, err)
	}
	ops, err := s.FindParty(t.Context(), "ops", alice)
	if err != nil {
		t.Fatal(err)
	}
	list, more, err := s.ConferenceHistory(t.Context(), ops.ID, Page{After: 1, Limit: 1, Bytes: 1 << 20})
	if err != nil || !more || bodies(list) != "carol>ops:5" || list[0].Conference != "ops" {
		t.Errorf("history %+v, %v, %v", list, more, err)
	}
	list, more, err = s.ConferenceHistory(t.Context(), ops.ID, Page{Limit: 10, Bytes: 1 << 20})
	if err != nil || more || bodies(list) != "alice>ops:1 bob>ops:3 carol>ops:5" {
		t.Errorf("history %+v, %v, %v", list, more, err)
	}
	if list, _, err := s.History(t.Context(), alice, bob, Page{Limit: 10, Bytes: 1 << 20}); err != nil || bodies(list) != "alice>bob:2" || list[0].Conference != "" {
		t.Errorf("history %+v, %v", list, err)
	}
	// The conference is a contact of its members; the other members are not.
	for user, want := range map[int64]string{alice: "bob carol ops", bob: "alice", carol: "alice ops"} {
		contacts, err := s.Contacts(t.Context(), user)
		if logins(contacts) != want || err != nil {
			t.Errorf("%d knows %v, %v", user, contacts, err)
		}
		for _, c := range contacts {
			if c.Conference != (c.Login == "ops") {
				t.Errorf("%+v", c)
			}
		}
	}

	// The messages of a removed user stay. Former members of a deleted conference still get its
	// messages. A new conference of the same name has none of them.
	if err := s.RemoveUser("carol", now); err != nil {
		t.Fatal(err)
	}
	if got := in(t, s, "alice", "ops", "6"); got != "alice" {
		t.Errorf("6 goes to %s", got)
	}
	if err := s.DeleteConference("ops", now); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateConference("ops", []string{"alice", "bob"}, now); err != nil {
		t.Fatal(err)
	}
	in(t, s, "bob", "ops", "7")
	sees("after the second creation", map[int64]string{
		alice: all + " carol>alice:4 carol>ops:5 alice>ops:6 bob>ops:7", bob: "alice>bob:2 bob>ops:7",
	})
	if again, err := s.FindParty(t.Context(), "ops", alice); err != nil || again.ID == ops.ID {
		t.Errorf("the new conference is the old one, %v", err)
	}
}

// A nonce is answered even if the sender has left the conference, or it was deleted.
func TestNonceOutlivesTheMembership(t *testing.T) {
	s := newStore(t, "alice", "bob")
	if err := s.CreateConference("ops", []string{"alice", "bob"}, now); err != nil {
		t.Fatal(err)
	}
	l := Message{Sender: id(t, s, "alice"), To: "ops", Body: "hi", Nonce: "0123456789abcdef", Date: now}
	first, err := send(s, l)
	if err != nil || first.Repeated {
		t.Fatalf("%+v, %v", first, err)
	}
	for _, change := range []func() error{
		func() error { return nil },
		func() error { return s.RemoveMembers("ops", []string{"alice"}) },
		func() error { return s.DeleteConference("ops", now) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if again, err := send(s, l); err != nil || again.ID != first.ID || !again.Repeated {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
	l.Nonce = "another of them."
	if _, err := send(s, l); !errors.Is(err, ErrNoUser) {
		t.Errorf("another: %v", err)
	}
}

// A conference has at most MaxMembers, however they come into it. One that has more keeps them.
func TestConferenceHasASizeLimit(t *testing.T) {
	s := newStore(t, "alice", "bob", "carol", "dave")
	s.MaxMembers = 2
	if err := s.CreateConference("ops", []string{"alice", "bob", "carol"}, now); !errors.Is(err, ErrTooMany) {
		t.Errorf("with three members: %v", err)
	}
	if err := s.CreateConference("ops", []string{"alice", "bob", "alice"}, now); err != nil {
		t.Error(err)
	}
	if _, err := s.AddMembers("ops", []string{"alice", "bob"}); err != nil {
		t.Errorf("members again: %v", err)
	}
	if _, err := s.AddMembers("ops", []string{"alice", "carol"}); !errors.Is(err, ErrTooMany) || err.Error() != "too many members: it would have 3, at most 2 are allowed" {
		t.Errorf("a third member: %v", err)
	}
	s.MaxMembers = 3
	if _, err := s.AddMembers("ops", []string{"carol"}); err != nil {
		t.Error(err)
	}
	s.MaxMembers = 2
	if _, err := s.AddMembers("ops", []string{"carol"}); err != nil {
		t.Errorf("no new member: %v", err)
	}
}
