// Package server is skarod's side of the protocol: connections, sessions, delivery, limits.
// It holds what is online in memory; internal/store holds what must survive.
package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// Path is the URL path of the WebSocket.
const Path = "/skaro_client/"

// Server is a running server.
type Server struct {
	o     Options
	dummy proto.Token // verified if there is no such user, so that both cases take the same time

	stop         chan struct{}
	stopPruning  func()
	housekeeping sync.WaitGroup // the goroutines keepHouse and prune
	changed      chan struct{}  // wakes keepHouse: sessions are in unstored; has room for one
	accounts     chan struct{}  // wakes keepHouse: another process has written to the store; has room for one
	diskLow      chan struct{}  // wakes keepHouse: Health has found the disk almost full; has room for one

	links         *links
	unfinished    frameBudget
	unread        unread
	guesses       *guesses
	bursts        bursts
	turns         *turns
	readers       *gate
	intake        *intake
	space         space
	registrations registrations
	registry      *prometheus.Registry
	counter       counters
	health        singleflight.Group         // of Health
	unstorable    atomic.Pointer[unstorable] // nil after a message was stored
	lastFailure   atomic.Int64               // see logFailure
	failures      atomic.Int64               // the same

	mu        sync.Mutex // guards all below; held only briefly, never while waiting for the store
	closing   bool
	admission admission
	conns     map[*conn]bool
	online    map[int64]map[*conn]bool    // the authenticated connections of each user
	sessions  map[[32]byte]*session       // by the SHA-256 of the SID
	owned     map[int64]map[*session]bool // the same, by user
	unstored  map[*session]bool           // changed, and not yet given to the store

	beforeUpdates func() // hook of a test, between taking unstored and the store; else nil

	// lastPushed is the id of the newest message that is in the queue of every connection that
	// gets it. The announcing goroutine of the store calls push for one message after the other,
	// in the order of ids, and push changes lastPushed under the lock under which it
	// enqueues. So a connection that logs in either gets the push, or finds the message up to
	// lastPushed when it asks for updates; and each gets its pushes in the order of ids, since
	// the turns decide only when a queue is written, never what is in it.
	lastPushed int64
}

// New starts a server on a store. Close ends it; the store stays open.
func New(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	dummy, err := proto.NewToken(rand.Text())
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	s := &Server{
		o: o, dummy: dummy, stop: make(chan struct{}), stopPruning: func() {}, changed: make(chan struct{}, 1), accounts: make(chan struct{}, 1), diskLow: make(chan struct{}, 1),
		conns: map[*conn]bool{}, online: map[int64]map[*conn]bool{}, sessions: map[[32]byte]*session{},
		admission: admission{users: map[int64]int{}, addresses: map[netip.Prefix]*counted{}},
		owned:     map[int64]map[*session]bool{}, unstored: map[*session]bool{},
		unfinished: frameBudget{limit: o.MaxUnfinishedBytes},
		unread:     unread{limit: int64(o.MaxUnreadBytes)},
		bursts:     bursts{begun: make(chan struct{}, 1)},
		turns:      newTurns(o.Store.Took),
		readers:    newGate(),
		intake:     newIntake(),
	}
	s.registrations = newRegistrations(&s.o)
	s.guesses = &guesses{o: &s.o, known: recent[target, tries]{half: maxTargets}}
	s.space.free, s.space.unused, s.space.least = o.FreeBytes, o.Store.UnusedBytes, uint64(o.MinFreeSpace)
	s.links = &links{o: &s.o, bursts: &s.bursts, intake: s.intake, most: mostLinks(), counts: map[netip.Prefix]int{}}
	o.Store.OnForeignWrite(func() { wake(s.accounts) }) // before the sessions are read, so that no change is missed
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	last, err := o.Store.LastID(ctx)
	if err == nil {
		s.lastPushed = last
		err = s.loadSessions(ctx)
	}
	if err == nil {
		err = o.Store.Alive(o.Clock())
	}
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	s.registry = s.newRegistry()
	s.housekeeping.Go(s.keepHouse)
	if o.Keep > 0 {
		ctx, cancel := context.WithCancel(context.Background())
		s.stopPruning = cancel
		s.housekeeping.Go(func() { s.prune(ctx) })
	}
	return s, nil
}

// keepHouse is the goroutine for the work that no connection asks for. Close ends it.
func (s *Server) keepHouse() {
	alive := time.NewTicker(s.o.AliveInterval)
	defer alive.Stop()
	burst := time.NewTicker(burstTime)
	defer burst.Stop()
	s.logSpace()
	for {
		select {
		case <-alive.C:
			now := s.o.Clock()
			if err := s.o.Store.Alive(now); err != nil {
				s.o.Log.Error("the store does not accept writes", "error", err)
			}
			s.logSpace()
			s.pruneSessions(now)
			if err := s.o.Store.PruneNonces(now); err != nil {
				s.o.Log.Error("prune nonces", "error", err)
			}
		case <-s.diskLow:
			s.isDiskLow()
		case <-s.bursts.begun:
			s.bursts.logFirst(s.o.Log)
		case <-burst.C:
			s.bursts.log(s.o.Log)
		case <-s.changed:
			s.storeChanges()
		case <-s.accounts:
			s.checkUsers()
		case <-s.stop:
			return
		}
	}
}

// checkUsers ends the sessions and connections of a user that another process has removed or
// given another password.
func (s *Server) checkUsers() {
	s.mu.Lock()
	users := slices.Collect(maps.Keys(s.owned))
	s.mu.Unlock()
	for _, id := range users {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		u, err := s.o.Store.UserByID(ctx, id)
		cancel()
		if err != nil && !errors.Is(err, store.ErrNoUser) {
			s.o.Log.Error("look up a user", "error", err)
			continue
		}
		// The revision of a removed user is 0, which no session has.
		s.endSessions(id, func(x *session) bool { return x.user.Revision != u.Revision })
	}
}

// HTTP serves the WebSocket at Path, on a listener that comes from Listener. A connection that does
// not become a WebSocket ends after one answer, because MaxConnections does not count it, and
// intake does not count what handlers of HTTP do.
func (s *Server) HTTP() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc(Path+"{$}", s.accept)
	h := &http.Server{
		Handler: withoutBody(mux), ConnContext: connContext,
		ReadTimeout: s.o.HTTPTime, WriteTimeout: s.o.HTTPTime, MaxHeaderBytes: 32 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // what unauthenticated clients send is not an error of the server
	}
	h.SetKeepAlivesEnabled(false)
	return h
}

// accept does the WebSocket handshake, and starts the connection.
func (s *Server) accept(w http.ResponseWriter, r *http.Request) {
	from := s.o.peerOf(r)
	place, full := s.enter(from)
	if full != nil {
		s.countRefusal(refusedConnection, strconv.Itoa(full.status))
		s.bursts.add(burst{eventConnectionRefused, from.String(), full.why}, "")
		full.refuse(w)
		return
	}
	c := s.upgrade(w, r, from, place)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c == nil {
		s.leave(place)
		return
	}
	if s.closing {
		s.leave(place)
		c.ws.CloseNow()
		return
	}
	s.conns[c] = true
	place.waiting = s.admission.waiting.PushBack(c)
	s.counter.accepted.Add(1)
	// In a goroutine of its own, the connection does without what net/http keeps for a request.
	go c.serve()
}

// upgrade does the handshake. It returns nil if there is no WebSocket.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, from peer, place *place) *conn {
	if !s.allowsOrigin(r) {
		s.countRefusal(refusedConnection, "403")
		s.bursts.add(burst{eventConnectionRefused, from.String(), "an origin that --allow-origin does not name"}, "")
		http.Error(w, "pages of this origin may not connect: the server's operator can allow it with --allow-origin", http.StatusForbidden)
		s.o.Log.Debug("refused origin", "peer", from.text, "origin", r.Header.Values("Origin"))
		return nil
	}
	k := corkOf(r.Context())
	if k == nil {
		http.Error(w, "the listener does not come from Server.Listener", http.StatusInternalServerError)
		return nil
	}
	ws, err := websocket.Accept(slim{w, k.Conn.(*link)}, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled, InsecureSkipVerify: true}) // allowsOrigin has verified it
	if err != nil {
		s.o.Log.Debug("no WebSocket handshake", "peer", from.text, "error", err)
		return nil
	}
	ws.SetReadLimit(-1) // conn.readFrame has limits of its own
	return newConn(s, ws, k, from, place)
}

// forget removes a connection that has ended, and gives back its place.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.leave(c.place)
}

// Close finishes what was begun, until ctx ends, and ends every connection with the code for
// "going away". It drops a connection whose client does not answer that.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		go c.finish()
	}
	for _, c := range conns {
		select {
		case <-c.ended:
		case <-ctx.Done():
			c.end(websocket.StatusGoingAway, shuttingDown)
		}
	}
	s.dropDeaf(conns)
	close(s.stop)
	s.stopPruning()
	s.housekeeping.Wait()
	s.bursts.log(s.o.Log)
	s.storeChanges()
	_ = s.o.Store.Alive(s.o.Clock())
}

// dropDeaf drops the connections that have not ended goodbyeTime from now.
func (s *Server) dropDeaf(conns []*conn) {
	goodbye := time.NewTimer(goodbyeTime)
	defer goodbye.Stop()
	dropped := 0
	for _, c := range conns {
		select {
		case <-c.ended:
			continue
		case <-goodbye.C:
			goodbye.Reset(0) // for the others too
		}
		c.drop()
		dropped++
	}
	if len(conns) > 0 {
		s.o.Log.Info("all connections ended", "connections", len(conns), "dropped", dropped)
	}
}

// login authenticates a connection with a session, which already counts the connection. It
// reports whether the session is still there.
func (s *Server) login(c *conn, x *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[x.key] != x {
		s.part(x.user.ID)
		return false
	}
	s.logoutLocked(c, true)
	c.session = x
	c.link.payer.Store(x.user.ID)
	s.authenticated(c.place)
	users := s.online[x.user.ID]
	if users == nil {
		users = map[*conn]bool{}
		s.online[x.user.ID] = users
	}
	users[c] = true
	return true
}

// logout ends the connection's use of its session. finished means that the client said
// goodbye.
func (s *Server) logout(c *conn, finished bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logoutLocked(c, finished)
}

func (s *Server) logoutLocked(c *conn, finished bool) {
	x := c.session
	if x == nil {
		return
	}
	c.session = nil
	delete(s.online[x.user.ID], c)
	if len(s.online[x.user.ID]) == 0 {
		delete(s.online, x.user.ID)
	}
	s.leaveSession(x, finished)
}

// push enqueues the frame of a message for every connection of the users but one.
func (s *Server) push(id int64, arrived time.Time, frame func() []byte, except *conn, sender int64, users ...int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastPushed = id
	for i, user := range users {
		if i > 0 && user == users[0] {
			continue // a message to oneself
		}
		for c := range s.online[user] {
			if c != except {
				c.enqueuePush(frame(), sender, arrived)
				s.counter.delivered.Add(1)
			}
		}
	}
}

func (s *Server) isOnline(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.online[id]) > 0
}

// newChallenge returns 32 random bytes as text.
func newChallenge() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
