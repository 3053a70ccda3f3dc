package server

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// patience bounds every wait of these tests; none is expected to last.
const patience = 5 * time.Minute

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// waits are the times that the server wants to wait. None of them lasts, unless held is set.
type waits struct {
	mu   sync.Mutex
	all  []time.Duration
	held chan time.Time
}

func (w *waits) after(d time.Duration) <-chan time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, d)
	if w.held != nil {
		return w.held
	}
	over := make(chan time.Time)
	close(over)
	return over
}

// hold makes the next waits last until release is called.
func (w *waits) hold() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := make(chan time.Time)
	w.held = held
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.held = nil
		close(held)
	}
}

// take returns the waits since the last call.
func (w *waits) take() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

// logBuffer is what a server logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// testServer is a running server with its database. Each test has its own.
type testServer struct {
	t       testing.TB
	path    string
	clock   *clock
	waits   *waits
	log     *logBuffer
	options Options
	store   *store.Store
	srv     *Server
	addr    string
	stop    func()
	closing time.Duration // how long stop lets the server finish
}

// newTestServer starts a server with the accounts.
func newTestServer(t testing.TB, change func(*Options), logins ...string) *testServer {
	t.Helper()
	w := &testServer{
		t: t, path: filepath.Join(t.TempDir(), "skarod.db"), log: &logBuffer{}, closing: patience, options: DefaultOptions(),
		clock: &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)},
	}
	w.options.Version = "test"
	w.options.WriteTime, w.options.PingInterval, w.options.HTTPTime = patience, patience, patience // a client on a busy machine is not deaf
	w.options.Clock = w.clock.Now
	w.waits = &waits{}
	w.options.After = w.waits.after
	w.options.Log = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&w.options)
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	for _, login := range logins {
		if err := w.store.AddUser(login, newToken("secret of "+login), w.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *testServer) start() {
	w.t.Helper()
	var err error
	if w.store, err = store.Open(w.path); err != nil {
		w.t.Fatal(err)
	}
	w.options.Store = w.store
	if w.srv, err = New(w.options); err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	web := w.srv.HTTP()
	served := make(chan error, 1)
	go func() { served <- web.Serve(w.srv.Listener(ln)) }()
	w.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), w.closing)
		defer cancel()
		ln.Close()
		w.srv.Close(ctx)
		web.Close()
		<-served
		if err := w.store.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

// sizes are how many connections, users online and sessions there are.
func (w *testServer) sizes() (connections, users, sessions int) {
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	return len(w.srv.conns), len(w.srv.online), len(w.srv.sessions)
}

// connection is the server's side of the only connection.
func (w *testServer) connection() *conn {
	w.t.Helper()
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	for c := range w.srv.conns {
		if len(w.srv.conns) == 1 {
			return c
		}
	}
	w.t.Fatalf("there are %d connections", len(w.srv.conns))
	return nil
}

// left waits until there are only so many connections.
func (w *testServer) left(connections int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d connections are left", connections), func() bool { n, _, _ := w.sizes(); return n == connections })
}

// client is a bare Skaro client.
type client struct {
	t        testing.TB
	ws       *websocket.Conn
	greeting proto.Greeting
	requests int64
	pushes   []proto.Frame // that came before a reply
}

func (w *testServer) dial() *client {
	w.t.Helper()
	c := w.connect()
	w.t.Cleanup(func() { c.ws.CloseNow() })
	return c
}

// connect is dial for a test that closes the connection.
func (w *testServer) connect() *client {
	w.t.Helper()
	c, refused := w.connectFrom("")
	if c == nil {
		w.t.Fatal(refused)
	}
	return c
}

// dialFrom is dial through a trusted proxy, for a client with an address.
func (w *testServer) dialFrom(address string) *client {
	w.t.Helper()
	c, refused := w.connectFrom(address)
	if c == nil {
		w.t.Fatal(refused)
	}
	w.t.Cleanup(func() { c.ws.CloseNow() })
	return c
}

// connectFrom is dialFrom for a connection that may be refused: then it returns the answer.
func (w *testServer) connectFrom(address string) (*client, string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	header := http.Header{}
	if address != "" {
		header.Set("X-Forwarded-For", address)
	}
	ws, resp, err := websocket.Dial(ctx, "ws://"+w.addr+Path, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		if resp == nil || resp.Header.Get("Retry-After") != "10" {
			w.t.Fatalf("%v: %v", err, resp)
		}
		body, _ := io.ReadAll(resp.Body)
		return nil, fmt.Sprintf("%d %s", resp.StatusCode, body)
	}
	ws.SetReadLimit(proto.MaxFrame)
	c := &client{t: w.t, ws: ws}
	if c.greeting, err = proto.ParseGreeting(c.read()); err != nil {
		w.t.Fatal(err)
	}
	return c, ""
}

// behindProxy makes the server trust the X-Forwarded-For of the tests.
func behindProxy(o *Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// login is a new authorized connection of a user.
func (w *testServer) login(login string) *client {
	w.t.Helper()
	c := w.dial()
	if r := c.authorize(login, "secret of "+login); !r.OK() {
		w.t.Fatalf("login of %s: %s", login, r.Status)
	}
	return c
}

func (c *client) tryRead() (proto.Frame, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, b, err := c.ws.Read(ctx)
	if err != nil {
		return proto.Frame{}, err
	}
	if kind != websocket.MessageBinary {
		return proto.Frame{}, fmt.Errorf("a message of kind %v", kind)
	}
	return proto.Decode(b)
}

func (c *client) read() proto.Frame {
	c.t.Helper()
	f, err := c.tryRead()
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

func (c *client) write(kind websocket.MessageType, b []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.ws.Write(ctx, kind, b)
}

// ask sends a request and returns its number.
func (c *client) ask(name string, fields map[string]any) int64 {
	c.t.Helper()
	c.requests++
	b, err := proto.EncodeRequest(name, c.requests, fields)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.write(websocket.MessageBinary, b); err != nil {
		c.t.Fatal(err)
	}
	return c.requests
}

// reply waits for the reply to a request; pushes before it are kept.
func (c *client) reply(id int64) proto.Reply {
	c.t.Helper()
	for {
		f := c.read()
		if f.Type() != proto.TypeReply {
			c.pushes = append(c.pushes, f)
			continue
		}
		r, err := proto.ParseReply(f)
		if err != nil || r.ID != id {
			c.t.Fatalf("the reply to %d is %s, %v", id, f.Describe(), err)
		}
		return r
	}
}

func (c *client) request(name string, fields map[string]any) proto.Reply {
	c.t.Helper()
	return c.reply(c.ask(name, fields))
}

func (c *client) authorize(login, password string) proto.Reply {
	c.t.Helper()
	return c.request(proto.TypeAuthorize, map[string]any{
		"login": login, "password": newToken(password).Answer(c.greeting.Challenge),
	})
}

// send sends a message and returns its id.
func (c *client) send(to, body string) int64 {
	c.t.Helper()
	r := c.request(proto.TypeSendMessage, map[string]any{"to": to, "body": body})
	id, _ := r.Fields.Int("message_id")
	if !r.OK() || id < 1 || r.Fields.Date("date").Time.IsZero() {
		c.t.Fatalf("send to %s: %s", to, r.Fields.Describe())
	}
	return id
}

// push is the next push.
func (c *client) push() proto.Frame {
	c.t.Helper()
	if len(c.pushes) > 0 {
		f := c.pushes[0]
		c.pushes = c.pushes[1:]
		return f
	}
	return c.read()
}

func (c *client) message() proto.Message {
	c.t.Helper()
	f := c.push()
	if f.Type() != proto.TypeShowMessage {
		c.t.Fatalf("the push is %s", f.Describe())
	}
	return proto.ParseMessage(f)
}

// quiet fails if there was a push: before the reply to a request, all of them have come.
func (c *client) quiet() {
	c.t.Helper()
	c.request(proto.TypeRegisterType, nil)
	for _, f := range c.pushes {
		c.t.Errorf("there is also %s", f.Describe())
	}
}

// closed waits for the end of the connection, and checks its code.
func (c *client) closed(code websocket.StatusCode) {
	c.t.Helper()
	for {
		_, err := c.tryRead()
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			c.t.Errorf("closed with %d, %v", got, err)
		}
		return
	}
}

func code(r proto.Reply) string { return proto.StatusCode(r.Status) }

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// exec changes the database as another process would.
func (w *testServer) exec(text string) (sql.Result, error) {
	db, err := sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return db.Exec(text)
}

// conference makes a conference with a store of its own, as `skarod conference create` does. It
// returns that store.
func (w *testServer) conference(name string, logins ...string) *store.Store {
	w.t.Helper()
	other, err := store.Open(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { other.Close() })
	if err := other.CreateConference(name, logins, w.clock.Now()); err != nil {
		w.t.Fatal(err)
	}
	return other
}

// newToken makes the token of a password.
func newToken(password string) proto.Token {
	token, err := proto.NewToken(password)
	if err != nil {
		panic(err)
	}
	return token
}
