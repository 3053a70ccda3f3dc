package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// conn is one Skaro connection. One goroutine reads: it gives each reply to the
// request that waits for it, and each push to onPush.
type conn struct {
	endpoint Endpoint
	ws       *websocket.Conn
	tap      *tap
	greeting proto.Greeting
	onPush   func(proto.Frame) // called by the reader; blocking it holds up the connection

	heard atomic.Uint64 // grows with every frame: odd while one is being handled

	done chan struct{} // closed when the reader has ended; then err is set
	err  error

	mu      sync.Mutex
	dropped error // why we dropped the connection ourselves
	lastID  int64
	calls   map[int64]*Call // sent and not answered
}

// connect dials, and reads the greeting.
func connect(ctx context.Context, e Endpoint, onPush func(proto.Frame)) (*conn, error) {
	ws, tap, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{
		endpoint: e, ws: ws, tap: tap, onPush: onPush,
		done: make(chan struct{}), calls: map[int64]*Call{},
	}
	greeted := make(chan error, 1)
	go c.read(greeted)
	select {
	case err = <-greeted:
	case <-ctx.Done():
		err = &UnreachableError{Server: e.URL, Lost: true, Err: fmt.Errorf("waiting for its greeting: %w", ended(ctx))}
	}
	if err != nil {
		ws.CloseNow()
		<-c.done
		return nil, err
	}
	return c, nil
}

// read is the reader goroutine. It reports once on greeted how the greeting went.
func (c *conn) read(greeted chan<- error) {
	var buf bytes.Buffer
	c.err = func() error {
		first := true
		for {
			// Never a context that can end: that would tear the connection down
			// without a close frame.
			typ, r, err := c.ws.Reader(context.Background())
			if err == nil {
				buf.Reset()
				_, err = buf.ReadFrom(r)
			}
			if err == nil && buf.Len() == 0 {
				// The library shows a connection that ends behind a frame's head as an
				// empty message. A real one has something behind it.
				if _, _, err = c.ws.Reader(context.Background()); err == nil {
					return &ProtocolError{Server: c.endpoint.URL, Saw: "it sent an empty message"}
				}
			}
			if err != nil {
				return c.lost(err)
			}
			if typ != websocket.MessageBinary {
				return &ProtocolError{Server: c.endpoint.URL, Saw: fmt.Sprintf("it sent a text message, %q, where a binary one belongs", head(buf.Bytes()))}
			}
			frame, err := proto.Decode(buf.Bytes())
			if err != nil {
				return &ProtocolError{Server: c.endpoint.URL, Saw: fmt.Sprintf("it sent a frame of %d bytes", buf.Len()), Err: err}
			}
			c.heard.Add(1)
			if c.endpoint.Trace != nil {
				c.endpoint.trace("< %s", frame.Describe())
			}
			switch {
			case first:
				if c.greeting, err = proto.ParseGreeting(frame); err != nil {
					return &ProtocolError{Server: c.endpoint.URL, Saw: err.Error()}
				}
				first = false
				greeted <- nil
			case frame.Type() == proto.TypeReply:
				reply, err := proto.ParseReply(frame)
				if err != nil {
					return &ProtocolError{Server: c.endpoint.URL, Saw: "it sent a reply that nobody can use", Err: err}
				}
				c.route(reply)
			case c.onPush != nil:
				c.onPush(frame)
			}
			c.heard.Add(1)
			if buf.Cap() > 1<<20 {
				buf = bytes.Buffer{} // one large reply must not be paid for as long as the connection lives
			}
		}
	}()
	select {
	case greeted <- c.err:
	default:
	}
	close(c.done)
	c.ws.CloseNow()
}

// head is the start of something unexpected, for an error.
func head(b []byte) []byte {
	if len(b) > 60 {
		return b[:60]
	}
	return b
}

func (c *conn) lost(err error) error {
	lost := &UnreachableError{Server: c.endpoint.URL, Lost: true, Err: err}
	var closed websocket.CloseError
	c.mu.Lock()
	dropped := c.dropped
	c.mu.Unlock()
	switch {
	case dropped != nil:
		lost.Err = dropped
	case errors.As(err, &closed) && closed.Code == websocket.StatusMessageTooBig:
		lost.Final, lost.Err = true, fmt.Errorf("the server closed it: a frame was too large for it (code %d)", closed.Code)
		lost.Advice = "send less at once"
	case errors.As(err, &closed):
		lost.Advice, lost.Err = explainClose(closed)
	case errors.Is(err, websocket.ErrMessageTooBig):
		lost.Final, lost.Err = true, fmt.Errorf("the server sent a frame of more than %d bytes", proto.MaxFrame)
		lost.Advice = "ask for less, with --limit or --since"
	default:
		c.endpoint.trace("the read failed: %v", err)
		lost.Err, lost.Advice = lostWhy(err), tryAgain
		if lost.Err == nil {
			lost.Err, lost.Advice = errors.New("the server broke the rules of WebSocket"), letPass
		}
	}
	c.endpoint.trace("disconnected: %v", lost.Err)
	return lost
}

// failed is why a write failed. The reader knows better where the server has said
// something at its end, which it finds at the same time.
func (c *conn) failed(err error) error {
	c.endpoint.trace("the write failed: %v", err)
	timer := time.AfterFunc(closeGrace, func() { c.drop(cmp.Or(lostWhy(err), errHungUp)) })
	defer timer.Stop()
	<-c.done
	return c.err
}

// route gives a reply to the call that waits for it. A reply to a call that was given up
// is dropped.
func (c *conn) route(r proto.Reply) {
	c.mu.Lock()
	call := c.calls[r.ID]
	delete(c.calls, r.ID)
	c.mu.Unlock()
	if call != nil {
		call.reply <- r
	}
}

// forget makes route drop the reply to a call.
func (c *conn) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

// send gives a call its number and writes its request. If it fails, maybeSent reports
// whether any of the request may have left.
func (c *conn) send(ctx context.Context, call *Call) (maybeSent bool, err error) {
	if ctx.Err() != nil {
		return false, ended(ctx)
	}
	select {
	case <-c.done:
		return false, c.err
	default:
	}
	c.mu.Lock()
	c.lastID++
	call.id = c.lastID
	c.calls[call.id] = call
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
	if err := c.ws.Write(ctx, websocket.MessageBinary, frame); err != nil {
		c.forget(call.id)
		if ctx.Err() != nil {
			return true, &UnreachableError{Server: c.endpoint.URL, Lost: true, Err: ended(ctx)}
		}
		return true, c.failed(err)
	}
	return true, nil
}

// drop ends the connection at once, for a reason that is ours.
func (c *conn) drop(why error) {
	c.mu.Lock()
	c.dropped = why
	c.mu.Unlock()
	c.tap.Close()
}

// errClosed is why a connection ended that was closed by us.
var errClosed = errors.New("we closed it")

// closeGrace bounds the sending of the close frame to a peer that reads nothing.
const closeGrace = 100 * time.Millisecond

// close sends the close frame and drops the connection at once: a one-shot
// command does not wait a round trip to say goodbye.
func (c *conn) close() {
	c.mu.Lock()
	if c.dropped == nil {
		c.dropped = errClosed
	}
	c.mu.Unlock()
	_ = c.tap.SetWriteDeadline(time.Now().Add(closeGrace))
	_ = c.tap.Uncork()
	c.tap.last.Store(true)
	_ = c.ws.Close(websocket.StatusNormalClosure, "")
	<-c.done
}
