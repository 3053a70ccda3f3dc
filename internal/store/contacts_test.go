package store

import (
	"errors"
	"testing"
)

func TestMessagesMakeContacts(t *testing.T) {
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

func TestSearchTakesEveryCharacterLiterally(t *testing.T) {
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
