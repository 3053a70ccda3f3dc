package server

import (
	"fmt"
	"iter"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func splitComma(s string) iter.Seq[string] {
	if s == "" {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(s, ",")
}

// counts are what the limits on connections count.
func (w *testServer) counts() string {
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	a := &w.srv.admission
	return fmt.Sprintf("%d connections, %d waiting, %d authenticated, %d users, %d addresses", a.connections, a.waiting.Len(), a.authenticated, len(a.users), len(a.addresses))
}

// refusedFrom checks that the connection of an address is refused.
func (w *testServer) refusedFrom(address, want string) {
	w.t.Helper()
	c, refused := w.connectFrom(address)
	if c != nil {
		c.ws.CloseNow()
	}
	if refused != want+"; the server's operator can change it with --limit\n" {
		w.t.Errorf("from %q: %q instead of %q", address, refused, want)
	}
}

func TestConnectionsOfAnAddressAreLimited(t *testing.T) {
	w := newTestServer(t, func(o *Options) {
		behindProxy(o)
		o.MaxConnectionsPerAddress, o.MaxUnauthenticatedPerAddress = 3, 2
	}, "alice")
	var all []*client
	dial := func(address string) *client {
		t.Helper()
		all = append(all, w.dialFrom(address))
		return all[len(all)-1]
	}
	for _, addresses := range [][4]string{
		{"203.0.113.7", "203.0.113.7", "203.0.113.8", "203.0.113.7"},
		{"2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1", "2001:db8::/64"},
	} {
		a, b := dial(addresses[0]), dial(addresses[1])
		w.refusedFrom(addresses[0], "429 too many connections of "+addresses[3]+" without a login: max-unauthenticated-per-address is 2")
		dial(addresses[2])
		for _, c := range []*client{a, b} {
			if r := c.authorize("alice", "secret of alice"); !r.OK() {
				t.Error(r.Status)
			}
		}
		dial(addresses[1])
		w.refusedFrom(addresses[0], "429 too many connections of "+addresses[3]+": max-connections-per-address is 3")
		before, _, _ := w.sizes()
		a.ws.CloseNow()
		w.left(before - 1)
		dial(addresses[0])
	}
	for range 4 { // the proxy itself, and other clients on its machine
		dial("")
	}
	for _, c := range all {
		c.ws.CloseNow()
	}
	eventually(t, "all places are free", func() bool {
		return w.counts() == "0 connections, 0 waiting, 0 authenticated, 0 users, 0 addresses"
	})
}

// A user who has every connection of the limit gets no other one, wherever it comes from.
func TestConnectionsOfAUserAreLimited(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxConnectionsPerUser = 2 }, "alice", "bob")
	a, third := w.login("alice"), w.dial()
	b := w.dial()
	sid := b.authorize("alice", "secret of alice").Fields.Text("session_id")
	for name, ask := range map[string]func() proto.Reply{
		"authorize": func() proto.Reply { return third.authorize("alice", "secret of alice") },
		"restore":   func() proto.Reply { return third.request(proto.TypeSessionRestore, map[string]any{"sid": sid}) },
	} {
		r := ask()
		if code(r) != "429" || r.RetryAfter() != 10*time.Second || r.Info != "too many connections of this user: max-connections-per-user is 2; the server's operator can change it with --limit" {
			t.Errorf("%s: %s", name, r.Fields.Describe())
		}
	}
	if r := a.authorize("alice", "secret of alice"); !r.OK() {
		t.Errorf("again on the same connection: %s", r.Fields.Describe())
	}
	w.login("bob")
	b.ws.CloseNow()
	w.left(3)
	if r := third.authorize("alice", "secret of alice"); !r.OK() {
		t.Errorf("after another has ended: %s", r.Fields.Describe())
	}
	if r := third.authorize("bob", "secret of bob"); !r.OK() {
		t.Errorf("as another user: %s", r.Fields.Describe())
	}
	if got := w.counts(); got != "3 connections, 0 waiting, 3 authenticated, 2 users, 0 addresses" {
		t.Error(got)
	}
}

// Connections that do not log in keep no other away: the one that has waited longest ends.
func TestUnauthenticatedConnectionsMakeRoom(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxConnections = 4 }, "alice", "bob", "carol", "dave")
	alice := w.login("alice")
	oldest, second := w.dial(), w.dial()
	w.dial()
	bob := w.login("bob")
	oldest.closedBecause(websocket.StatusTryAgainLater, "too many connections: max-connections is 4")
	w.left(4)
	w.login("carol")
	second.closedBecause(websocket.StatusTryAgainLater, "too many connections: max-connections is 4")
	w.login("dave")
	w.left(4)
	w.refusedFrom("", "503 too many connections: max-connections is 4")
	alice.quiet()
	bob.quiet()
}

// The last connections are for users who have a session and no connection.
func TestReservedConnectionsAreForUsersWithASession(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxConnections = 10 }, "alice", "bob", "carol", "dave")
	w.login("bob").ws.CloseNow()
	sid := func() string {
		c := w.dial()
		defer c.ws.CloseNow()
		return c.authorize("carol", "secret of carol").Fields.Text("session_id")
	}()
	w.left(0)
	for range 8 {
		w.login("alice")
	}
	const says = "too many connections, and the rest is for users who have a session: reserved-connections is 2000; the server's operator can change it with --limit"
	c := w.dial()
	for _, login := range []string{"alice", "dave"} {
		if r := c.authorize(login, "secret of "+login); code(r) != "503" || r.Info != says || r.RetryAfter() != 10*time.Second {
			t.Errorf("%s: %s", login, r.Fields.Describe())
		}
	}
	w.login("bob")
	if r := c.request(proto.TypeSessionRestore, map[string]any{"sid": sid}); !r.OK() {
		t.Errorf("carol: %s", r.Fields.Describe())
	}
	w.refusedFrom("", "503 too many connections: max-connections is 10")
	w.clock.Add(w.options.SessionLife + time.Second)
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	for id := range w.srv.owned {
		if has := w.srv.hasSession(id); has != (w.srv.online[id] != nil) {
			t.Errorf("user %d has a session: %v", id, has)
		}
	}
}

// distant is a connection of an address.
type distant struct {
	net.Conn
	address string
}

func (d distant) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(d.address), 5))
}

// A connection that never becomes a WebSocket takes a place of its address too.
func TestNetworkConnectionsOfAnAddressAreLimited(t *testing.T) {
	w := newTestServer(t, func(o *Options) {
		o.MaxConnectionsPerAddress = 1
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
	})
	from := pipes{far: make(chan net.Conn, 1)}
	l := w.srv.Listener(from)
	// accept takes a connection of an address, or finds it closed.
	accept := func(address string) net.Conn {
		near, far := net.Pipe()
		from.far <- distant{far, address}
		got := make(chan net.Conn, 1)
		go func() {
			c, _ := l.Accept()
			got <- c
		}()
		gone := make(chan struct{})
		go func() {
			_, _ = near.Read(make([]byte, 1)) // nobody writes
			close(gone)
		}()
		select {
		case c := <-got:
			return c
		case <-gone:
			_, far := net.Pipe()
			from.far <- distant{far, "127.0.0.1"} // ends the Accept
			<-got
			return nil
		}
	}
	for _, address := range []string{"203.0.113.7", "2001:db8::1"} {
		var last net.Conn
		for i := range 1 + spareLinks {
			if last = accept(address); last == nil {
				t.Fatalf("%s: only %d connections are accepted", address, i)
			}
		}
		if accept(address) != nil {
			t.Errorf("%s: more than %d connections are accepted", address, 1+spareLinks)
		}
		last.Close()
		last.Close()
		if accept(address) == nil {
			t.Errorf("%s: none is accepted after the end of one", address)
		}
		if accept(address) != nil {
			t.Errorf("%s: a connection is counted twice when it ends", address)
		}
	}
	for range 2 + spareLinks {
		if accept("127.0.0.1") == nil || accept("10.0.0.1") == nil {
			t.Fatal("a proxy is limited")
		}
	}
}
