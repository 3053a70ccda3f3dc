package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestInviteMakesOneAccount(t *testing.T) {
	s := newStore(t, "alice")
	token := newToken("x")
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
	// Of several registrations with one code, one succeeds.
	results := make(chan error)
	for i := range 8 {
		go func() {
			results <- s.Redeem(strings.ReplaceAll(strings.ToUpper(code), "-", " "), fmt.Sprintf("bob%d", i), token, now)
		}()
	}
	in := 0
	for range 8 {
		if err := <-results; err == nil {
			in++
		} else if !errors.Is(err, ErrNoInvite) {
			t.Errorf("the others: %v", err)
		}
	}
	users, err := s.Users(t.Context(), now)
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
