package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/store"
)

// session is what a SID stands for. Its fields are guarded by Server.mu.
type session struct {
	key      [32]byte // SHA-256 of the SID
	user     store.User
	conns    int       // connections that use it; the one that makes or restores it from the start
	ended    time.Time // when the last of them went away
	finished bool      // the client of that one said goodbye: it will hardly come back
}

func (x *session) stored() store.Session {
	s := store.Session{SID: x.key, User: x.user.ID, Revision: x.user.Revision}
	if x.conns == 0 {
		s.Ended = x.ended
	}
	return s
}

// loadSessions reads the sessions that a server before this one left.
func (s *Server) loadSessions(ctx context.Context) error {
	list, err := s.o.Store.Sessions(ctx, s.o.Clock().Add(-s.o.SessionLife))
	if err != nil {
		return err
	}
	users := map[int64]store.User{}
	for _, st := range list {
		u, known := users[st.User]
		if !known {
			if u, err = s.o.Store.UserByID(ctx, st.User); err != nil && err != store.ErrNoUser {
				return err
			}
			users[st.User] = u
		}
		if u.Revision == st.Revision { // else the account was changed just now
			s.addSession(&session{key: st.SID, user: u, ended: st.Ended})
		}
	}
	return nil
}

// addSession makes a session known, and forgetSession unknown. Server.mu is held, where
// the server runs already.
func (s *Server) addSession(x *session) {
	s.sessions[x.key] = x
	own := s.owned[x.user.ID]
	if own == nil {
		own = map[*session]bool{}
		s.owned[x.user.ID] = own
	}
	own[x] = true
}

func (s *Server) forgetSession(x *session) {
	delete(s.sessions, x.key)
	own := s.owned[x.user.ID]
	delete(own, x)
	if len(own) == 0 {
		delete(s.owned, x.user.ID)
	}
}

// makeRoom forgets a session of a user that has as many as MaxSessions: each login makes
// one. It is one without a connection; those of clients that have said goodbye go first,
// and of equal ones the one that ended first. It returns the session, which the store has
// to drop then, or nil. Server.mu is held.
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

// newSession makes a session, and stores it before it returns, so that a SID that was
// given out outlives the server. The caller uses it, and gives it to login.
func (s *Server) newSession(u store.User) (*session, string, error) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	sid := base64.RawURLEncoding.EncodeToString(b)
	x := &session{key: sha256.Sum256([]byte(sid)), user: u, conns: 1}
	// Known before it is stored: a change of the account that comes in between
	// finds it here, one that came before keeps it from being stored.
	s.mu.Lock()
	dropped := s.makeRoom(u.ID)
	s.addSession(x)
	s.mu.Unlock()
	if dropped != nil {
		s.o.Store.DropSession(dropped.key)
	}
	stored := make(chan error, 1)
	s.o.Store.AddSession(x.stored(), func(err error) { stored <- err })
	if err := <-stored; err != nil {
		s.mu.Lock()
		if s.sessions[x.key] == x {
			s.forgetSession(x)
		}
		s.mu.Unlock()
		return nil, "", err
	}
	return x, sid, nil
}

// restoreSession is the session of a SID, or nil if it can't be restored. The caller uses
// it, and gives it to login.
func (s *Server) restoreSession(sid string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.sessions[sha256.Sum256([]byte(sid))]
	if x == nil || x.conns == 0 && s.o.Clock().Sub(x.ended) > s.o.SessionLife {
		return nil
	}
	if x.conns++; x.conns == 1 {
		s.keep(x)
	}
	return x
}

// leaveSession counts one connection less; finished means that its client said goodbye.
// Server.mu is held.
func (s *Server) leaveSession(x *session, finished bool) {
	x.conns--
	if x.conns == 0 && s.sessions[x.key] == x {
		x.ended, x.finished = s.o.Clock(), finished
		s.keep(x)
	}
}

// keep has the change of a session stored soon. Server.mu is held: so it must not wait for
// the store, whose writing goroutine waits for Server.mu.
func (s *Server) keep(x *session) {
	s.unkept[x] = true
	wake(s.keeping)
}

// keepSessions stores the sessions that were given to keep, each as it is now.
func (s *Server) keepSessions() {
	var list []store.Session
	s.mu.Lock()
	for x := range s.unkept {
		if s.sessions[x.key] == x {
			list = append(list, x.stored())
		}
	}
	clear(s.unkept)
	hook := s.beforeUpdates
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	for _, x := range list {
		s.o.Store.UpdateSession(x)
	}
}

// pruneSessions forgets the sessions that can no longer be restored.
func (s *Server) pruneSessions(now time.Time) {
	var dead [][32]byte
	s.mu.Lock()
	for key, x := range s.sessions {
		if x.conns == 0 && now.Sub(x.ended) > s.o.SessionLife {
			s.forgetSession(x)
			dead = append(dead, key)
		}
	}
	s.mu.Unlock()
	for _, key := range dead {
		s.o.Store.DropSession(key)
	}
}

// endSessions ends the sessions and connections of a user that were begun with
// another revision of the account than this one.
func (s *Server) endSessions(user, revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.owned[user] {
		if x.user.Revision != revision {
			s.forgetSession(x)
		}
	}
	for c := range s.online[user] {
		if c.session.user.Revision != revision {
			c.end(websocket.StatusPolicyViolation, "the account was changed: log in again")
		}
	}
}
