package store

import (
	"cmp"
	"context"
	"time"
)

// Session is a session as it is stored.
type Session struct {
	SID      [32]byte // SHA-256 of the SID
	User     int64
	Revision int64     // of the user, when the session was made
	Ended    time.Time // zero while a connection uses it
	Used     time.Time // when the last login with it was; zero if that is stored already
}

// AddSession stores a new session. It does not wait; done is called when the session is
// on disk, which is deferred a little. The error of done is ErrNoUser if the user was removed,
// or got another password since the session was made.
func (s *Store) AddSession(x Session, done func(error)) {
	s.submitDeferred(func() error {
		n, err := s.change(`INSERT INTO sessions (sid, user, revision, ended)
			SELECT ?, id, revision, ? FROM users WHERE id = ? AND revision = ? AND removed IS NULL`, x.SID[:], x.ended(), x.User, x.Revision)
		if err == nil && n == 0 {
			return ErrNoUser
		}
		return cmp.Or(err, s.storeLogin(x))
	}, done)
}

// UpdateSession stores when a session ended, or that it is in use again. A session that
// was dropped meanwhile stays so. It does not wait, and reports no error: the server has
// the session in memory, and needs the stored one only after a crash.
func (s *Store) UpdateSession(x Session) {
	s.submitDeferred(func() error {
		return cmp.Or(s.exec("UPDATE sessions SET ended = ? WHERE sid = ?", x.ended(), x.SID[:]), s.storeLogin(x))
	}, func(error) {})
}

// storeLogin stores when the user of a session logged in, inside the writing goroutine.
func (s *Store) storeLogin(x Session) error {
	if x.Used.IsZero() {
		return nil
	}
	return s.exec("UPDATE users SET last_login = ? WHERE id = ?", toMicros(x.Used), x.User)
}

// ended returns the stored form of Ended.
func (x Session) ended() any {
	if x.Ended.IsZero() {
		return nil
	}
	return toMicros(x.Ended)
}

// DropSession deletes a session. It does not wait.
func (s *Store) DropSession(sid [32]byte) {
	s.submitDeferred(func() error { return s.exec("DELETE FROM sessions WHERE sid = ?", sid[:]) }, func(error) {})
}

// Sessions returns the sessions that have not ended before a time, and drops the others. It
// is for a server that starts now: a session that was in use when the last server stopped
// counts as ended at the last Alive of that server, and one that ended later than now, because
// the clock was wrong, as ended now.
func (s *Store) Sessions(ctx context.Context, since, now time.Time) ([]Session, error) {
	err := s.perform(func() error {
		if err := s.exec("UPDATE sessions SET ended = (SELECT alive FROM server) WHERE ended IS NULL"); err != nil {
			return err
		}
		if err := s.exec("UPDATE sessions SET ended = ?1 WHERE ended > ?1", toMicros(now)); err != nil {
			return err
		}
		return s.exec("DELETE FROM sessions WHERE ended < ?", toMicros(since))
	})
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT sid, user, revision, ended FROM sessions")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Session
	for rows.Next() {
		var x Session
		var sid []byte
		var ended int64
		if err := rows.Scan(&sid, &x.User, &x.Revision, &ended); err != nil {
			return nil, err
		}
		copy(x.SID[:], sid)
		x.Ended = fromMicros(ended)
		list = append(list, x)
	}
	return list, rows.Err()
}

// SetRegistration stores the policy for new accounts with which the server has started.
func (s *Store) SetRegistration(policy string) error {
	return s.perform(func() error { return s.exec("UPDATE server SET registration = ?", policy) })
}

// Registration returns the policy of the server that started last, or "" if none has.
func (s *Store) Registration(ctx context.Context) (policy string, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT registration FROM server").Scan(&policy)
	return policy, err
}

// Alive stores that the server is running at a time.
func (s *Store) Alive(now time.Time) error {
	return s.perform(func() error { return s.exec("UPDATE server SET alive = ?", toMicros(now)) })
}
