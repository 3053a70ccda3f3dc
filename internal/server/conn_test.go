package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/skaroctl/skaroctl/internal/cork"
	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestGreetingHasChallengeAndExtensions(t *testing.T) {
	w := newTestServer(t, nil)
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

func TestBadFramesGetAnErrorOrEndTheConnection(t *testing.T) {
	w := newTestServer(t, nil, "alice")
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
		"too large": {websocket.MessageBinary, make([]byte, w.options.MaxFrame+1), websocket.StatusMessageTooBig},
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

// A listener that does not read is ended with a code that says so. Other connections go on.
func TestSlowListenerIsEndedAndCatchesUp(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxQueue = 64 }, "alice", "bob")
	slow, good, alice := w.login("bob"), w.login("bob"), w.login("alice")
	body := strings.Repeat("x", 100<<10) // the kernel's buffers are full after some of these
	sent := 0
	for ; total(t, w.srv.counter.tooSlow) == 0 && sent < 1000; sent++ {
		alice.send("bob", body)
		good.message()
	}
	if n := total(t, w.srv.counter.tooSlow); n != 1 {
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

// A client that sends requests and does not read the replies delays only itself, and is dropped
// when it has read nothing for WriteTime.
func TestClientThatReadsNothingIsDropped(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxQueue = 16; o.WriteTime = 50 * time.Millisecond }, "alice")
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
	if total(t, w.srv.counter.tooSlow) != 0 {
		t.Error("it was closed for a full queue")
	}
}

// The queue of a peer that reads nothing is bounded in frames and in bytes. When it is full, it is
// given up: the peer gets the close frame next, and catches up later.
func TestQueueIsBounded(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxQueue, o.MaxQueueBytes = 4, 1000 })
	for name, x := range map[string]struct {
		frames []int // bytes of each
		fits   bool
	}{
		"all frames":           {[]int{1, 1, 1, 1}, true},
		"a frame more":         {[]int{1, 1, 1, 1, 1}, false},
		"all bytes":            {[]int{500, 500}, true},
		"a byte more":          {[]int{500, 501}, false},
		"one that is larger":   {[]int{5000}, true}, // any reply must be possible
		"one behind a larger":  {[]int{5000, 1}, false},
		"a larger one behind":  {[]int{1, 5000}, false},
		"one after a full one": {[]int{500, 501, 1}, false},
	} {
		c := newConn(w.srv, nil, &cork.Conn{Conn: newLink(nil, func() {})}, peer{}, &place{})
		c.writing = true // and nothing empties the queue
		sum := 0
		for _, size := range x.frames {
			c.enqueue(make([]byte, size), nobody)
			sum += size
		}
		switch {
		case x.fits && (c.ending || len(c.queue) != len(x.frames) || c.bytes != sum):
			t.Errorf("%s: %d frames, %d bytes, ending %v", name, len(c.queue), c.bytes, c.ending)
		case !x.fits && (!c.ending || c.code != websocket.StatusTryAgainLater || len(c.queue) != 0 || c.bytes != 0):
			t.Errorf("%s: %d frames, %d bytes, ending %v with %d", name, len(c.queue), c.bytes, c.ending, c.code)
		}
	}
}

// A peer that takes nothing is dropped after WriteTime, even if the frames are small: one by one,
// or several in one packet.
func TestDeafPeerIsDroppedAfterWriteTime(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.WriteTime = 50 * time.Millisecond })
	for _, n := range []int{1, 2} {
		w.dialPipe(func(c net.Conn) net.Conn { return c }) // reads the greeting, and no more
		c := w.connection()
		frame, err := proto.Encode(map[string]any{"type": proto.TypeInfo})
		if err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		for range n {
			c.queue = append(c.queue, outgoing{frame: frame, user: nobody})
			c.bytes += len(frame)
		}
		c.askLocked(nobody, 0)
		c.mu.Unlock()
		select {
		case <-c.ended:
		case <-time.After(patience):
			t.Fatalf("%d frames: the connection lives on", n)
		}
		w.left(0)
	}
}

// slowLink is a connection that is read slowly, 4 KiB at a time, and remembers what was read.
type slowLink struct {
	net.Conn
	read *bytes.Buffer
}

func (l slowLink) Read(b []byte) (int, error) {
	time.Sleep(2 * time.Millisecond)
	n, err := l.Conn.Read(b[:min(len(b), 4<<10)])
	l.read.Write(b[:n])
	return n, err
}

// pipes is a listener on connections that buffer nothing.
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

// dialPipe is dial over a connection that buffers nothing: what the server writes waits until the
// client reads.
func (w *testServer) dialPipe(link func(net.Conn) net.Conn) *client {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // for its Close and Addr
	if err != nil {
		w.t.Fatal(err)
	}
	links := pipes{ln, make(chan net.Conn)}
	web := w.srv.HTTP()
	served := make(chan error, 1)
	go func() { served <- web.Serve(w.srv.Listener(links)) }()
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

// After a password has changed, nothing is done for the old connection, even if it can't be closed
// yet because the client does not read.
func TestEndingConnectionDoesNothingMore(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	bob := w.login("bob")
	deaf := w.dialPipe(func(c net.Conn) net.Conn { return c })
	if r := deaf.authorize("alice", "secret of alice"); !r.OK() {
		t.Fatal(r.Status)
	}
	deaf.ask(proto.TypeRegisterType, nil) // the answer is never read
	if err := w.conference("ops").SetToken("alice", newToken("new")); err != nil {
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
	deaf.ask(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "sent with the old password"})
	eventually(t, "it reads no more", func() bool { _, users, _ := w.sizes(); return users == 1 })
	bob.send("bob", "is stored after what came before")
	bob.quiet()
}

// A client on a slow link gets a large reply, and its pings are answered before the end of that.
func TestSlowLinkGetsALargeReply(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	alice := w.login("alice")
	for range 16 {
		alice.send("alice", strings.Repeat("x", 250<<10))
	}
	var read bytes.Buffer
	c := w.dialPipe(func(c net.Conn) net.Conn { return slowLink{c, &read} })
	c.authorize("alice", "secret of alice")
	id := c.ask(proto.TypeGetUpdates, map[string]any{"after": 0, "limit": 100})
	pong := make(chan error, 1)
	go func() { pong <- c.ws.Ping(t.Context()) }()
	messages, err := proto.ParseMessages(c.reply(id).Fields, "messages")
	if err != nil || len(messages) != 16 {
		t.Errorf("%d messages, %v", len(messages), err)
	}
	before := read.Len()
	c.ask(proto.TypeGetContacts, nil)
	c.read() // the library reads a pong only on the way to a message
	if err := <-pong; err != nil {
		t.Error(err)
	}
	const frame = "\x8a\x011" // a pong (RFC 6455, 5.5.3) for the first ping of the library
	if at := bytes.Index(read.Bytes(), []byte(frame)); at < 0 || at > before-fragment {
		t.Errorf("the pong came after %d bytes, and the reply ended after %d", at, before)
	}
}

func TestConnectionWithoutALoginEnds(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	idle, c := w.dial(), w.login("alice")
	w.srv.mu.Lock()
	conns := slices.Collect(maps.Keys(w.srv.conns))
	w.srv.mu.Unlock()
	for _, conn := range conns {
		conn.requireLogin()
	}
	idle.closed(websocket.StatusPolicyViolation)
	c.quiet()
	w = newTestServer(t, func(o *Options) { o.AuthTime = time.Millisecond })
	ws, _, err := websocket.Dial(t.Context(), "ws://"+w.addr+Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	(&client{t: t, ws: ws}).closed(websocket.StatusPolicyViolation)
}

// A connection that answers no ping is dropped; a live one that sends nothing is not.
func TestSilentConnectionIsDropped(t *testing.T) {
	// A live client must answer within the interval. On a slow machine only a longer one shows
	// the difference.
	for interval := 500 * time.Millisecond; ; interval *= 4 {
		w := newTestServer(t, func(o *Options) { o.PingInterval = interval }, "alice")
		live := w.login("alice")
		w.dial() // never reads again, so never answers a ping
		go func() {
			for {
				if _, _, err := live.ws.Reader(context.Background()); err != nil {
					return
				}
			}
		}()
		eventually(t, "the silent connection is dropped", func() bool { n, _, _ := w.sizes(); return n <= 1 })
		if _, users, _ := w.sizes(); users == 1 {
			return
		}
		if interval > patience/4 {
			t.Fatal("the live connection is dropped")
		}
	}
}

// raw connects without a WebSocket library, and reads the greeting, because the system resets a
// connection with unread data.
func (w *testServer) raw() net.Conn {
	w.t.Helper()
	check := func(err error) {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	c, err := net.Dial("tcp", w.addr)
	check(err)
	w.t.Cleanup(func() { c.Close() })
	check(c.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", Path)
	check(err)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	check(err)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatal(resp.Status)
	}
	header := make([]byte, 4) // final, binary, and a length of two bytes
	_, err = io.ReadFull(r, header)
	check(err)
	_, err = io.CopyN(io.Discard, r, int64(header[2])<<8|int64(header[3]))
	check(err)
	return c
}

// goodbye is a client that sends a close frame, and does not wait for the answer.
func (w *testServer) goodbye() {
	w.t.Helper()
	c := w.raw()
	defer c.Close()
	if _, err := c.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}); err != nil { // close, masked with zeros, 1000
		w.t.Fatal(err)
	}
}

// A peer whose connection the server ends can't keep it busy with what it goes on sending.
func TestPeerThatIsToldGoodbyeIsHardlyRead(t *testing.T) {
	w := newTestServer(t, nil)
	c := w.raw()
	frame := append([]byte{0x81, 0xff, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0}, make([]byte, 1<<20)...) // text of 1 MiB
	sent := 0
	for n, err := c.Write(frame); err == nil; n, err = c.Write(frame) {
		if sent += n; sent > 64<<20 { // the system holds less
			t.Fatalf("the server has read most of %d bytes", sent)
		}
	}
}

// A connection that ends well is logged without an error, one that the server ends with the
// reason.
func TestEndOfAConnectionIsLogged(t *testing.T) {
	w := newTestServer(t, nil, "alice")
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
		"too large": {ended(websocket.MessageBinary, make([]byte, w.options.MaxUnauthenticatedFrame+1), websocket.StatusMessageTooBig), ` reason="the frame is too large: max-unauthenticated-frame is 16 KiB; the server's operator can change it with --limit"`},
		"passwd": {func() {
			c := w.login("alice")
			if err := w.store.SetToken("alice", newToken("secret of alice")); err != nil {
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
		line, _, _ = strings.Cut(line, "\n") // without the line of a burst
		if !regexp.MustCompile(`\A peer=127\.0\.0\.1:\d+` + x.says + `\z`).MatchString(line) {
			t.Errorf("%s: %q", name, line)
		}
	}
	w.login("alice").ws.CloseRead(t.Context()) // it answers the close frame
	before := len(w.log.String())
	w.stop()
	if log := w.log.String()[before:]; !strings.Contains(log, " reason=\"the server is shutting down\"\n") {
		t.Errorf("the end of the server: %q", log)
	}
}
