package server

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// sessionLife is how long a session outlives its last connection.
const sessionLife = 5 * time.Minute

func TestSessionLastsFiveMinutesAfterItsLastConnection(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
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
	eventually(t, "none is stored", func() bool {
		left, err := w.store.Sessions(t.Context(), time.Time{}, w.clock.Now())
		return err == nil && len(left) == 0
	})
}

// A clock that is set forward and back leaves no session without an end.
func TestSessionEndsAlthoughTheClockWasSetBack(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	restored := func(sid string) string {
		t.Helper()
		return code(w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid}))
	}
	for name, restart := range map[string]bool{"it runs on": false, "it starts again": true} {
		w.clock.Add(10 * 365 * 24 * time.Hour)
		c := w.dial()
		sid := c.authorize("alice", "secret of alice").Fields.Text("session_id")
		before, _, _ := w.sizes()
		c.ws.CloseNow()
		w.left(before - 1)
		w.clock.Add(-10 * 365 * 24 * time.Hour)
		if restart {
			w.stop()
			w.start()
		}
		w.srv.pruneSessions(w.clock.Now())
		w.clock.Add(sessionLife + time.Second)
		if got := restored(sid); got != "410" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// However often a user logs in, MaxSessions are kept: the one that ended first goes, and none
// that is in use.
func TestSessionThatEndedFirstMakesRoom(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxSessions = 3 }, "alice", "bob")
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
			t.Errorf("%s the session of another user: %s", when, r.Status)
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

// A session that makeRoom forgets stays forgotten, even if a change of it is on its way to
// the store.
func TestForgottenSessionIsNotStoredAgain(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxSessions = 2 }, "alice")
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

// A session that ends after it was found, and before the connection has it, gives no login.
func TestSessionThatEndsDuringTheLoginIsGone(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	c := w.dial()
	sid := c.authorize("alice", "secret of alice").Fields.Text("session_id")
	c.ws.CloseNow()
	w.left(0)
	late := w.dial()
	x, err := w.srv.restoreSession(w.connection(), sid)
	if x == nil || err != nil {
		t.Fatalf("the session is not there: %v", err)
	}
	w.srv.endSessions(x.user.ID, func(*session) bool { return true })
	if w.srv.login(w.connection(), x) {
		t.Error("it is logged in with a session that has ended")
	}
	if r := late.request(proto.TypeGetContacts, nil); code(r) != "401" {
		t.Errorf("the connection: %s", r.Status)
	}
	if r := late.request(proto.TypeSessionRestore, map[string]any{"sid": sid}); code(r) != "410" {
		t.Errorf("the SID: %s", r.Status)
	}
}

// Room is made for a login by the sessions of clients that have said goodbye, then by those
// of lost connections, and never by one that is in use.
func TestFinishedSessionsMakeRoomFirst(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxSessions = 4 }, "alice")
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

// A connection can log in again, as another user.
func TestConnectionCanChangeItsUser(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
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

func TestRestartKeepsSessionsAndIDs(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
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

// After a crash, sessions that were in use count as ended when the server last stored that it
// runs.
func TestSessionsInUseEndWithTheLastAlive(t *testing.T) {
	w := newTestServer(t, nil, "alice")
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
