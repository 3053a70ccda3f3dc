// Package server is skarod: connections, sessions, delivery, limits. It holds
// what is online in memory; what must survive is in internal/store.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// Path is where the WebSocket is.
const Path = "/skaro_client/"

// Options are what a server can be told. A zero value means the default, which
// DefaultOptions has; only Store has none.
type Options struct {
	Store        *store.Store
	Version      string
	Registration string // RegistrationOpen, RegistrationInvite or RegistrationClosed
	Log          *slog.Logger
	Clock        func() time.Time

	SessionLife   time.Duration // how long a session outlives its last connection
	AliveInterval time.Duration // how often the store is told that the server runs
	PingInterval  time.Duration // a connection that is silent for two of them is dropped
	AuthTime      time.Duration // how long a connection may stay without a login
	WriteTime     time.Duration // how long a peer may take to accept a frame, of a large one each fragment
	HTTPTime      time.Duration // how long a request that has not become a WebSocket, its answer, and the wait for the next may take

	MaxConnections          int
	MaxUnauthenticatedFrame int64 // bytes of a frame before the login; a larger one ends the connection
	MaxFrame                int64 // the same after the login
	MaxBody                 int   // bytes; a larger one is refused
	MaxQueue                int   // frames that wait for a slow peer
	MaxQueueBytes           int
	MaxInFlight             int // messages of one connection that are not yet on disk
	MaxSessions             int // of one user, unless more are in use
	MaxRefusals             int // refused logins and registrations of one connection
	MaxRegistrations        int // accounts made in a minute, with RegistrationOpen
}

// DefaultOptions are what skarod runs with.
func DefaultOptions() Options {
	return Options{
		Version: "dev", Registration: RegistrationClosed, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Clock: time.Now,
		SessionLife: 5 * time.Minute, AliveInterval: 30 * time.Second, PingInterval: 30 * time.Second, AuthTime: time.Minute, WriteTime: 10 * time.Second, HTTPTime: 10 * time.Second,
		MaxConnections: 10000, MaxUnauthenticatedFrame: 1 << 20, MaxFrame: proto.MaxFrame, MaxBody: 256 << 10, MaxQueue: 8192, MaxQueueBytes: 8 << 20,
		MaxInFlight: 1024, MaxSessions: 1000, MaxRefusals: 10, MaxRegistrations: 60,
	}
}

// complete replaces zero values by the defaults. Its error names an option that can't be
// used.
func (o *Options) complete() error {
	d := DefaultOptions()
	if o.Store == nil {
		return errors.New("no Store")
	}
	o.Version, o.Registration = cmp.Or(o.Version, d.Version), cmp.Or(o.Registration, d.Registration)
	o.Log = cmp.Or(o.Log, d.Log)
	if o.Clock == nil {
		o.Clock = d.Clock
	}
	if o.Registration != RegistrationOpen && o.Registration != RegistrationInvite && o.Registration != RegistrationClosed {
		return fmt.Errorf("unknown Registration %q", o.Registration)
	}
	return cmp.Or(
		orDefault("SessionLife", &o.SessionLife, d.SessionLife),
		orDefault("AliveInterval", &o.AliveInterval, d.AliveInterval),
		orDefault("PingInterval", &o.PingInterval, d.PingInterval),
		orDefault("AuthTime", &o.AuthTime, d.AuthTime),
		orDefault("WriteTime", &o.WriteTime, d.WriteTime),
		orDefault("HTTPTime", &o.HTTPTime, d.HTTPTime),
		orDefault("MaxConnections", &o.MaxConnections, d.MaxConnections),
		orDefault("MaxUnauthenticatedFrame", &o.MaxUnauthenticatedFrame, d.MaxUnauthenticatedFrame),
		orDefault("MaxFrame", &o.MaxFrame, d.MaxFrame),
		orDefault("MaxBody", &o.MaxBody, d.MaxBody),
		orDefault("MaxQueue", &o.MaxQueue, d.MaxQueue),
		orDefault("MaxQueueBytes", &o.MaxQueueBytes, d.MaxQueueBytes),
		orDefault("MaxInFlight", &o.MaxInFlight, d.MaxInFlight),
		orDefault("MaxSessions", &o.MaxSessions, d.MaxSessions),
		orDefault("MaxRefusals", &o.MaxRefusals, d.MaxRefusals),
		orDefault("MaxRegistrations", &o.MaxRegistrations, d.MaxRegistrations),
	)
}

// orDefault gives an option its default if it is zero. A negative one is an error.
func orDefault[T int | int64 | time.Duration](name string, option *T, byDefault T) error {
	if *option < 0 {
		return fmt.Errorf("negative %s: %v", name, *option)
	}
	*option = cmp.Or(*option, byDefault)
	return nil
}

// Server is a running server.
type Server struct {
	o     Options
	dummy proto.Token    // verified where there is no such user, so that both take as long
	house sync.WaitGroup // the housekeeping goroutine

	mu       sync.Mutex
	closing  bool
	conns    map[*conn]bool
	online   map[int64]map[*conn]bool // by user
	sessions map[[32]byte]*session
	owned    map[int64]map[*session]bool // the same, by user
	unkept   map[*session]bool           // changed, and not yet given to the store
	keeping  chan struct{}               // wakes the goroutine that does it; has room for one

	beforeUpdates func() // a test's: runs between the look at unkept and the store; nil elsewhere

	// told is the id of the newest message that every connection it is for has been
	// sent. It grows in the same breath as that happens: a connection that logs in
	// either is sent the message, or finds it below told when it asks for updates.
	told int64

	// inFlight bounds the bytes of all messages that are not yet on disk.
	inFlight *semaphore.Weighted

	registrations *rate.Limiter // of MaxRegistrations

	stop        chan struct{}
	counter     counters
	lastTrouble atomic.Int64 // see trouble
}

// inFlightBytes is that bound.
const inFlightBytes = 64 << 20

// New starts a server on a store. Close ends it; the store stays open.
func New(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	s := &Server{
		o: o, dummy: proto.NewToken(rand.Text()), stop: make(chan struct{}), inFlight: semaphore.NewWeighted(inFlightBytes),
		conns: map[*conn]bool{}, online: map[int64]map[*conn]bool{}, sessions: map[[32]byte]*session{},
		owned:  map[int64]map[*session]bool{},
		unkept: map[*session]bool{}, keeping: make(chan struct{}, 1),
		registrations: rate.NewLimiter(rate.Every(time.Minute/time.Duration(o.MaxRegistrations)), o.MaxRegistrations),
	}
	changed := make(chan struct{}, 1)
	o.Store.OnForeignWrite(func() { wake(changed) }) // from before the sessions are read
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	last, err := o.Store.LastID(ctx)
	if err == nil {
		s.told = last
		err = s.loadSessions(ctx)
	}
	if err == nil {
		err = o.Store.Alive(o.Clock())
	}
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	s.house.Add(1)
	go s.housekeeping(changed)
	return s, nil
}

// housekeeping is the goroutine that does what no connection asks for.
func (s *Server) housekeeping(changed <-chan struct{}) {
	defer s.house.Done()
	alive := time.NewTicker(s.o.AliveInterval)
	defer alive.Stop()
	for {
		select {
		case <-alive.C:
			now := s.o.Clock()
			if err := s.o.Store.Alive(now); err != nil {
				s.o.Log.Error("the store does not accept writes", "error", err)
			}
			s.pruneSessions(now)
			if err := s.o.Store.PruneNonces(now); err != nil {
				s.o.Log.Error("prune nonces", "error", err)
			}
		case <-s.keeping:
			s.keepSessions()
		case <-changed:
			s.checkUsers()
		case <-s.stop:
			return
		}
	}
}

// checkUsers ends the sessions and connections of users who were removed, or
// whose password was changed, by another process.
func (s *Server) checkUsers() {
	s.mu.Lock()
	users := slices.Collect(maps.Keys(s.owned))
	s.mu.Unlock()
	for _, id := range users {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		u, err := s.o.Store.UserByID(ctx, id)
		cancel()
		if err != nil && err != store.ErrNoUser {
			s.o.Log.Error("look up a user", "error", err)
			continue
		}
		s.endSessions(id, u.Revision) // of nobody: 0, which no session has
	}
}

// HTTP serves the WebSocket at Path, /healthz and /metrics, on a listener that has been
// through Listener. What it has not made a WebSocket of is ended soon: such connections
// count for no limit.
func (s *Server) HTTP() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc(Path, s.accept)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.o.Store.Ping(r.Context()); err != nil {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("/metrics", s.metrics)
	return &http.Server{
		Handler: mux, ConnContext: connContext,
		ReadTimeout: s.o.HTTPTime, WriteTimeout: s.o.HTTPTime, IdleTimeout: s.o.HTTPTime, MaxHeaderBytes: 32 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // what strangers send is no error of the server
	}
}

// accept makes a connection of a WebSocket handshake, and serves it.
func (s *Server) accept(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	full, closing := len(s.conns) >= s.o.MaxConnections, s.closing
	s.mu.Unlock()
	if full || closing {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		s.o.Log.Debug("no WebSocket handshake", "peer", r.RemoteAddr, "error", err)
		return
	}
	ws.SetReadLimit(s.o.MaxUnauthenticatedFrame)
	c := newConn(s, ws, corkOf(r.Context()), r.RemoteAddr)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		ws.CloseNow()
		return
	}
	s.conns[c] = true
	s.mu.Unlock()
	s.counter.accepted.Add(1)
	c.serve()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// Close ends every connection, with the code for "going away", and waits for
// them, for as long as ctx lasts.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.end(websocket.StatusGoingAway, "the server is shutting down")
	}
	for _, c := range conns {
		select {
		case <-c.gone:
		case <-ctx.Done():
			c.drop()
		}
	}
	close(s.stop)
	s.house.Wait()
	s.keepSessions()
	_ = s.o.Store.Alive(s.o.Clock())
}

// login puts a connection online with a session, which it uses already, unless that has
// ended since.
func (s *Server) login(c *conn, x *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[x.key] != x {
		return false
	}
	s.logoutLocked(c, true)
	c.session = x
	users := s.online[x.user.ID]
	if users == nil {
		users = map[*conn]bool{}
		s.online[x.user.ID] = users
	}
	users[c] = true
	return true
}

// logout takes a connection offline; finished means that its client said goodbye.
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

// push sends the frame of the message id to every connection of the users but one.
func (s *Server) push(id int64, frame func() []byte, except *conn, users ...int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = id
	for i, id := range users {
		if i > 0 && id == users[0] {
			continue // a message to oneself
		}
		for c := range s.online[id] {
			if c != except {
				c.enqueue(frame())
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

// trouble logs an error of the server's own, one a second at most: a full disk
// refuses thousands of requests.
func (s *Server) trouble(request string, err error) {
	now := time.Now().UnixNano()
	if last := s.lastTrouble.Load(); now-last > int64(time.Second) && s.lastTrouble.CompareAndSwap(last, now) {
		s.o.Log.Error("a request failed", "type", request, "error", err)
	}
}

// newChallenge is 32 random bytes as text.
func newChallenge() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}
