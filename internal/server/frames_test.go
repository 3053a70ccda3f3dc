package server

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// begin sends the first bytes of a frame that stays unfinished.
func (c *client) begin(bytes int) {
	c.t.Helper()
	w, err := c.ws.Writer(c.t.Context(), websocket.MessageBinary)
	if err == nil {
		_, err = w.Write(make([]byte, bytes)) // at least all but 4 KiB leave the buffer of the library
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// closedBecause waits for the end of the connection, and checks why the server ended it.
func (c *client) closedBecause(code websocket.StatusCode, reason string) {
	c.t.Helper()
	for {
		_, err := c.tryRead()
		if err == nil {
			continue
		}
		var closed websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != code || !strings.Contains(closed.Reason, reason) {
			c.t.Errorf("closed with %v instead of %d and %q", err, code, reason)
		}
		return
	}
}

// unfinished is how many bytes of the budget are in use.
func (w *testServer) unfinished() int {
	w.srv.unfinished.mu.Lock()
	defer w.srv.unfinished.mu.Unlock()
	return w.srv.unfinished.used
}

// Unfinished frames have one budget. If it is used up, the oldest of them go, and a complete
// frame arrives.
func TestUnfinishedFramesShareABudget(t *testing.T) {
	const budget = 64 << 10
	w := newTestServer(t, func(o *Options) { o.MaxUnfinishedBytes = budget }, "alice", "bob")
	alice := w.login("alice")
	var crowd []*client
	for i := range 4 {
		crowd = append(crowd, w.dial())
		crowd[i].begin(13 << 10) // more than 8 KiB, so that it has a buffer of 16 KiB
		eventually(t, "the frame has its room", func() bool { return w.unfinished() == (i+1)*(16<<10) })
	}
	alice.send("bob", strings.Repeat("x", 30<<10)) // needs 32 KiB
	for _, c := range crowd[:2] {
		c.closedBecause(websocket.StatusTryAgainLater, "max-unfinished-bytes is 64 KiB")
	}
	w.left(3)
	if used := w.unfinished(); used != 2*16<<10 {
		t.Errorf("%d bytes are in use", used)
	}
	alice.send("bob", strings.Repeat("x", 30<<10)) // the next frame has its own room
}

// A frame that has no room by itself ends its connection.
func TestFrameLargerThanTheBudget(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxUnfinishedBytes = 64 << 10 }, "alice")
	c := w.login("alice")
	c.ask(proto.TypeSendMessage, map[string]any{"to": "alice", "body": strings.Repeat("x", 70<<10)})
	c.closedBecause(websocket.StatusTryAgainLater, "max-unfinished-bytes is 64 KiB")
	w.left(0)
	if used := w.unfinished(); used != 0 {
		t.Errorf("%d bytes are in use", used)
	}
}

func TestFrameThatDoesNotBecomeCompleteEndsItsConnection(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.FrameTime = time.Millisecond })
	for _, before := range []int{0, 1} { // complete frames
		c := w.dial()
		for range before {
			_ = c.write(websocket.MessageBinary, []byte("\xa0")) // on a slow machine, even this is too late
		}
		w, err := c.ws.Writer(t.Context(), websocket.MessageBinary)
		if err == nil {
			_, _ = w.Write(make([]byte, 13<<10))
		}
		c.closedBecause(websocket.StatusPolicyViolation, "frame-time is 1ms")
	}
	w.left(0)
	if used := w.unfinished(); used != 0 {
		t.Errorf("%d bytes are in use", used)
	}
}

// Every limit on a frame fits into the reason of a close frame, which holds 123 bytes.
func TestReasonsFitIntoACloseFrame(t *testing.T) {
	for _, change := range []func(*conn){(*conn).tooLarge, (*conn).tooLate, (*conn).crowdedOut} {
		o := DefaultOptions()
		const bytes = min(1<<40+1, math.MaxInt)
		o.MaxFrame, o.MaxUnfinishedBytes, o.MaxUnauthenticatedFrame, o.FrameTime = bytes, bytes, bytes, time.Hour+time.Millisecond
		c := &conn{server: &Server{o: o}, writing: true}
		change(c)
		if len(c.reason) > 123 {
			t.Errorf("%q has %d bytes", c.reason, len(c.reason))
		}
	}
}
