package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/store"
)

// session is what a SID stands for. Server.mu guards the fields from conns on.
type session struct {
	key      [32]byte // SHA-256 of the SID
	user     store.User
	conns    int       // connections that use it, with the one that is making or restoring it
	ended    time.Time // when the last of them ended
	finished bool      // the client of that connection said goodbye, and will hardly come back
	used     time.Time // of the last login; zero when that is stored
}

// stored returns the session as it is stored. Server.mu is held.
func (x *session) stored() store.Session {
	s := store.Session{SID: x.key, User: x.user.ID, Revision: x.user.Revision}
	if x.conns == 0 {
		s.Ended = x.ended
	}
	s.Used, x.used = x.used, time.Time{}
	return s
}

// loadSessions reads the sessions of the server that ran before this one.
func (s *Server) loadSessions(ctx context.Context) error {
	now := s.o.Clock()
	list, err := s.o.Store.Sessions(ctx, now.Add(-s.o.SessionLife), now)
	if err != nil {
		return err
	}
	users := map[int64]store.User{}
	for _, st := range list {
		u, known := users[st.User]
		if !known {
			if u, err = s.o.Store.UserByID(ctx, st.User); err != nil && !errors.Is(err, store.ErrNoUser) {
				return err
			}
			users[st.User] = u
		}
		if u.Revision == st.Revision { // otherwise the account was changed just now
			s.addSession(&session{key: st.SID, user: u, ended: st.Ended})
		}
	}
	return nil
}

// addSession puts a session into the maps. Server.mu is held, except at the start.
func (s *Server) addSession(x *session) {
	s.sessions[x.key] = x
	own := s.owned[x.user.ID]
	if own == nil {
		own = map[*session]bool{}
		s.owned[x.user.ID] = own
	}
	own[x] = true
}

// forgetSession takes a session out of the maps. Server.mu is held.
func (s *Server) forgetSession(x *session) {
	delete(s.sessions, x.key)
	own := s.owned[x.user.ID]
	delete(own, x)
	if len(own) == 0 {
		delete(s.owned, x.user.ID)
	}
}

// makeRoom forgets a session of a user who has MaxSessions of them. Only sessions without a
// connection go: first those whose client said goodbye, as one-shot commands do, then those
// of lost connections, each in the order in which they ended. It returns the session, which
// the caller drops from the store, or nil. Server.mu is held.
func (s *Server) makeRoom(user int64) *session {
	own := s.owned[user]
	if len(own) < s.o.MaxSessions {
		return nil
	}
	var first *session
	for x := range own {
		if x.conns == 0 && (first == nil || x.goesBefore(first)) {
			first = x
		}
	}
	if first != nil {
		s.forgetSession(first)
	}
	return first
}

// goesBefore reports whether makeRoom forgets x before y.
func (x *session) goesBefore(y *session) bool {
	if x.finished != y.finished {
		return x.finished
	}
	return x.ended.Before(y.ended)
}

// newSession makes a session, unless a limit on connections refuses it. It counts the caller's
// connection, and the caller gives it to login. It is stored a little later, so that a login does
// not wait for the disk. A crash before that loses the SID, and the client has to log in again.
func (s *Server) newSession(c *conn, u store.User) (x *session, sid string, err error) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	sid = base64.RawURLEncoding.EncodeToString(b)
	x = &session{key: sha256.Sum256([]byte(sid)), user: u, conns: 1, used: s.o.Clock()}
	s.mu.Lock()
	if err := s.join(c, u.ID); err != nil {
		s.mu.Unlock()
		return nil, "", err
	}
	dropped := s.makeRoom(u.ID)
	s.addSession(x)
	stored := x.stored()
	s.mu.Unlock()
	if dropped != nil {
		if !dropped.finished {
			s.bursts.add(burst{eventSessionForgotten, c.peer.String(), "too many sessions of this user"}, u.Login)
		}
		s.o.Store.DropSession(dropped.key)
	}
	s.o.Store.AddSession(stored, func(err error) {
		switch {
		case errors.Is(err, store.ErrNoUser): // the account was changed just before the login
			s.endSessions(u.ID, func(y *session) bool { return y == x })
		case err != nil:
			s.logFailure("store a session", err)
		}
	})
	return x, sid, nil
}

// restoreSession returns the session of a SID, or nil if it can't be restored. An error means that
// a limit on connections refuses it. The session counts the caller's connection, and the caller
// gives it to login.
func (s *Server) restoreSession(c *conn, sid string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.sessions[sha256.Sum256([]byte(sid))]
	if x == nil || !s.restorable(x, s.o.Clock()) {
		return nil, nil
	}
	if err := s.join(c, x.user.ID); err != nil {
		return x, err
	}
	x.conns++
	x.used = s.o.Clock()
	s.storeLater(x)
	return x, nil
}

// restorable reports whether a session is in use, or ended recently enough. Server.mu is held.
func (s *Server) restorable(x *session, now time.Time) bool {
	return x.conns > 0 || now.Sub(x.ended) <= s.o.SessionLife
}

// leaveSession takes one connection from the count. finished means that its client said
// goodbye. Server.mu is held.
func (s *Server) leaveSession(x *session, finished bool) {
	s.part(x.user.ID)
	x.conns--
	if x.conns == 0 && s.sessions[x.key] == x {
		x.ended, x.finished = s.o.Clock(), finished
		s.storeLater(x)
	}
}

// storeLater has keepHouse store the change of a session. Server.mu is held: waiting for the
// store here would be a deadlock, since its announcing goroutine takes Server.mu.
func (s *Server) storeLater(x *session) {
	s.unstored[x] = true
	wake(s.changed)
}

// storeChanges stores the sessions in unstored, each as it is now.
func (s *Server) storeChanges() {
	var list []store.Session
	s.mu.Lock()
	for x := range s.unstored {
		if s.sessions[x.key] == x {
			list = append(list, x.stored())
		}
	}
	clear(s.unstored)
	hook := s.beforeUpdates
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	for _, x := range list {
		s.o.Store.UpdateSession(x)
	}
}

// pruneSessions forgets the sessions that can no longer be restored. One whose end is in the
// future counts as ended now: the clock was set back, and the session would last too long.
func (s *Server) pruneSessions(now time.Time) {
	var dead [][32]byte
	s.mu.Lock()
	for key, x := range s.sessions {
		switch {
		case x.conns > 0:
		case x.ended.After(now):
			x.ended = now
			s.storeLater(x)
		case !s.restorable(x, now):
			s.forgetSession(x)
			dead = append(dead, key)
		}
	}
	s.mu.Unlock()
	for _, key := range dead {
		s.o.Store.DropSession(key)
	}
}

const accountChanged = "the account was changed: log in again"

// endSessions ends the sessions of a user for which outdated returns true, and their
// connections.
func (s *Server) endSessions(user int64, outdated func(*session) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.owned[user] {
		if outdated(x) {
			s.forgetSession(x)
		}
	}
	for c := range s.online[user] {
		if outdated(c.session) {
			c.end(websocket.StatusPolicyViolation, accountChanged)
		}
	}
}
