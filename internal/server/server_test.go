package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// sessionLife is how long a session outlives its last connection.
const sessionLife = 5 * time.Minute

// patience bounds every wait of these tests; none is expected to last.
const patience = 30 * time.Second

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

// world is a running server with its database.
type world struct {
	t       testing.TB
	path    string
	clock   *clock
	log     *logBuffer
	options Options
	store   *store.Store
	srv     *Server
	addr    string
	stop    func()
}

// newWorld starts a server with the accounts.
func newWorld(t testing.TB, change func(*Options), logins ...string) *world {
	t.Helper()
	w := &world{
		t: t, path: filepath.Join(t.TempDir(), "skarod.db"), log: &logBuffer{}, options: DefaultOptions(),
		clock: &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)},
	}
	w.options.Version = "test"
	w.options.Clock = w.clock.Now
	w.options.Log = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&w.options)
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	for _, login := range logins {
		if err := w.store.AddUser(login, proto.NewToken("secret of "+login), w.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) start() {
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
	go func() { served <- web.Serve(Listener(ln)) }()
	w.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
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
func (w *world) sizes() (connections, users, sessions int) {
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	return len(w.srv.conns), len(w.srv.online), len(w.srv.sessions)
}

// left waits until so many connections are left.
func (w *world) left(connections int) {
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

func (w *world) dial() *client {
	w.t.Helper()
	c := w.connect()
	w.t.Cleanup(func() { c.ws.CloseNow() })
	return c
}

// connect is dial for somebody who closes the connection.
func (w *world) connect() *client {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+w.addr+Path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	ws.SetReadLimit(proto.MaxFrame)
	c := &client{t: w.t, ws: ws}
	if c.greeting, err = proto.ParseGreeting(c.read()); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// login is a new authorized connection of a user.
func (w *world) login(login string) *client {
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
		"login": login, "password": proto.NewToken(password).Answer(c.greeting.Challenge),
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

// quiet fails when something was pushed: after a request, whatever was to come
// has come.
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

func TestGreeting(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.dial(), w.dial()
	if a.greeting.Challenge == b.greeting.Challenge || len(a.greeting.Challenge) != 64 {
		t.Errorf("challenges %q and %q", a.greeting.Challenge, b.greeting.Challenge)
	}
	if a.greeting.Server != "skarod/test" || !a.greeting.Has(proto.ExtHistoryPage) || !a.greeting.Has(proto.ExtUpdates) || !a.greeting.Has(proto.ExtNonce) {
		t.Errorf("%+v", a.greeting)
	}
	if r := a.request(proto.TypeRegisterType, nil); !r.OK() || r.For != proto.TypeRegisterType || r.Fields.Text("register_type") != "closed" {
		t.Errorf("%s", r.Fields.Describe())
	}
}

func TestAuthorize(t *testing.T) {
	w := newWorld(t, nil, "alice")
	c := w.dial()
	var refusals []string
	for _, r := range []proto.Reply{
		c.authorize("alice", "wrong"), c.authorize("nobody", "wrong"), c.authorize("a b", "wrong"), c.authorize("", ""),
		c.request(proto.TypeAuthorize, nil), c.request(proto.TypeAuthorize, map[string]any{"login": "alice", "password": 5}),
	} {
		refusals = append(refusals, r.Status+r.Info)
	}
	for _, r := range refusals {
		if r != refusals[0] || !strings.HasPrefix(r, proto.StatusUnauthorized) {
			t.Errorf("refusals can be told apart: %q", refusals)
		}
	}
	r := c.authorize("ALICE", "secret of alice") // the same connection, the same challenge
	user, _ := r.Fields.Map("user")
	if !r.OK() || user.Text("login") != "alice" || len(r.Fields.Text("session_id")) != 43 {
		t.Errorf("%s", r.Fields.Describe())
	}
	if r := c.request(proto.TypeGetContacts, nil); !r.OK() {
		t.Errorf("contacts: %s", r.Status)
	}
}

func TestTooManyRefusals(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxRefusals = 3 }, "alice")
	c := w.dial()
	for range 3 {
		if r := c.authorize("alice", "wrong"); code(r) != "401" {
			t.Errorf("%s", r.Status)
		}
	}
	c.closed(websocket.StatusPolicyViolation)
}

func TestUnauthorized(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial()
	for name, want := range map[string]string{
		proto.TypeGetContacts: "401", proto.TypeGetHistory: "401", proto.TypeSendMessage: "401", proto.TypeGetUpdates: "401",
		proto.TypeAddContact: "401", proto.TypeDelContact: "401", proto.TypeSearchContacts: "401", proto.TypeGetUserData: "401",
		"update_my_data": "501", strings.Repeat("x", 1000): "501",
	} {
		if r := c.request(name, nil); code(r) != want || r.For != name || r.Info == "" {
			t.Errorf("%.20q: %s", name, r.Fields.Describe())
		}
	}
}

func TestSessions(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	restore := func(sid string) (*client, proto.Reply) {
		c := w.dial()
		return c, c.request(proto.TypeSessionRestore, map[string]any{"sid": sid})
	}
	leave := func(c *client) {
		before, _, _ := w.sizes()
		c.ws.CloseNow()
		w.left(before - 1)
	}
	first := w.dial()
	sid := first.authorize("alice", "secret of alice").Fields.Text("session_id")
	second, r := restore(sid)
	user, _ := r.Fields.Map("user")
	if !r.OK() || r.Fields.Text("session_id") != sid || user.Text("login") != "alice" {
		t.Fatalf("%s", r.Fields.Describe())
	}
	for _, bad := range []any{"", "x", sid + "x", 5, nil} {
		if r := second.request(proto.TypeSessionRestore, map[string]any{"sid": bad}); code(r) != "410" || r.Info == "" {
			t.Errorf("%v: %s", bad, r.Status)
		}
	}
	if r := second.request(proto.TypeGetContacts, nil); !r.OK() {
		t.Errorf("a refused restore took the session away: %s", r.Status)
	}
	// The gap counts from the last connection.
	leave(first)
	w.clock.Add(sessionLife + time.Hour)
	if c, r := restore(sid); !r.OK() {
		t.Errorf("while another connection uses it: %s", r.Status)
	} else {
		leave(c)
	}
	leave(second)
	w.clock.Add(sessionLife)
	third, r := restore(sid)
	if !r.OK() {
		t.Errorf("after exactly five minutes: %s", r.Status)
	}
	leave(third)
	w.clock.Add(sessionLife + time.Microsecond)
	if c, r := restore(sid); code(r) != "410" {
		t.Errorf("after more than five minutes: %s", r.Status)
	} else {
		leave(c)
	}
	w.srv.pruneSessions(w.clock.Now())
	if _, _, n := w.sizes(); n != 0 {
		t.Errorf("%d sessions are kept", n)
	}
	if left, err := w.store.Sessions(t.Context(), time.Time{}); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// However often somebody logs in, there is no more of it to keep than so many sessions:
// the one that ended first goes, and none that is in use.
func TestManySessions(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxSessions = 3 }, "alice", "bob")
	bob := w.dial().authorize("bob", "secret of bob").Fields.Text("session_id")
	used, c := w.login("alice"), w.dial()
	var sids []string
	for range 5 {
		sids = append(sids, c.authorize("alice", "secret of alice").Fields.Text("session_id"))
		w.clock.Add(time.Second)
	}
	kept := func(when string) {
		t.Helper()
		for i, want := range []string{"410", "410", "410", "200", "200"} {
			if r := w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sids[i]}); code(r) != want {
				t.Errorf("%s the session %d: %s", when, i, r.Status)
			}
		}
		if r := w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": bob}); !r.OK() {
			t.Errorf("%s that of somebody else: %s", when, r.Status)
		}
	}
	kept("first")
	used.quiet()
	if _, _, n := w.sizes(); n != 4 {
		t.Errorf("there are %d sessions", n)
	}
	w.stop()
	w.start()
	kept("after a restart")
	if _, _, n := w.sizes(); n != 4 {
		t.Errorf("there are %d sessions after a restart", n)
	}
}

// A session that makeRoom forgets stays forgotten, also if a change of it is on its way to
// the store.
func TestForgottenSessionIsNotStoredAgain(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxSessions = 2 }, "alice")
	w.login("alice")
	w.srv.storeChanges()
	c := w.dial()
	sid := c.authorize("alice", "secret of alice").Fields.Text("session_id")
	changed, evicted := make(chan struct{}), make(chan struct{})
	w.srv.mu.Lock()
	w.srv.beforeUpdates = sync.OnceFunc(func() { close(changed); <-evicted })
	w.srv.mu.Unlock()
	c.ws.CloseNow() // its session has ended, and is to be stored so
	<-changed
	w.login("alice") // and now it has to make room
	close(evicted)
	w.stop()
	w.start()
	if r := w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid}); code(r) != "410" {
		t.Errorf("after a restart: %s", r.Status)
	}
	if _, _, n := w.sizes(); n != 2 {
		t.Errorf("there are %d sessions", n)
	}
}

// Room is made for a login by the sessions of clients that have said goodbye, then by those
// of lost connections, and never by one that is in use.
func TestFinishedSessionsMakeRoomFirst(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxSessions = 4 }, "alice")
	begin := func() (*client, string) {
		w.clock.Add(time.Second)
		c := w.dial()
		return c, c.authorize("alice", "secret of alice").Fields.Text("session_id")
	}
	used, _ := begin()
	lost, lostSID := begin()
	lost.ws.CloseNow()
	w.left(1)
	var finished []string
	for range 2 {
		c, sid := begin()
		c.ws.Close(websocket.StatusNormalClosure, "")
		w.left(1)
		finished = append(finished, sid)
	}
	for _, gone := range []string{finished[0], finished[1], lostSID} {
		w.srv.mu.Lock()
		there := w.srv.sessions[sha256.Sum256([]byte(gone))] != nil
		w.srv.mu.Unlock()
		if !there {
			t.Error("it has gone before its turn")
		}
		begin()
		if r := w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": gone}); code(r) != "410" {
			t.Errorf("it did not make room: %s", r.Status)
		}
	}
	begin()
	used.quiet()
	if _, _, n := w.sizes(); n != 5 {
		t.Errorf("there are %d sessions, all in use", n)
	}
}

// A zero value of the options means the default, and one that can't be used is an error.
func TestZeroOptionsAreTheDefaults(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "skarod.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	srv, err := New(Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	srv.Close(t.Context())
	o, d := reflect.ValueOf(srv.o), reflect.ValueOf(DefaultOptions())
	for i := range o.NumField() {
		if name := o.Type().Field(i).Name; o.Field(i).IsZero() || name != "Store" && name != "Log" && name != "Clock" && !o.Field(i).Equal(d.Field(i)) {
			t.Errorf("%s is %v", name, o.Field(i))
		}
	}
	for _, o := range []Options{{}, {Store: s, Registration: "maybe"}, {Store: s, MaxRegistrations: -1}, {Store: s, AliveInterval: -time.Second}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v can be used", o)
		}
	}
}

// A connection may change its mind about who it is.
func TestSwitchUser(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	c := w.login("alice")
	if r := c.authorize("bob", "secret of bob"); !r.OK() {
		t.Fatal(r.Status)
	}
	other := w.login("bob")
	other.send("alice", "for alice only")
	other.send("bob", "for bob")
	c.message() // what bob sent to alice
	if m := c.message(); m.Body != "for bob" {
		t.Errorf("%+v", m)
	}
	c.quiet()
	if _, users, _ := w.sizes(); users != 1 {
		t.Errorf("%d users are online", users)
	}
}

func TestRestart(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	c := w.dial()
	sid := c.authorize("alice", "secret of alice").Fields.Text("session_id")
	gone := w.dial()
	goneSID := gone.authorize("alice", "secret of alice").Fields.Text("session_id")
	gone.ws.CloseNow()
	w.left(1)
	w.clock.Add(time.Minute)
	id := c.send("bob", "before")
	w.stop()
	c.closed(websocket.StatusGoingAway)
	w.clock.Add(sessionLife - time.Second)
	w.start()
	c = w.dial()
	if r := c.request(proto.TypeSessionRestore, map[string]any{"sid": goneSID}); code(r) != "410" {
		t.Errorf("a session that ended before: %s", r.Status)
	}
	if r := c.request(proto.TypeSessionRestore, map[string]any{"sid": sid}); !r.OK() {
		t.Errorf("a session that was in use: %s", r.Status)
	}
	if next := c.send("bob", "after"); next <= id {
		t.Errorf("the id %d comes after %d", next, id)
	}
}

// After a crash, sessions that were in use ended when the server was last known
// to be alive.
func TestCrash(t *testing.T) {
	w := newWorld(t, nil, "alice")
	sid := w.dial().authorize("alice", "secret of alice").Fields.Text("session_id")
	w.stop()
	alive := w.clock.Now()
	w.clock.Add(sessionLife)
	for _, want := range []string{"200", "410"} {
		// What a server that was killed leaves behind.
		if _, err := w.exec(fmt.Sprintf("UPDATE sessions SET ended = NULL; UPDATE server SET alive = %d", alive.UnixMicro())); err != nil {
			t.Fatal(err)
		}
		w.start()
		if r := w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid}); code(r) != want {
			t.Errorf("%v later: %s", w.clock.Now().Sub(alive), r.Status)
		}
		w.stop()
		w.clock.Add(time.Microsecond)
	}
}

// exec changes the database as another process would.
func (w *world) exec(text string) (sql.Result, error) {
	db, err := sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return db.Exec(text)
}

// A password that is changed while the server starts ends the sessions that it has
// just read.
func TestChangeAtTheStart(t *testing.T) {
	w := newWorld(t, nil, "alice")
	sid := w.dial().authorize("alice", "secret of alice").Fields.Text("session_id")
	other := w.conference("ops")
	w.stop()
	var calls atomic.Int64
	w.options.Clock = func() time.Time {
		if calls.Add(1) == 2 { // the sessions are loaded
			if err := other.SetToken("alice", proto.NewToken("new")); err != nil {
				t.Error(err)
			}
		}
		return w.clock.Now()
	}
	w.start()
	eventually(t, "the session is gone", func() bool { _, _, n := w.sizes(); return n == 0 })
	if r := w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid}); code(r) != "410" {
		t.Errorf("the session of the old password: %s", r.Status)
	}
}

// A new password and a removal end what was authorized before, at once, also
// when another process does them.
func TestAccountChanges(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob", "carol")
	other, err := store.Open(w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	alice, bob, carol := w.dial(), w.login("bob"), w.login("carol")
	sid := alice.authorize("alice", "secret of alice").Fields.Text("session_id")
	if err := other.SetToken("alice", proto.NewToken("new")); err != nil {
		t.Fatal(err)
	}
	if err := other.RemoveUser("bob", w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if r := carol.request(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "x"}); code(r) != "404" {
		t.Errorf("to a removed user: %s", r.Status)
	}
	alice.closed(websocket.StatusPolicyViolation)
	bob.closed(websocket.StatusPolicyViolation)
	c := w.dial()
	if r := c.request(proto.TypeSessionRestore, map[string]any{"sid": sid}); code(r) != "410" {
		t.Errorf("the old session: %s", r.Status)
	}
	if r := c.authorize("alice", "secret of alice"); code(r) != "401" {
		t.Errorf("the old password: %s", r.Status)
	}
	if r := c.authorize("bob", "secret of bob"); code(r) != "401" {
		t.Errorf("the removed user: %s", r.Status)
	}
	if r := c.authorize("alice", "new"); !r.OK() {
		t.Errorf("the new password: %s", r.Status)
	}
	c.quiet()
	carol.quiet()
	w.stop()
	w.start()
	if r := w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid}); code(r) != "410" {
		t.Errorf("the old session after a restart: %s", r.Status)
	}
}

func TestDelivery(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob", "carol")
	alice, alice2, bob, bob2, carol := w.login("alice"), w.login("alice"), w.login("bob"), w.login("bob"), w.login("carol")
	r := alice.request(proto.TypeSendMessage, map[string]any{"to": "BOB", "body": "hé\x00\n"})
	id, _ := r.Fields.Int("message_id")
	for _, c := range []*client{alice2, bob, bob2} {
		m := c.message()
		if m.ID != id || m.From != "alice" || m.To != "bob" || m.Body != "hé\x00\n" || m.Extra != nil || !m.Date.Time.Equal(w.clock.Now()) {
			t.Errorf("%+v", m)
		}
	}
	if date := r.Fields.Date("date"); !date.Time.Equal(w.clock.Now()) {
		t.Errorf("the date is %v", date)
	}
	id = alice.send("alice", "note")
	if m := alice2.message(); m.ID != id || m.To != "alice" {
		t.Errorf("%+v", m)
	}
	for _, c := range []*client{alice, alice2, bob, bob2, carol} {
		c.quiet()
	}
}

func TestSendRefused(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	c := w.login("alice")
	for name, test := range map[string]struct {
		fields map[string]any
		status string
		info   string
	}{
		"nobody":        {map[string]any{"to": "bobb", "body": "x"}, "404", `no user "bobb"`},
		"no login":      {map[string]any{"to": "b b", "body": "x"}, "404", `no user "b b"`},
		"no recipient":  {map[string]any{"body": "x"}, "400", "to is a login"},
		"to nothing":    {map[string]any{"to": "", "body": "x"}, "400", "to is a login"},
		"to a number":   {map[string]any{"to": 5, "body": "x"}, "400", "to is a login"},
		"no body":       {map[string]any{"to": "bob"}, "400", "body is text"},
		"empty":         {map[string]any{"to": "bob", "body": ""}, "400", "not empty"},
		"bytes":         {map[string]any{"to": "bob", "body": []byte("x")}, "400", "body is text"},
		"not UTF-8":     {map[string]any{"to": "bob", "body": "a\xffb"}, "400", "body is text"},
		"too large":     {map[string]any{"to": "bob", "body": strings.Repeat("x", w.options.MaxBody+1)}, "413", "262145"},
		"short nonce":   {map[string]any{"to": "bob", "body": "x", "nonce": "0123456789abcde"}, "400", "nonce is text"},
		"long nonce":    {map[string]any{"to": "bob", "body": "x", "nonce": strings.Repeat("x", 65)}, "400", "nonce is text"},
		"another nonce": {map[string]any{"to": "bob", "body": "x", "nonce": 5}, "400", "nonce is text"},
	} {
		if r := c.request(proto.TypeSendMessage, test.fields); code(r) != test.status || !strings.Contains(r.Info, test.info) {
			t.Errorf("%s: %s %q", name, r.Status, r.Info)
		}
	}
	largest := strings.Repeat("x", w.options.MaxBody)
	bob := w.login("bob")
	c.send("bob", largest)
	if m := bob.message(); m.Body != largest {
		t.Errorf("the largest body comes as %d bytes", len(m.Body))
	}
	if list, _, err := w.store.Updates(t.Context(), 1, store.Page{Limit: 10, Bytes: 1 << 20}); err != nil || len(list) != 1 {
		t.Errorf("%d messages, %v", len(list), err)
	}
}

func TestNonce(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	alice, bob := w.login("alice"), w.login("bob")
	fields := map[string]any{"to": "bob", "body": "once", "nonce": "0123456789abcdef"}
	// Both in flight at once.
	a, b := alice.ask(proto.TypeSendMessage, fields), alice.ask(proto.TypeSendMessage, fields)
	first, again := alice.reply(a), alice.reply(b)
	w.clock.Add(time.Hour)
	w.stop()
	w.start()
	alice = w.login("alice")
	later := alice.request(proto.TypeSendMessage, fields)
	for _, r := range []proto.Reply{first, again, later} {
		id, _ := r.Fields.Int("message_id")
		if !r.OK() || id != 1 || r.Fields.Date("date") != first.Fields.Date("date") {
			t.Errorf("%s", r.Fields.Describe())
		}
	}
	fields["body"] = "twice"
	if r := alice.request(proto.TypeSendMessage, fields); code(r) != "409" || r.Info == "" {
		t.Errorf("another body: %s", r.Status)
	}
	if m := bob.message(); m.Body != "once" {
		t.Errorf("%+v", m)
	}
	bob.closed(websocket.StatusGoingAway) // and no message before that: closed would not mind, so:
	if list, _, err := w.store.Updates(t.Context(), 2, store.Page{Limit: 10, Bytes: 1 << 20}); err != nil || len(list) != 1 {
		t.Errorf("%d messages, %v", len(list), err)
	}
}

func TestHistoryAndUpdates(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob", "carol")
	alice, bob := w.login("alice"), w.login("bob")
	for i := range 5 {
		alice.send("bob", fmt.Sprint("a", i))
		bob.send("alice", fmt.Sprint("b", i))
	}
	alice.send("carol", "c")
	list := func(r proto.Reply, field string) string {
		t.Helper()
		if !r.OK() {
			return r.Status
		}
		messages, err := proto.ParseMessages(r.Fields, field)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, m := range messages {
			b.WriteString(m.Body + " ")
		}
		if more, _ := r.Fields.Bool("more"); more {
			b.WriteString("more ")
		}
		if last, ok := r.Fields.Int("last_id"); ok {
			fmt.Fprint(&b, last)
		}
		return b.String()
	}
	for _, test := range []struct {
		fields map[string]any
		want   string
	}{
		{map[string]any{"login": "bob"}, "a0 b0 a1 b1 a2 b2 a3 b3 a4 b4 "},
		{map[string]any{"login": "Bob", "limit": 3}, "b3 a4 b4 more "},
		{map[string]any{"login": "bob", "limit": 2, "before": 9}, "a3 b3 more "},
		{map[string]any{"login": "bob", "after": 8}, "a4 b4 "},
		{map[string]any{"login": "carol"}, "c "},
		{map[string]any{"login": "alice"}, ""},
		{map[string]any{"login": "nobody"}, proto.StatusNotFound},
		{map[string]any{"login": 5}, proto.StatusBadRequest},
		{map[string]any{}, proto.StatusBadRequest},
		{map[string]any{"login": "bob", "limit": 0}, proto.StatusBadRequest},
		{map[string]any{"login": "bob", "limit": "5"}, proto.StatusBadRequest},
		{map[string]any{"login": "bob", "after": -1}, proto.StatusBadRequest},
		{map[string]any{"login": "bob", "before": 1.5}, proto.StatusBadRequest},
	} {
		if got := list(alice.request(proto.TypeGetHistory, test.fields), "history"); got != test.want {
			t.Errorf("history %v: %q", test.fields, got)
		}
	}
	for _, test := range []struct {
		fields map[string]any
		want   string
	}{
		{map[string]any{}, "11"},
		{map[string]any{"after": 0}, "a0 b0 a1 b1 a2 b2 a3 b3 a4 b4 11"},
		{map[string]any{"after": 8}, "a4 b4 11"},
		{map[string]any{"after": 2, "limit": 2}, "a1 b1 more 4"},
		{map[string]any{"after": 11}, "11"},
		{map[string]any{"after": 12, "limit": 1}, "11"}, // so that who has seen a 12 notices
		{map[string]any{"after": 1, "limit": -1}, proto.StatusBadRequest},
		{map[string]any{"after": "x"}, proto.StatusBadRequest},
	} {
		if got := list(bob.request(proto.TypeGetUpdates, test.fields), "messages"); got != test.want {
			t.Errorf("updates %v: %q", test.fields, got)
		}
	}
}

// A client that gives no limit gets no more than a common WebSocket library reads.
func TestPlainHistoryIsSmall(t *testing.T) {
	long := strings.Repeat("\U00020000", 64) // a login and a name of 256 bytes
	w := newWorld(t, nil, "alice", long)
	w.conference(long[4:]+"\U00020001", long)
	names := w.login(long)
	for range 1000 {
		names.send(long[4:]+"\U00020001", strings.Repeat("x", 700))
	}
	names.ask(proto.TypeGetHistory, map[string]any{"login": long[4:] + "\U00020001"})
	if _, b, err := names.ws.Read(context.Background()); err != nil || len(b) > 1<<20 || len(b) < 800<<10 {
		t.Errorf("with long names: %d bytes, %v", len(b), err)
	}
	c := w.login("alice")
	body := strings.Repeat("x", 200<<10)
	for range 6 {
		c.send("alice", body)
	}
	for _, name := range []string{proto.TypeGetHistory, proto.TypeGetUpdates} {
		c.ask(name, map[string]any{"login": "alice", "after": 0})
		_, b, err := c.ws.Read(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		f, err := proto.Decode(b)
		if more, _ := f.Bool("more"); err != nil || !more || len(b) > 1<<20 || len(b) < 800<<10 {
			t.Errorf("%s: %d bytes, more %v, %v", name, len(b), more, err)
		}
	}
	r := c.request(proto.TypeGetHistory, map[string]any{"login": "alice", "limit": 6})
	if more, _ := r.Fields.Bool("more"); more {
		t.Error("with a limit something was left out")
	}
}

func TestContacts(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob", "carol", "dave")
	alice, bob := w.login("alice"), w.login("bob")
	carol := w.login("carol")
	alice.send("carol", "x")
	bob.send("alice", "x")
	carol.ws.CloseNow()
	w.left(2)
	r := alice.request(proto.TypeGetContacts, nil)
	contacts, err := proto.ParseContacts(r.Fields)
	if err != nil || len(contacts) != 2 || contacts[0].Login != "bob" || !*contacts[0].Online || contacts[1].Login != "carol" || *contacts[1].Online {
		t.Errorf("%s, %v", r.Fields.Describe(), err)
	}
}

func TestChangeContacts(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob", "carol")
	alice, _ := w.login("alice"), w.login("bob")
	for _, c := range []struct {
		request string
		fields  map[string]any
		status  string
	}{
		{proto.TypeAddContact, map[string]any{"login": "Bob"}, "200"},
		{proto.TypeAddContact, map[string]any{"login": "bob"}, "200"},
		{proto.TypeAddContact, map[string]any{"login": "alice"}, "400"},
		{proto.TypeAddContact, map[string]any{"login": "nobody"}, "404"},
		{proto.TypeAddContact, map[string]any{"login": "\n"}, "404"},
		{proto.TypeAddContact, map[string]any{"login": 5}, "400"},
		{proto.TypeAddContact, nil, "400"},
		{proto.TypeDelContact, map[string]any{"login": "carol"}, "404"},
		{proto.TypeDelContact, nil, "400"},
		{proto.TypeSearchContacts, map[string]any{"text": ""}, "400"},
		{proto.TypeSearchContacts, map[string]any{"text": true}, "400"},
		{proto.TypeGetUserData, map[string]any{"login": "nobody"}, "404"},
		{proto.TypeGetUserData, map[string]any{"login": "alice", "add_contact": true}, "400"},
		{proto.TypeGetUserData, map[string]any{"login": "alice"}, "200"},
		{proto.TypeGetUserData, map[string]any{"login": "carol", "add_contact": true, "load_if_empty": true}, "200"},
	} {
		if r := alice.request(c.request, c.fields); code(r) != c.status {
			t.Errorf("%s %v: %s", c.request, c.fields, r.Fields.Describe())
		}
	}
	contacts := func(typ string, fields map[string]any) string {
		t.Helper()
		list, err := proto.ParseContacts(alice.request(typ, fields).Fields)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, c := range list {
			fmt.Fprintf(&text, "%s %v;", c.Login, *c.Online)
		}
		return text.String()
	}
	if got := contacts(proto.TypeGetContacts, nil); got != "bob true;carol false;" {
		t.Error(got)
	}
	if r := alice.request(proto.TypeDelContact, map[string]any{"login": "bob"}); !r.OK() {
		t.Error(r.Status)
	}
	if got := contacts(proto.TypeGetContacts, nil); got != "carol false;" {
		t.Error(got)
	}
	if got := contacts(proto.TypeSearchContacts, map[string]any{"text": "B"}); got != "bob true;" {
		t.Error(got)
	}
	user, _ := alice.request(proto.TypeGetUserData, map[string]any{"login": "bob"}).Fields.Map("user")
	if online, _ := user.Bool("online"); !online || user.Text("login") != "bob" || !user.Date("created").Time.Equal(w.clock.Now()) {
		t.Error(user.Describe())
	}
}

// form is a filled-in form of register.
func form(login, password, invite string) map[string]any {
	f := map[string]any{"login": login, "token": proto.NewToken(password).Text()}
	if invite != "" {
		f["invite"] = invite
	}
	return map[string]any{"register_type": "open", "form": f}
}

func TestRegister(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Registration = RegistrationOpen; o.MaxRegistrations = 3 }, "alice")
	c := w.dial()
	for _, x := range []struct {
		fields map[string]any
		status string
	}{
		{nil, "400"},
		{map[string]any{"form": "login"}, "400"},
		{map[string]any{"form": map[string]any{"login": "bob"}}, "400"},
		{map[string]any{"form": map[string]any{"token": proto.NewToken("x").Text()}}, "400"},
		{map[string]any{"form": map[string]any{"login": "bob", "token": "x"}}, "400"},
		{form("a b", "x", ""), "400"},
		{form("a,b", "x", ""), "400"},
		{form("-a", "x", ""), "400"},
		{form("Alice", "x", ""), "409"},
		{form("Bob", "x", ""), "200"},
		{form("bob", "y", ""), "409"},
		{form("carol", "x", ""), "429"},
	} {
		if r := c.request(proto.TypeRegister, x.fields); code(r) != x.status {
			t.Errorf("%v: %s", x.fields, r.Fields.Describe())
		}
	}
	w.clock.Add(time.Minute)
	if r := c.request(proto.TypeRegister, form("carol", "x", "")); !r.OK() {
		t.Error(r.Status)
	}
	if r := c.authorize("bob", "y"); code(r) != "401" {
		t.Errorf("the second one took the first one's account: %s", r.Status)
	}
	if r := c.authorize("bob", "x"); !r.OK() {
		t.Error(r.Status)
	}
	if strings.Contains(w.log.String(), proto.NewToken("x").Text()) {
		t.Error("the token is in the log")
	}
}

// TestOldLogins: accounts whose logins are no longer given away still work.
func TestOldLogins(t *testing.T) {
	old := []string{"a,b", "-a"}
	w := newWorld(t, nil, append(old, "alice")...)
	alice := w.login("alice")
	for _, login := range old {
		c := w.login(login)
		alice.send(strings.ToUpper(login), "hello")
		if m := c.message(); m.Body != "hello" || m.To != login {
			t.Errorf("%q got %+v", login, m)
		}
		if r := alice.request(proto.TypeAddContact, map[string]any{"login": login}); !r.OK() {
			t.Errorf("%q as a contact: %s", login, r.Status)
		}
		if r := alice.request(proto.TypeGetHistory, map[string]any{"login": login}); !r.OK() {
			t.Errorf("the history of %q: %s", login, r.Status)
		}
	}
}

func TestRegisterByInvitation(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Registration = RegistrationInvite }, "alice")
	invite, err := w.store.CreateInvite(w.clock.Now(), w.clock.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c := w.dial()
	for _, x := range []struct {
		fields       map[string]any
		status, info string
	}{
		{form("bob", "x", ""), "403", "an account needs an invitation"},
		{form("bob", "x", "wrong"), "403", "the invitation is wrong, was used, or has expired"},
		{form("alice", "x", invite), "409", "the login is taken; the invitation is still good"},
		{form("bob", "x", invite), "200", ""},
		{form("carol", "x", invite), "403", "the invitation is wrong, was used, or has expired"},
	} {
		if r := c.request(proto.TypeRegister, x.fields); code(r) != x.status || r.Fields.Text("info") != x.info {
			t.Errorf("%v: %s", x.fields, r.Fields.Describe())
		}
	}
	if r := c.authorize("bob", "x"); !r.OK() {
		t.Error(r.Status)
	}
	guesser := w.dial()
	for range w.options.MaxRefusals {
		guesser.request(proto.TypeRegister, form("dave", "x", "wrong"))
	}
	guesser.closed(websocket.StatusPolicyViolation)
	if strings.Contains(w.log.String(), invite) {
		t.Error("the invitation is in the log")
	}
}

func TestRegisterClosed(t *testing.T) {
	w := newWorld(t, nil)
	invite, err := w.store.CreateInvite(w.clock.Now(), w.clock.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if r := w.dial().request(proto.TypeRegister, form("bob", "x", invite)); code(r) != "403" {
		t.Error(r.Status)
	}
}

func TestBadFrames(t *testing.T) {
	w := newWorld(t, nil, "alice")
	c := w.login("alice")
	for _, fields := range []map[string]any{{}, {"type": "", "on_request": 1}, {"type": "send_message"}, {"type": "x", "on_request": "1"}, {"on_request": 1.0}} {
		b, err := proto.Encode(fields)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.write(websocket.MessageBinary, b); err != nil {
			t.Fatal(err)
		}
		if f := c.read(); f.Type() != proto.TypeError || f.Text("info") == "" {
			t.Errorf("%v: %s", fields, f.Describe())
		}
	}
	c.quiet()
	for name, test := range map[string]struct {
		kind websocket.MessageType
		b    []byte
		code websocket.StatusCode
	}{
		"text":      {websocket.MessageText, []byte(`{"type":"register_type"}`), websocket.StatusUnsupportedData},
		"garbage":   {websocket.MessageBinary, []byte("<html>"), websocket.StatusInvalidFramePayloadData},
		"empty":     {websocket.MessageBinary, nil, websocket.StatusInvalidFramePayloadData},
		"too large": {websocket.MessageBinary, make([]byte, int(w.options.MaxFrame)+1), websocket.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.login("alice")
			c.t = t
			if err := c.write(test.kind, test.b); err != nil {
				t.Fatal(err)
			}
			c.closed(test.code)
		})
	}
}

// Authentication and request leave together: the request finds it done.
func TestOneRoundTrip(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	c := w.dial()
	a := c.ask(proto.TypeSessionRestore, map[string]any{"sid": "old"})
	b := c.ask(proto.TypeAuthorize, map[string]any{"login": "alice", "password": proto.NewToken("secret of alice").Answer(c.greeting.Challenge)})
	d := c.ask(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "x"})
	e := c.ask(proto.TypeGetHistory, map[string]any{"login": "bob"})
	if r := c.reply(a); code(r) != "410" {
		t.Error(r.Status)
	}
	if r := c.reply(b); !r.OK() {
		t.Error(r.Status)
	}
	if r := c.reply(d); !r.OK() {
		t.Error(r.Status)
	}
	if messages, err := proto.ParseMessages(c.reply(e).Fields, "history"); err != nil || len(messages) != 1 {
		t.Errorf("the history does not have what was sent before it: %v, %v", messages, err)
	}
}

// flood sends n messages with many in flight, and returns their ids.
func (c *client) flood(to string, n int) []int64 {
	const window = 256
	var ids []int64
	bodies := map[int64]bool{}
	for sent := 0; len(ids) < n; {
		for ; sent < n && len(bodies) < window; sent++ {
			bodies[c.ask(proto.TypeSendMessage, map[string]any{"to": to, "body": fmt.Sprint(sent)})] = true
		}
		f := c.read()
		if f.Type() == proto.TypeShowMessage {
			continue
		}
		r, err := proto.ParseReply(f)
		id, _ := r.Fields.Int("message_id")
		if err != nil || !r.OK() || !bodies[r.ID] {
			c.t.Errorf("%s, %v", f.Describe(), err)
			return ids
		}
		delete(bodies, r.ID)
		ids = append(ids, id)
	}
	return ids
}

// Whoever listens to many senders at once has every message once, in the order
// of the ids, and so has who comes and goes and catches up.
func TestNothingIsMissed(t *testing.T) {
	const senders, each = 4, 500
	w := newWorld(t, nil, "alice", "bob")
	listener := w.login("bob")
	var wg sync.WaitGroup
	for range senders {
		c := w.login("alice")
		wg.Go(func() {
			ids := c.flood("bob", each)
			for i := 1; i < len(ids); i++ {
				if ids[i] <= ids[i-1] {
					t.Errorf("the id %d is confirmed after %d", ids[i], ids[i-1])
				}
			}
		})
	}
	wg.Go(func() { // comes and goes
		seen, position := 0, int64(0)
		for seen < senders*each {
			c := w.login("bob")
			last := position
			for more := true; more; {
				r := c.request(proto.TypeGetUpdates, map[string]any{"after": last, "limit": 100})
				messages, err := proto.ParseMessages(r.Fields, "messages")
				if err != nil {
					t.Error(err)
					return
				}
				for _, m := range messages {
					if m.ID <= position {
						t.Errorf("%d came twice", m.ID)
					}
					position = m.ID
					seen++
				}
				last, _ = r.Fields.Int("last_id")
				more, _ = r.Fields.Bool("more")
			}
			for i := 0; i < 20 && seen < senders*each; i++ {
				m := c.message()
				if m.ID <= last {
					continue
				}
				if m.ID <= position {
					t.Errorf("%d came twice or late", m.ID)
				}
				position = m.ID
				seen++
			}
			c.ws.CloseNow()
		}
	})
	last := int64(0)
	for range senders * each {
		m := listener.message()
		if m.ID <= last {
			t.Fatalf("%d comes after %d", m.ID, last)
		}
		last = m.ID
	}
	wg.Wait()
	listener.quiet()
}

// A listener that does not read is disconnected with a code that says so;
// nobody else notices.
func TestSlowListener(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxQueue = 64 }, "alice", "bob")
	slow, good, alice := w.login("bob"), w.login("bob"), w.login("alice")
	body := strings.Repeat("x", 100<<10) // the kernel's buffers are full after some of these
	sent := 0
	for ; w.srv.counter.tooSlow.Load() == 0 && sent < 1000; sent++ {
		alice.send("bob", body)
		good.message()
	}
	if n := w.srv.counter.tooSlow.Load(); n != 1 {
		t.Fatalf("%d connections were too slow after %d messages", n, sent)
	}
	alice.send("bob", "after")
	if m := good.message(); m.Body != "after" {
		t.Errorf("the other listener has %.10q", m.Body)
	}
	last := int64(0)
	for {
		f, err := slow.tryRead()
		if err != nil {
			var closed websocket.CloseError
			if !errors.As(err, &closed) || closed.Code != websocket.StatusTryAgainLater || !strings.Contains(closed.Reason, "too slow") {
				t.Errorf("closed with %v", err)
			}
			break
		}
		m := proto.ParseMessage(f)
		if m.ID != last+1 {
			t.Fatalf("%d comes after %d", m.ID, last)
		}
		last = m.ID
	}
	// It comes back and catches up.
	r := w.login("bob").request(proto.TypeGetUpdates, map[string]any{"after": last, "limit": 1})
	if m, err := proto.ParseMessages(r.Fields, "messages"); err != nil || len(m) != 1 || m[0].ID != last+1 {
		t.Errorf("%v, %v", m, err)
	}
}

// A client that asks and does not read the answers waits for itself, and is
// dropped when it reads nothing for too long.
func TestAsksWithoutReading(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxQueue = 16; o.WriteTime = 50 * time.Millisecond }, "alice")
	c := w.login("alice")
	c.send("alice", strings.Repeat("x", 250<<10))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := proto.EncodeRequest(proto.TypeGetHistory, 1, map[string]any{"login": "alice"})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil; i++ {
		err = c.ws.Write(ctx, websocket.MessageBinary, b)
	}
	if ctx.Err() != nil {
		t.Fatal("the connection lives on")
	}
	w.left(0)
	if w.srv.counter.tooSlow.Load() != 0 {
		t.Error("it was closed for a full queue")
	}
}

// slowLink is a connection that is read slowly: 4 KiB in this time.
type slowLink struct{ net.Conn }

func (l slowLink) Read(b []byte) (int, error) {
	time.Sleep(2 * time.Millisecond)
	return l.Conn.Read(b[:min(len(b), 4<<10)])
}

// pipes is a listener on links that hold nothing on the way.
type pipes struct {
	net.Listener
	far chan net.Conn
}

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p.far; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

// dialPipe is dial over a link that holds nothing: what the server writes waits until
// it is read.
func (w *world) dialPipe(link func(net.Conn) net.Conn) *client {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // for its Close and Addr
	if err != nil {
		w.t.Fatal(err)
	}
	links := pipes{ln, make(chan net.Conn)}
	web := w.srv.HTTP()
	served := make(chan error, 1)
	go func() { served <- web.Serve(Listener(links)) }()
	w.t.Cleanup(func() { close(links.far); <-served; web.Close() })
	through := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		links.far <- far
		return link(near), nil
	}}}
	ws, _, err := websocket.Dial(w.t.Context(), "ws://"+w.addr+Path, &websocket.DialOptions{HTTPClient: through})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(proto.MaxFrame)
	c := &client{t: w.t, ws: ws}
	if c.greeting, err = proto.ParseGreeting(c.read()); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// Nothing is done for somebody whose password was changed, even where the connection can't
// be closed yet because what was written before is not taken.
func TestEndedWhileDeaf(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	bob := w.login("bob")
	deaf := w.dialPipe(func(c net.Conn) net.Conn { return c })
	if r := deaf.authorize("alice", "secret of alice"); !r.OK() {
		t.Fatal(r.Status)
	}
	deaf.ask(proto.TypeRegisterType, nil) // the answer is never read
	if err := w.conference("ops").SetToken("alice", proto.NewToken("new")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is ending", func() bool {
		w.srv.mu.Lock()
		defer w.srv.mu.Unlock()
		for c := range w.srv.conns {
			if c.isEnding() {
				return true
			}
		}
		return false
	})
	deaf.ask(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "from who has the old password"})
	eventually(t, "it reads no more", func() bool { _, users, _ := w.sizes(); return users == 1 })
	bob.send("bob", "is stored after what came before")
	bob.quiet()
}

// Whatever is given for a login, the answer is not long, and neither is the work.
func TestHugeLogins(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Registration = RegistrationOpen }, "alice")
	c := w.login("alice")
	huge := strings.Repeat("\x01", 4<<20)
	for typ, status := range map[string]string{
		proto.TypeAuthorize: "401", proto.TypeGetHistory: "404", proto.TypeGetUserData: "404", proto.TypeAddContact: "404", proto.TypeDelContact: "404",
		proto.TypeSendMessage: "404", proto.TypeRegister: "400",
	} {
		r := c.request(typ, map[string]any{"login": huge, "to": huge, "body": "x", "form": map[string]any{"login": huge}})
		if code(r) != status || len(r.Info) > 1000 {
			t.Errorf("%s: %s, and %d bytes of why", typ, r.Status, len(r.Info))
		}
	}
	if r := c.request(huge, nil); code(r) != "501" || len(r.Info) > 1000 {
		t.Errorf("a huge request: %s, and %d bytes of why", r.Status, len(r.Info))
	}
	c.quiet()
}

// A client on a slow link gets a large reply, which takes longer than anything may that
// takes nothing, and its pings are answered meanwhile.
func TestSlowLink(t *testing.T) {
	const writeTime = time.Second
	w := newWorld(t, func(o *Options) { o.WriteTime = writeTime }, "alice")
	alice := w.login("alice")
	for range 16 {
		alice.send("alice", strings.Repeat("x", 250<<10))
	}
	c := w.dialPipe(func(c net.Conn) net.Conn { return slowLink{c} })
	c.authorize("alice", "secret of alice")
	begins := time.Now()
	id := c.ask(proto.TypeGetUpdates, map[string]any{"after": 0, "limit": 100})
	pong := make(chan error, 1)
	go func() { pong <- c.ws.Ping(t.Context()) }()
	messages, err := proto.ParseMessages(c.reply(id).Fields, "messages")
	if err != nil || len(messages) != 16 {
		t.Errorf("%d messages, %v", len(messages), err)
	}
	if took := time.Since(begins); took < writeTime {
		t.Errorf("the link is not slow: it took %v", took)
	}
	select {
	case err := <-pong:
		if err != nil {
			t.Error(err)
		}
	default:
		t.Error("the ping was not answered before the reply had come")
	}
}

func TestLoginDeadline(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.AuthTime = 200 * time.Millisecond }, "alice")
	idle, c := w.dial(), w.login("alice")
	idle.closed(websocket.StatusPolicyViolation)
	c.quiet()
}

// A link whose other end is silent, as one that was cut without a word, is
// dropped; a live one that has nothing to say is not.
func TestSilentLink(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.PingInterval = 500 * time.Millisecond }, "alice")
	live := w.login("alice")
	w.dial() // never reads again, so never answers a ping
	go func() {
		for {
			if _, _, err := live.ws.Reader(context.Background()); err != nil {
				return
			}
		}
	}()
	w.left(1)
	if _, users, _ := w.sizes(); users != 1 {
		t.Error("it is the wrong one")
	}
}

func TestTooManyConnections(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxConnections = 2 })
	a := w.dial()
	w.dial()
	_, resp, err := websocket.Dial(t.Context(), "ws://"+w.addr+Path, nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("%v", err)
	}
	a.ws.CloseNow()
	w.left(1)
	w.dial()
}

func TestForeignWebPage(t *testing.T) {
	w := newWorld(t, nil)
	_, resp, err := websocket.Dial(t.Context(), "ws://"+w.addr+Path, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://example.invalid"}}})
	if err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("%v", err)
	}
}

// When the database can't be written, senders are told, and all is well again
// once it can.
func TestFailedCommit(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	alice, bob := w.login("alice"), w.login("bob")
	if _, err := w.exec("CREATE TRIGGER full BEFORE INSERT ON messages WHEN new.body = 'no room' BEGIN SELECT RAISE(ABORT, 'no room'); END"); err != nil {
		t.Fatal(err)
	}
	r := alice.request(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "no room"})
	if code(r) != "500" || r.Info == "" || strings.Contains(r.Info, "trigger") {
		t.Errorf("%s %q", r.Status, r.Info)
	}
	if !strings.Contains(w.log.String(), "no room") {
		t.Errorf("the log does not say why: %s", w.log)
	}
	id := alice.send("bob", "room")
	if m := bob.message(); m.ID != id || id != 1 {
		t.Errorf("%+v", m)
	}
	bob.quiet()
}

func TestShutdown(t *testing.T) {
	w := newWorld(t, nil, "alice")
	c := w.login("alice")
	deaf := w.dial() // does not answer the close frame until later
	w.stop()
	c.closed(websocket.StatusGoingAway)
	deaf.closed(websocket.StatusGoingAway)
	if _, _, err := websocket.Dial(t.Context(), "ws://"+w.addr+Path, nil); err == nil {
		t.Error("the server still accepts connections")
	}
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestWebPages(t *testing.T) {
	w := newWorld(t, nil, "alice")
	c := w.login("alice")
	c.authorize("alice", "wrong")
	c.send("alice", "x")
	if status, body := get(t, "http://"+w.addr+"/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", status, body)
	}
	status, body := get(t, "http://"+w.addr+"/metrics")
	for _, line := range []string{"skarod_connections 1", "skarod_users_online 1", "skarod_messages_total 1", "skarod_refused_logins_total 1", "skarod_logins_total 1", "# TYPE skarod_messages_total counter"} {
		if status != http.StatusOK || !strings.Contains(body, line+"\n") {
			t.Errorf("metrics: %d, no %q in\n%s", status, line, body)
		}
	}
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "server.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(body) {
		if name, _, _ := strings.Cut(line, " "); !strings.HasPrefix(line, "#") && !bytes.Contains(manual, []byte("| `"+name+"` |")) {
			t.Errorf("docs/server.md does not have %s", name)
		}
	}
	for _, path := range []string{"/", "/skaro"} {
		if status, _ := get(t, "http://"+w.addr+path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _ := get(t, "http://"+w.addr+Path); status != http.StatusUpgradeRequired {
		t.Errorf("%s without an upgrade: %d", Path, status)
	}
	if log := w.log.String(); strings.Count(log, "\n") != strings.Count(log, "level=DEBUG")+1 { // the login that was refused
		t.Errorf("strangers fill the log: %s", log)
	}
	handler := w.srv.HTTP().Handler
	w.stop()
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("healthz without a database: %d", answer.Code)
	}
}

// Who holds a connection that is no WebSocket, where no limit counts it, loses it: with
// an answer that is taken and nothing more asked, a body that does not come, answers
// that are not taken, or nothing at all. A WebSocket stays.
func TestIdleHTTP(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.HTTPTime = 200 * time.Millisecond }, "alice")
	c := w.login("alice")
	const metrics = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
	for what, request := range map[string]string{
		"an answer": metrics, "no body": "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "half a request": metrics[:20], "nothing": "",
		"answers not taken": strings.Repeat(metrics, 1_000_000),
	} {
		k, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		_ = k.SetDeadline(time.Now().Add(patience))
		taken := what != "answers not taken"
		if _, err = io.WriteString(k, request); taken {
			_, err = io.Copy(io.Discard, k)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || err == nil && !taken {
			t.Errorf("%s: the connection lives on", what)
		}
	}
	c.quiet()
}

// Nothing secret is in the log, not even a password typed as a login.
func TestLogHasNoSecrets(t *testing.T) {
	w := newWorld(t, nil, "alice")
	c := w.dial()
	c.authorize("hunter2", "x")
	answer := proto.NewToken("secret of alice").Answer(c.greeting.Challenge)
	sid := c.authorize("alice", "secret of alice").Fields.Text("session_id")
	c.send("alice", "the body")
	w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid})
	w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid[1:]})
	w.stop()
	log := w.log.String()
	for _, secret := range []string{"hunter2", answer, c.greeting.Challenge, sid[1:], "the body", "secret of"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	for _, word := range []string{"login refused", `reason="wrong login or password"`, "logged in", "connection ended", "login=alice"} {
		if !strings.Contains(log, word) {
			t.Errorf("%q is not in the log:\n%s", word, log)
		}
	}
}

// TestLoginRefusedLog: the log tells why a login was refused.
func TestLoginRefusedLog(t *testing.T) {
	w := newWorld(t, nil, "alice")
	c := w.dial()
	for _, x := range []struct {
		ask    func() proto.Reply
		reason string
	}{
		{func() proto.Reply { return c.authorize("nobody", "x") }, `reason="wrong login or password"`},
		{func() proto.Reply { return c.authorize("alice", "x") }, `reason="wrong login or password"`},
		{func() proto.Reply { return c.request(proto.TypeSessionRestore, map[string]any{"sid": "x"}) }, `reason="the session can't be restored"`},
	} {
		before := len(w.log.String())
		r := x.ask()
		line := w.log.String()[before:]
		if r.OK() || strings.Count(line, "\n") != 1 || !strings.Contains(line, `msg="login refused" peer=127.0.0.1:`) || !strings.HasSuffix(line, " "+x.reason+"\n") {
			t.Errorf("%s: %s", r.Status, line)
		}
	}
}

// goodbye is a client that sends a close frame and goes away without waiting.
func (w *world) goodbye() {
	w.t.Helper()
	check := func(err error) {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	c, err := net.Dial("tcp", w.addr)
	check(err)
	defer c.Close()
	check(c.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", Path)
	check(err)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	check(err)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatal(resp.Status)
	}
	// The greeting is read, because the system tells the other side of what is not.
	header := make([]byte, 4) // final, binary, and a length of two bytes
	_, err = io.ReadFull(r, header)
	check(err)
	_, err = io.CopyN(io.Discard, r, int64(header[2])<<8|int64(header[3]))
	check(err)
	_, err = c.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}) // close, masked with zeros, 1000
	check(err)
}

// TestEndLog: a connection that ends as it should is logged without an error, one
// that the server ends with the reason.
func TestEndLog(t *testing.T) {
	w := newWorld(t, nil, "alice")
	ended := func(kind websocket.MessageType, frame []byte, code websocket.StatusCode) func() {
		return func() {
			c := w.dial()
			if err := c.write(kind, frame); err != nil {
				t.Fatal(err)
			}
			c.closed(code)
		}
	}
	for name, x := range map[string]struct {
		end  func()
		says string // after the peer
	}{
		"1000":      {func() { w.login("alice").ws.Close(websocket.StatusNormalClosure, "") }, ""},
		"1001":      {func() { w.login("alice").ws.Close(websocket.StatusGoingAway, "bye") }, ""},
		"no code":   {func() { w.login("alice").ws.Close(websocket.StatusNoStatusRcvd, "") }, ""},
		"gone":      {w.goodbye, ""},
		"cut":       {func() { w.login("alice").ws.CloseNow() }, ` error=.+`},
		"1002":      {func() { w.login("alice").ws.Close(websocket.StatusProtocolError, "") }, ` error=".*StatusProtocolError.*"`},
		"text":      {ended(websocket.MessageText, nil, websocket.StatusUnsupportedData), ` reason="Skaro frames are binary messages"`},
		"garbage":   {ended(websocket.MessageBinary, []byte("x"), websocket.StatusInvalidFramePayloadData), ` reason="not a Skaro frame" error=.*`},
		"too large": {ended(websocket.MessageBinary, make([]byte, w.options.MaxUnauthenticatedFrame+1), websocket.StatusMessageTooBig), ` reason="the frame is too large" error=.*`},
		"passwd": {func() {
			c := w.login("alice")
			if err := w.store.SetToken("alice", proto.NewToken("secret of alice")); err != nil {
				t.Fatal(err)
			}
			w.srv.checkUsers()
			c.closed(websocket.StatusPolicyViolation)
		}, ` reason="the account was changed: log in again"`},
	} {
		before := len(w.log.String())
		x.end()
		w.left(0)
		_, line, _ := strings.Cut(w.log.String()[before:], `msg="connection ended"`)
		if !regexp.MustCompile(`\A peer=127\.0\.0\.1:\d+` + x.says + `\n\z`).MatchString(line) {
			t.Errorf("%s: %q", name, line)
		}
	}
	w.login("alice").ws.CloseRead(t.Context()) // it answers the close frame
	before := len(w.log.String())
	w.stop()
	if line := w.log.String()[before:]; !strings.HasSuffix(line, ` reason="the server is shutting down"`+"\n") {
		t.Errorf("the end of the server: %q", line)
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // elsewhere than on Linux only goroutines are counted
	}
	return len(entries)
}

func TestNoLeaks(t *testing.T) {
	w := newWorld(t, nil, "alice")
	w.login("alice").ws.CloseNow()
	w.left(0)
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	for i := range 200 {
		c := w.login("alice")
		c.ask(proto.TypeSendMessage, map[string]any{"to": "alice", "body": "x"})
		switch i % 3 {
		case 0:
			c.ws.CloseNow()
		case 1:
			c.ws.Close(websocket.StatusNormalClosure, "")
		case 2:
			c.write(websocket.MessageText, nil)
			c.closed(websocket.StatusUnsupportedData)
		}
	}
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "all files are closed", func() bool { return descriptors(t) <= files })
	if _, users, sessions := w.sizes(); users != 0 || sessions != 201 {
		t.Errorf("%d users, %d sessions", users, sessions)
	}
}

// FuzzFrames: whatever a client sends, the server answers the next request or
// has closed the connection; it never dies.
func FuzzFrames(f *testing.F) {
	w := newWorld(f, func(o *Options) { o.MaxRefusals = 1 << 30 }, "alice")
	for _, fields := range []map[string]any{
		{"type": "send_message", "on_request": 1, "to": "alice", "body": "x", "nonce": "0123456789abcdef"},
		{"type": "authorize", "on_request": 1, "login": "alice", "password": "x"},
		{"type": "session_restore", "on_request": 1, "sid": "x"},
		{"type": "get_history", "on_request": -1, "login": "alice", "limit": 1 << 40, "before": 5, "after": 1},
		{"type": "get_updates", "on_request": 1, "after": 0, "limit": 1},
		{"type": "get_contacts", "on_request": 1},
	} {
		b, err := proto.Encode(fields)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	var c *client
	f.Fuzz(func(t *testing.T, b []byte) {
		w.t = t
		if c == nil {
			c = w.connect()
			if r := c.authorize("alice", "secret of alice"); !r.OK() {
				t.Fatal(r.Status)
			}
		}
		c.t = t
		if err := c.write(websocket.MessageBinary, b); err != nil {
			t.Fatal(err)
		}
		const number = 1 << 60
		probe, err := proto.EncodeRequest(proto.TypeRegisterType, number, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.write(websocket.MessageBinary, probe) // the server may have closed already
		for {
			frame, err := c.tryRead()
			if err != nil {
				if websocket.CloseStatus(err) != websocket.StatusInvalidFramePayloadData {
					t.Errorf("%x: %v", b, err)
				}
				c.ws.CloseNow()
				c = nil
				return
			}
			if r, err := proto.ParseReply(frame); err == nil && r.ID == number && r.For == proto.TypeRegisterType {
				return
			}
		}
	})
}

// BenchmarkSend is one sender with many messages in flight, over loopback, each
// answered when it is on disk.
func BenchmarkSend(b *testing.B) {
	w := newWorld(b, nil, "alice", "bob")
	for _, online := range []bool{false, true} {
		b.Run(fmt.Sprintf("recipient online %v", online), func(b *testing.B) {
			c := w.login("alice")
			if online {
				bob := w.login("bob")
				defer bob.ws.CloseNow()
				go func() {
					for {
						if _, _, err := bob.ws.Read(context.Background()); err != nil {
							return
						}
					}
				}()
			}
			slots := make(chan struct{}, 256)
			done := make(chan error, 1)
			go func() {
				for range b.N {
					if _, _, err := c.ws.Read(context.Background()); err != nil {
						done <- err
						return
					}
					<-slots
				}
				done <- nil
			}()
			b.ResetTimer()
			for i := range b.N {
				slots <- struct{}{}
				frame, err := proto.EncodeRequest(proto.TypeSendMessage, int64(i), map[string]any{
					"to": "bob", "body": "disk almost full on web1: 97 % of /var is used", "nonce": fmt.Sprintf("run of one sender %09d", i),
				})
				if err != nil {
					b.Fatal(err)
				}
				if err := c.ws.Write(context.Background(), websocket.MessageBinary, frame); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// A message is told of and pushed in the same breath: whoever logs in, which takes
// the same lock, finds both done or neither. Otherwise a message could be pushed
// before a login and be above told when that login asks for updates, and be lost.
func TestToldWithThePush(t *testing.T) {
	for _, to := range []string{"bob", "ops"} {
		w := newWorld(t, nil, "alice", "bob")
		if err := w.store.CreateConference("ops", []string{"alice", "bob"}, w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		alice, bob := w.login("alice"), w.login("bob")
		const n = 5000
		go func() {
			for range n {
				if _, err := bob.tryRead(); err != nil {
					return
				}
			}
		}()
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			alice.flood(to, n)
		}()
		for done := false; !done; {
			select {
			case <-flooded:
				done = true
			default:
			}
			w.srv.mu.Lock()
			told, pushed := w.srv.lastPushed, w.srv.counter.delivered.Load() // bob's connection is the only one
			w.srv.mu.Unlock()
			if told != pushed {
				t.Fatalf("to %s: told up to %d, pushed up to %d", to, told, pushed)
			}
		}
	}
}
