package store

import (
	"errors"
	"testing"
	"time"
)

func TestSessionsLastWithTheirRevision(t *testing.T) {
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
	if err := s.SetToken("carol", newToken("new")); err != nil {
		t.Fatal(err)
	}
	if err := put(list[3]); !errors.Is(err, ErrNoUser) {
		t.Errorf("a session that was made with the old password: %v", err)
	}
	alive := now.Add(time.Minute)
	if err := s.Alive(alive); err != nil {
		t.Fatal(err)
	}
	got, err := s.Sessions(ctx, now, now.Add(time.Hour))
	if err != nil || len(got) != 2 || got[0].SID != list[0].SID || !got[0].Ended.Equal(alive) || got[1].SID != list[1].SID || !got[1].Ended.Equal(now) || got[0].Revision != list[0].Revision {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := s.Sessions(ctx, now.Add(time.Microsecond), now.Add(time.Hour)); err != nil || len(got) != 1 || got[0].SID != list[0].SID {
		t.Errorf("of those that have not ended before: %+v, %v", got, err)
	}
	if got, err := s.Sessions(ctx, now, now.Add(time.Hour)); err != nil || len(got) != 1 {
		t.Errorf("what was too old is there: %+v, %v", got, err)
	}
	if err := s.RemoveUser("alice", now); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Sessions(ctx, now, now.Add(time.Hour)); err != nil || len(got) != 0 {
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
	if got, err := s.Sessions(t.Context(), now, now.Add(time.Hour)); err != nil || len(got) != 1 || got[0].SID != kept.SID || !got[0].Ended.Equal(now) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A session that ended while the clock was ahead lasts no longer than others.
func TestSessionOfAWrongClockEndsNow(t *testing.T) {
	s := newStore(t, "alice")
	u, err := s.User(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	s.AddSession(Session{SID: [32]byte{1}, User: u.ID, Revision: u.Revision, Ended: now.AddDate(10, 0, 0)}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range 2 { // the next start does not make it last longer
		if got, err := s.Sessions(t.Context(), now.Add(-time.Minute), now); err != nil || len(got) != 1 || !got[0].Ended.Equal(now) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	later := now.Add(5*time.Minute + time.Second)
	if got, err := s.Sessions(t.Context(), later.Add(-5*time.Minute), later); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
