package server

import (
	"net"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Clients that ask for much and read nothing hold little more than one message each. When they
// read, they get everything.
func TestDeafClientsShareWhatIsUnread(t *testing.T) {
	const body, deaf = 250 << 10, 8
	w := newTestServer(t, func(o *Options) { o.MaxUnreadBytes, o.WriteTime = 1<<20, patience }, "alice")
	alice := w.login("alice")
	for range 16 {
		alice.send("alice", strings.Repeat("x", body))
	}
	alice.ws.CloseNow()
	w.left(0)
	var clients []*client
	for range deaf {
		c := w.dialPipe(func(c net.Conn) net.Conn { return c })
		if r := c.authorize("alice", "secret of alice"); !r.OK() {
			t.Fatal(r.Status)
		}
		c.ask(proto.TypeGetUpdates, map[string]any{"after": 0, "limit": 100})
		clients = append(clients, c)
	}
	eventually(t, "each has a reply", func() bool { return w.srv.unread.bytes.Load() >= deaf*body })
	if n := w.srv.unread.bytes.Load(); n > deaf*(body+leastUnread) {
		t.Errorf("%d clients hold %d bytes", deaf, n)
	}
	for _, c := range clients[1:] {
		c.ws.CloseNow()
	}
	w.left(1)
	got, r := 0, clients[0].reply(clients[0].requests)
	for {
		messages, err := proto.ParseMessages(r.Fields, "messages")
		if err != nil {
			t.Fatal(err)
		}
		got += len(messages)
		if more, _ := r.Fields.Bool("more"); !more {
			break
		}
		last, _ := r.Fields.Int("last_id")
		r = clients[0].request(proto.TypeGetUpdates, map[string]any{"after": last, "limit": 100})
	}
	if got != 16 {
		t.Errorf("it gets %d messages", got)
	}
	clients[0].ws.CloseNow()
	eventually(t, "nothing is unread", func() bool { return w.srv.unread.bytes.Load() == 0 })
}

// A page counts from the moment at which it is read from the store, with its copies.
func TestPageCountsWhileItIsMade(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxUnreadBytes = 64 << 20 })
	var held []int64
	for _, limit := range []int{1, 1, 1} {
		c := w.idle()
		b, err := proto.EncodeRequest(proto.TypeGetUpdates, 1, map[string]any{"after": 0, "limit": limit})
		if err != nil {
			t.Fatal(err)
		}
		f, err := proto.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		before, share := w.srv.unread.bytes.Load(), w.srv.unread.share()
		if p, err := c.parsePage(f); err != nil || p.Bytes != share {
			t.Errorf("the page has %d bytes of %d, %v", p.Bytes, share, err)
		}
		held = append(held, w.srv.unread.bytes.Load()-before)
		if held[len(held)-1] != int64(pageCopies*share) {
			t.Errorf("%d bytes are held for a page of %d", held[len(held)-1], share)
		}
	}
	if held[0] <= held[1] || held[1] <= held[2] {
		t.Errorf("the shares don't shrink: %v", held)
	}
}

// A client that has not read its share is not asked for its next request.
func TestReaderWaitsWhileTooMuchIsUnread(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxUnreadBytes = 1 << 20 })
	c := w.idle()
	c.writing = true // and nothing empties the queue
	c.hold(leastUnread)
	if !c.waitForRoom() {
		t.Error("it waits with its share")
	}
	c.hold(1)
	wake(c.taken)
	waited := make(chan bool)
	go func() { waited <- c.waitForRoom() }()
	eventually(t, "it waits", func() bool { return len(c.taken) == 0 })
	c.end(websocket.StatusGoingAway, "")
	if <-waited {
		t.Error("it does not wait")
	}
	c.releaseAll()
}
