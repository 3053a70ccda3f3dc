package server

import (
	"container/list"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// retryFull is how long a client should wait after a limit on connections refuses it.
const retryFull = 10 * time.Second

// maxLeaving is how many connections may be ending to make room for others.
const maxLeaving = 100

// admission counts what the limits on connections are about. Server.mu guards it.
type admission struct {
	connections   int                       // including those in the handshake
	authenticated int                       // including those that are logging in
	users         map[int64]int             // the same, by user
	addresses     map[netip.Prefix]*counted // without local
	waiting       list.List                 // of *conn: the unauthenticated ones, the oldest first
	leaving       int                       // connections that end to make room
}

// counted is what one address has.
type counted struct{ connections, unauthenticated int }

// place is what one connection takes of the limits. Server.mu guards the fields below address.
type place struct {
	address netip.Prefix

	waiting       *list.Element // nil in the handshake and after the login
	authenticated bool
	leaving       bool
}

// full says that a limit leaves no place for a connection.
type full struct {
	status int // of HTTP
	why    string
}

// refuse answers the handshake.
func (f *full) refuse(w http.ResponseWriter) {
	w.Header().Set("Retry-After", fmt.Sprint(int(retryFull.Seconds())))
	http.Error(w, f.why, f.status)
}

// enter gives a new connection its place, or says why there is none.
func (s *Server) enter(p peer) (*place, *full) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.admission
	if s.closing {
		return nil, &full{http.StatusServiceUnavailable, "the server is shutting down"}
	}
	if n := a.addresses[p.address]; n != nil {
		if n.connections >= s.o.MaxConnectionsPerAddress {
			return nil, &full{http.StatusTooManyRequests, fmt.Sprintf("too many connections of %s: %s", p, s.o.limited(maxConnectionsPerAddress))}
		}
		if n.unauthenticated >= s.o.MaxUnauthenticatedPerAddress {
			return nil, &full{http.StatusTooManyRequests, fmt.Sprintf("too many connections of %s without a login: %s", p, s.o.limited(maxUnauthenticatedPerAddress))}
		}
	}
	if a.connections-a.leaving >= s.o.MaxConnections && !s.makePlace() {
		return nil, &full{http.StatusServiceUnavailable, "too many connections: " + s.o.limited(maxConnections)}
	}
	a.connections++
	if p.address != local {
		n := a.addresses[p.address]
		if n == nil {
			n = &counted{}
			a.addresses[p.address] = n
		}
		n.connections++
		n.unauthenticated++
	}
	return &place{address: p.address}, nil
}

// makePlace ends the connection that has waited longest for its login. So clients that
// never log in keep nobody out. It returns false if there is none. Server.mu is held.
func (s *Server) makePlace() bool {
	first := s.admission.waiting.Front()
	if first == nil || s.admission.leaving >= maxLeaving {
		return false
	}
	c := first.Value.(*conn)
	s.admission.waiting.Remove(first)
	c.place.waiting, c.place.leaving = nil, true
	s.admission.leaving++
	c.end(websocket.StatusTryAgainLater, "too many connections: "+s.o.limited(maxConnections))
	return true
}

// leave gives back the place of a connection. Server.mu is held.
func (s *Server) leave(p *place) {
	a := &s.admission
	if !p.authenticated {
		s.authenticated(p)
	}
	a.connections--
	if p.leaving {
		a.leaving--
	}
	if n := a.addresses[p.address]; n != nil {
		if n.connections--; n.connections == 0 {
			delete(a.addresses, p.address)
		}
	}
}

// authenticated takes a place from those without a login. Server.mu is held.
func (s *Server) authenticated(p *place) {
	if p.authenticated {
		return
	}
	p.authenticated = true
	if p.waiting != nil {
		s.admission.waiting.Remove(p.waiting)
		p.waiting = nil
	}
	if n := s.admission.addresses[p.address]; n != nil {
		n.unauthenticated--
	}
}

// join counts a connection of a user, or returns why there may be none. The last
// ReservedConnections are for users who have a session and no connection: they find a place
// however many connections others make. Server.mu is held.
func (s *Server) join(c *conn, user int64) error {
	a := &s.admission
	own := a.users[user]
	others := own
	if c.session != nil && c.session.user.ID == user {
		others-- // it logs in again
	}
	switch {
	case others >= s.o.MaxConnectionsPerUser:
		return &refusal{proto.StatusTooMany, "too many connections of this user: " + s.o.limited(maxConnectionsPerUser), retryFull}
	case others == own && a.authenticated >= s.o.MaxConnections-s.o.reserve() && (own > 0 || !s.hasSession(user)):
		return &refusal{proto.StatusUnavailable, "too many connections, and the rest is for users who have a session: " + s.o.limited(reservedConnections), retryFull}
	}
	a.users[user] = own + 1
	a.authenticated++
	return nil
}

// reserve is how many connections are for users who have a session.
func (o *Options) reserve() int { return min(o.ReservedConnections, o.MaxConnections/5) }

// hasSession reports whether a user has a session that can be restored. Server.mu is held.
func (s *Server) hasSession(user int64) bool {
	for x := range s.owned[user] {
		if s.restorable(x, s.o.Clock()) {
			return true
		}
	}
	return false
}

// part is the opposite of join. Server.mu is held.
func (s *Server) part(user int64) {
	a := &s.admission
	a.authenticated--
	if a.users[user]--; a.users[user] == 0 {
		delete(a.users, user)
	}
}
