package server

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// A password that changes while the server starts ends the sessions that it has just read.
func TestPasswordChangedDuringTheStartEndsSessions(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	sid := w.dial().authorize("alice", "secret of alice").Fields.Text("session_id")
	other := w.conference("ops")
	w.stop()
	var calls atomic.Int64
	w.options.Clock = func() time.Time {
		if calls.Add(1) == 2 { // the sessions are loaded
			if err := other.SetToken("alice", newToken("new")); err != nil {
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

// A new password and a removal end at once what was authorized before, even if another process
// makes them.
func TestChangedAccountLosesItsSessions(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob", "carol")
	other, err := store.Open(w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	alice, bob, carol := w.dial(), w.login("bob"), w.login("carol")
	sid := alice.authorize("alice", "secret of alice").Fields.Text("session_id")
	if err := other.SetToken("alice", newToken("new")); err != nil {
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

func TestCloseEndsConnectionsAsGoingAway(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	c := w.login("alice")
	deaf := w.dial() // does not answer the close frame until later
	w.stop()
	c.closed(websocket.StatusGoingAway)
	deaf.closed(websocket.StatusGoingAway)
	if _, _, err := websocket.Dial(t.Context(), "ws://"+w.addr+Path, nil); err == nil {
		t.Error("the server still accepts connections")
	}
}

// What was begun when the server is stopped is finished and answered, then the connection ends.
// What is sent later is not begun.
func TestCloseFinishesWhatWasBegun(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	c := w.login("alice")
	k := w.connection()
	unlock := w.lockDatabase() // nothing can be stored until then
	const begun = 20
	for range begun {
		c.ask(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "x"})
	}
	eventually(t, "all messages are in flight", func() bool { return len(k.inFlight) == begun })
	stopped := make(chan struct{})
	go func() { defer close(stopped); w.stop() }()
	eventually(t, "the connection takes no more requests", func() bool {
		k.handling.Lock()
		defer k.handling.Unlock()
		return k.finishing
	})
	late := c.ask(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "late"})
	unlock()
	for n := int64(2); n < 2+begun; n++ { // 1 was the login
		if r := c.reply(n); !r.OK() {
			t.Errorf("%d: %s", n, r.Status)
		}
	}
	c.closed(websocket.StatusGoingAway)
	<-stopped
	w.start()
	r := w.login("bob").request(proto.TypeGetUpdates, map[string]any{"after": 0})
	if list, err := proto.ParseMessages(r.Fields, "messages"); err != nil || len(list) != begun {
		t.Errorf("%d messages, with request %d: %v", len(list), late, err)
	}
}

// A client that takes nothing does not keep the server from ending.
func TestCloseDropsADeafPeer(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.WriteTime = 2 * patience }, "alice")
	deaf := w.dialPipe(func(c net.Conn) net.Conn { return c })
	if r := deaf.authorize("alice", "secret of alice"); !r.OK() {
		t.Fatal(r.Status)
	}
	deaf.ask(proto.TypeRegisterType, nil) // the answer is never read
	k := w.connection()
	w.closing = 0
	w.stop()
	select {
	case <-k.ended:
	case <-time.After(patience):
		t.Fatal("the connection lives on")
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

// /healthz and /metrics are not where clients connect.
func TestHTTPHasOnlyTheWebSocket(t *testing.T) {
	w := newTestServer(t, nil)
	for _, path := range []string{"/", "/skaro", "/healthz", "/metrics", Path + "x", Path + "x/y"} {
		if status, _ := get(t, "http://"+w.addr+path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _ := get(t, "http://"+w.addr+Path); status != http.StatusUpgradeRequired {
		t.Errorf("%s without an upgrade: %d", Path, status)
	}
	w.srv.bursts.log(w.options.Log)
	if log := w.log.String(); strings.Count(log, "\n") != strings.Count(log, "level=DEBUG") {
		t.Errorf("unauthenticated clients fill the log: %s", log)
	}
}

// keepHouse does by itself what no connection asks for: it says that the server runs, forgets old
// sessions, and old nonces.
func TestHousekeepingDoesItsWork(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.AliveInterval = time.Millisecond }, "alice")
	c := w.login("alice")
	c.request(proto.TypeSendMessage, map[string]any{"to": "alice", "body": "x", "nonce": "0123456789abcdef"})
	c.ws.CloseNow()
	w.left(0)
	w.clock.Add(store.NonceLife + time.Hour)
	db, err := sql.Open("sqlite", "file:"+w.path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for what, query := range map[string]string{
		"alive":    fmt.Sprintf("SELECT alive = %d FROM server", w.clock.Now().UnixMicro()),
		"sessions": "SELECT count(*) = 0 FROM sessions",
		"nonces":   "SELECT count(nonce) = 0 FROM messages",
	} {
		eventually(t, what, func() (done bool) {
			if err := db.QueryRow(query).Scan(&done); err != nil {
				t.Fatal(err)
			}
			return done
		})
	}
	if _, _, sessions := w.sizes(); sessions != 0 {
		t.Errorf("%d sessions", sessions)
	}
}

// An HTTP connection that does not become a WebSocket ends soon, whatever its client fails to
// send or to read. A WebSocket stays.
func TestIdleHTTPConnectionsEnd(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.HTTPTime = 200 * time.Millisecond }, "alice")
	c := &client{t: t}
	eventually(t, "the handshake is done in time", func() (ok bool) {
		var err error
		c.ws, _, err = websocket.Dial(t.Context(), "ws://"+w.addr+Path, nil)
		return err == nil
	})
	defer c.ws.CloseNow()
	c.read() // the greeting
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

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // only goroutines are counted
	}
	return len(entries)
}

func TestConnectionsLeaveNothingOpen(t *testing.T) {
	w := newTestServer(t, nil, "alice")
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
