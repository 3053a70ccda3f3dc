package session

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// conn is one Skaro connection. Its reader goroutine gives each reply to the call that
// waits for it, and each push to onPush. Any goroutine may send; the WebSocket library
// writes one message at a time.
type conn struct {
	endpoint Endpoint
	ws       *websocket.Conn
	net      *netConn
	greeting proto.Greeting // set before connect returns
	onPush   PushFunc       // called by the reader, or nil

	heard atomic.Uint64 // incremented before and after a frame is handled: odd while one is

	closeOnce sync.Once
	closing   chan struct{} // closed when the connection is to end
	done      chan struct{} // closed when the reader has ended; then err is set
	err       error

	mu      sync.Mutex
	dropped *diagnosis // why we ended the connection, or nil
	lastID  int64
	calls   map[int64]chan<- proto.Reply // sent and not answered
}

// PushFunc takes a frame that is not a reply. The reader calls it: while it blocks, nothing
// else is read. It must return when closing is closed.
type PushFunc func(f proto.Frame, closing <-chan struct{})

// connect dials and waits for the greeting.
func connect(ctx context.Context, e Endpoint, push PushFunc) (*conn, error) {
	ws, below, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{
		endpoint: e, ws: ws, net: below, onPush: push,
		closing: make(chan struct{}), done: make(chan struct{}), calls: map[int64]chan<- proto.Reply{},
	}
	greeted := make(chan struct{})
	go c.read(greeted)
	select {
	case <-greeted:
		return c, nil
	case <-c.done:
		return nil, c.err
	case <-ctx.Done():
		c.awaitEnd(func() { _ = ws.CloseNow() })
		return nil, interrupted(ctx, "lost the connection to "+e.URL+": waiting for its greeting")
	}
}

// read is the reader goroutine. It closes greeted after the greeting, and done at its end.
func (c *conn) read(greeted chan<- struct{}) {
	defer close(c.done)
	defer c.ws.CloseNow()
	var buf bytes.Buffer
	frame, err := c.readFrame(&buf)
	if err == nil {
		if c.greeting, err = proto.ParseGreeting(frame); err != nil {
			err = notSkaro(c.endpoint.URL, err.Error(), "")
		}
	}
	if err != nil {
		c.err = err
		return
	}
	close(greeted)
	for {
		if frame, err = c.readFrame(&buf); err == nil {
			c.heard.Add(1)
			err = c.handle(frame)
			c.heard.Add(1)
		}
		if err != nil {
			c.err = err
			return
		}
	}
}

// readFrame reads the next frame into buf, whose memory the next call reuses.
func (c *conn) readFrame(buf *bytes.Buffer) (proto.Frame, error) {
	if buf.Cap() > 1<<20 {
		*buf = bytes.Buffer{} // one large reply must not occupy memory while the connection lives
	}
	typ, err := c.readMessage(buf)
	if err == nil && buf.Len() == 0 {
		// The library also reports an empty message if the connection ends after the header of a
		// frame. In that case the next read fails.
		if _, err = c.readMessage(buf); err == nil {
			return proto.Frame{}, notSkaro(c.endpoint.URL, "it sent an empty message", "")
		}
	}
	switch {
	case err != nil:
		return proto.Frame{}, c.lost(err)
	case typ != websocket.MessageBinary:
		return proto.Frame{}, notSkaro(c.endpoint.URL, fmt.Sprintf("it sent a text message, %q, instead of a binary one", proto.Excerpt(buf.String())), "")
	}
	frame, err := proto.Decode(buf.Bytes())
	switch {
	case err != nil && c.net.frames.torn(): // the library reports a part of a message as a whole one
		return proto.Frame{}, c.lost(io.ErrUnexpectedEOF)
	case err != nil:
		return proto.Frame{}, notSkaro(c.endpoint.URL, fmt.Sprintf("it sent a frame of %d bytes: %v", buf.Len(), err), "")
	}
	if c.endpoint.Trace != nil {
		c.endpoint.trace("< %s", frame.Describe())
	}
	return frame, nil
}

// readMessage reads the next WebSocket message into buf. Its context never ends, because
// the library drops the connection without a close frame when the context of a read ends.
func (c *conn) readMessage(buf *bytes.Buffer) (websocket.MessageType, error) {
	buf.Reset()
	typ, r, err := c.ws.Reader(context.Background())
	if err == nil {
		_, err = buf.ReadFrom(r)
	}
	return typ, err
}

// handle routes a reply or a push.
func (c *conn) handle(frame proto.Frame) error {
	if frame.Type() != proto.TypeReply {
		if c.onPush != nil {
			c.onPush(frame, c.closing)
		}
		return nil
	}
	reply, err := proto.ParseReply(frame)
	if err != nil {
		return notSkaro(c.endpoint.URL, "it sent an unusable reply: "+err.Error(), "")
	}
	c.mu.Lock()
	call := c.calls[reply.ID]
	delete(c.calls, reply.ID)
	c.mu.Unlock()
	if call != nil { // else the call was given up
		call <- reply
	}
	return nil
}

// lost returns the error for a read that failed.
func (c *conn) lost(err error) error {
	c.mu.Lock()
	dropped := c.dropped
	c.mu.Unlock()
	if dropped == nil {
		c.endpoint.trace("the read failed: %v", err)
		why := diagnoseLoss(err)
		dropped = &why
	}
	c.endpoint.trace("disconnected: %s", dropped.why)
	return lostConnection(c.endpoint.URL, *dropped)
}

// send gives a call its number and writes its request. If it fails, maybeSent reports
// whether any of the request may have left.
func (c *conn) send(ctx context.Context, call *Call) (maybeSent bool, err error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	select {
	case <-c.done:
		return false, c.err
	default:
	}
	c.mu.Lock()
	c.lastID++
	call.id = c.lastID
	c.calls[call.id] = call.reply
	c.mu.Unlock()
	frame, err := proto.EncodeRequest(call.request.Type, call.id, call.request.Fields)
	if err != nil {
		c.forget(call.id)
		return false, fmt.Errorf("encode %s: %w", call.request.Type, err)
	}
	if c.endpoint.Trace != nil {
		if f, err := proto.Decode(frame); err == nil {
			c.endpoint.trace("> %s", f.Describe())
		}
	}
	if most := c.greeting.MaxFrame; most > 0 && int64(len(frame)) > most {
		// It is not sent: the server would end the connection.
		c.forget(call.id)
		call.reply <- proto.TooLarge(call.request.Type, call.id, len(frame), c.greeting)
		return false, nil
	}
	if err := c.ws.Write(ctx, websocket.MessageBinary, frame); err != nil {
		c.forget(call.id)
		if ctx.Err() != nil {
			return true, interrupted(ctx, "lost the connection to "+c.endpoint.URL)
		}
		return true, c.failed(err)
	}
	return true, nil
}

// forget gives up a call: its reply is dropped.
func (c *conn) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

// failed returns the error for a write that failed. If the server said why it closed the
// connection, the reader learns that at the same time, and that is the better reason.
func (c *conn) failed(err error) error {
	c.endpoint.trace("the write failed: %v", err)
	why, ok := diagnoseNetwork(err)
	if !ok {
		why = brokenOff
	}
	timer := time.AfterFunc(closeGrace, func() { c.drop(why) })
	defer timer.Stop()
	<-c.done
	return c.err
}

// drop ends the connection at once. why is our reason, which conn.lost reports. A reader
// that waits for room in the inbox stops waiting.
func (c *conn) drop(why diagnosis) {
	c.mu.Lock()
	c.dropped = &why
	c.mu.Unlock()
	c.closeOnce.Do(func() { close(c.closing) })
	c.net.Close()
}

// closeGrace bounds the closing of a connection, whatever the peer does or leaves undone.
const closeGrace = 100 * time.Millisecond

// close sends the close frame and ends the connection at once: a one-shot command does not
// wait a round trip to say goodbye. The library would wait for the answer to a close frame
// that it has sent itself, after a protocol error for example, and for the rest of an
// unfinished frame.
func (c *conn) close() {
	c.mu.Lock()
	if c.dropped == nil {
		c.dropped = &closedByUs
	}
	c.mu.Unlock()
	_ = c.net.SetWriteDeadline(time.Now().Add(closeGrace))
	_ = c.net.Uncork()
	c.net.last.Store(true)
	timer := time.AfterFunc(closeGrace, func() { c.net.Close() })
	defer timer.Stop()
	c.awaitEnd(func() { _ = c.ws.Close(websocket.StatusNormalClosure, "") })
}

// awaitEnd ends the connection with end, and waits for the end of the reader.
func (c *conn) awaitEnd(end func()) {
	c.closeOnce.Do(func() { close(c.closing) })
	end()
	<-c.done
}
