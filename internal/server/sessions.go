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
	key   [32]byte // SHA-256 of the SID
	user  store.User
	conns int       // connections that use it
	ended time.Time // when the last of them went away
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
	list, err := s.o.Store.Sessions(ctx)
	if err != nil {
		return err
	}
	now := s.o.Clock()
	for _, st := range list {
		u, err := s.o.Store.UserByID(ctx, st.User)
		if err == store.ErrNoUser || err == nil && u.Revision != st.Revision || err == nil && now.Sub(st.Ended) > s.o.SessionLife {
			s.o.Store.DropSession(st.SID)
			continue
		}
		if err != nil {
			return err
		}
		s.sessions[st.SID] = &session{key: st.SID, user: u, ended: st.Ended}
	}
	return nil
}

// newSession makes a session, and stores it before it returns, so that a SID that
// was given out outlives the server.
func (s *Server) newSession(u store.User) (*session, string, error) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	sid := base64.RawURLEncoding.EncodeToString(b)
	x := &session{key: sha256.Sum256([]byte(sid)), user: u, ended: s.o.Clock()}
	// Known before it is stored: a change of the account that comes in between
	// finds it here, one that came before keeps it from being stored.
	s.mu.Lock()
	s.sessions[x.key] = x
	s.mu.Unlock()
	stored := make(chan error, 1)
	s.o.Store.PutSession(x.stored(), func(err error) { stored <- err })
	if err := <-stored; err != nil {
		s.mu.Lock()
		delete(s.sessions, x.key)
		s.mu.Unlock()
		return nil, "", err
	}
	return x, sid, nil
}

// findSession is the session of a SID, or nil where it can't be restored.
func (s *Server) findSession(sid string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.sessions[sha256.Sum256([]byte(sid))]
	if x == nil || x.conns == 0 && s.o.Clock().Sub(x.ended) > s.o.SessionLife {
		return nil
	}
	return x
}

// leaveSession counts one connection less. Server.mu is held.
func (s *Server) leaveSession(x *session) {
	x.conns--
	if x.conns == 0 && s.sessions[x.key] == x {
		x.ended = s.o.Clock()
		s.keep(x)
	}
}

// keep has a session stored soon. Server.mu is held: so it must not wait for the
// store, whose writing goroutine waits for Server.mu.
func (s *Server) keep(x *session) {
	s.unkept[x] = true
	select {
	case s.keeping <- struct{}{}:
	default:
	}
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
	s.mu.Unlock()
	for _, x := range list {
		s.o.Store.PutSession(x, nil)
	}
}

// pruneSessions forgets the sessions that can no longer be restored.
func (s *Server) pruneSessions(now time.Time) {
	var dead [][32]byte
	s.mu.Lock()
	for key, x := range s.sessions {
		if x.conns == 0 && now.Sub(x.ended) > s.o.SessionLife {
			delete(s.sessions, key)
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
	for key, x := range s.sessions {
		if x.user.ID == user && x.user.Revision != revision {
			delete(s.sessions, key)
		}
	}
	for c := range s.online[user] {
		if c.session.user.Revision != revision {
			c.end(websocket.StatusPolicyViolation, "the account was changed: log in again")
		}
	}
}
