package server

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/cork"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// conn is one connection. Its reader takes one request after the other. Its writer takes
// frames from a bounded queue; enqueue never waits.
type conn struct {
	server    *Server
	ws        *websocket.Conn
	cork      *cork.Conn // nil means that the listener did not come from Listener
	peer      peer
	place     *place
	challenge string

	// Used by the reader alone.
	refusals         int
	lastTo, lastForm string // of the last message: the recipient as given, and its stored form
	maxFrame         int    // bytes
	incoming         incoming
	making           int         // bytes that are held for a reply
	late             *time.Timer // runs while a frame arrives

	session  *session       // guarded by Server.mu; nil means unauthenticated
	inFlight chan struct{}  // has an element for each message that is not yet on disk
	sending  sync.WaitGroup // counts the same messages

	mu     sync.Mutex // guards the fields up to reason
	queue  [][]byte   // frames for the writer
	bytes  int        // in queue
	oldest time.Time  // when the oldest message of the queue arrived; zero if it has none
	ending bool       // nothing more is queued
	code   websocket.StatusCode
	reason string

	held atomic.Int64 // bytes of the frames that are queued or being written; see unread

	wake  chan struct{} // wakes the writer; has room for one
	taken chan struct{} // wakes the reader: the queue was taken, or the connection ends; has room for one
	ended chan struct{} // closed when all goroutines of the connection have ended
}

func newConn(s *Server, ws *websocket.Conn, k *cork.Conn, peer peer, place *place) *conn {
	c := &conn{
		server: s, ws: ws, cork: k, peer: peer, place: place, challenge: newChallenge(), maxFrame: s.o.MaxUnauthenticatedFrame,
		inFlight: make(chan struct{}, s.o.MaxInFlight), wake: make(chan struct{}, 1), taken: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	c.incoming.conn = c
	return c
}

// serve runs the connection until it ends.
func (c *conn) serve() {
	defer close(c.ended)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	watched, stopWatch := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { c.watch(watched) })
	c.reply(map[string]any{
		"type": proto.TypeGreeting, "token": c.challenge, "server": "skarod/" + c.server.o.Version, "max_frame": c.server.o.MaxFrame,
		"extensions": []string{proto.ExtHistoryPage, proto.ExtUpdates, proto.ExtNonce},
	})
	err := c.read()
	c.server.logout(c, saidGoodbye(err))
	c.end(websocket.StatusNormalClosure, "")
	<-written
	c.ws.CloseNow()
	stopWatch()
	watching.Wait()
	c.sending.Wait() // confirm uses the connection
	c.releaseAll()
	c.logEnd(err)
}

// logEnd logs the end of the connection, with the reason if the server ended it, and with
// the error if it did not end well.
func (c *conn) logEnd(err error) {
	c.mu.Lock()
	code, reason := c.code, c.reason
	c.mu.Unlock()
	about := []any{"peer", c.peer.text}
	if saidGoodbye(err) {
		err = nil
		if code == websocket.StatusAbnormalClosure {
			reason = "" // it took nothing more after its close frame
		}
	}
	if reason != "" {
		about = append(about, "reason", reason)
	}
	if err != nil {
		about = append(about, "error", err)
	}
	c.server.o.Log.Debug("connection ended", about...)
}

// saidGoodbye reports whether the error of a read is the close frame of a client that has
// finished.
func saidGoodbye(err error) bool {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return true
	}
	return false
}

// read is the reader. It returns when the connection ends; the error is nil if the server
// ended it.
func (c *conn) read() error {
	for {
		frame, ok, err := c.readFrame()
		if !ok {
			return err
		}
		if c.isEnding() { // the writer may take a while yet, and the account may be gone
			return nil
		}
		c.handle(frame)
		if !c.waitForRoom() {
			return nil
		}
	}
}

// waitForRoom waits until half of the queue is free, and the connection has its share of what is
// unread: a client that does not read its answers delays only its own requests. It returns false
// if the connection ends.
func (c *conn) waitForRoom() bool {
	for {
		c.mu.Lock()
		ending := c.ending
		free := len(c.queue) <= c.server.o.MaxQueue/2 && c.bytes <= c.server.o.MaxQueueBytes/2 && c.held.Load() <= int64(c.server.unread.share())
		c.mu.Unlock()
		if ending || free {
			return !ending
		}
		<-c.taken
	}
}

// enqueue gives a frame to the writer, and never waits. If the queue is full, the connection
// ends: its client can connect again, and catch up.
func (c *conn) enqueue(frame []byte) { c.enqueuePush(frame, time.Time{}) }

// enqueuePush is enqueue for a message that has arrived at a time.
func (c *conn) enqueuePush(frame []byte, arrived time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return
	}
	if len(c.queue) >= c.server.o.MaxQueue || c.bytes+len(frame) > max(c.server.o.MaxQueueBytes, len(frame)) {
		c.server.counter.tooSlow.Add(1)
		c.endLocked(websocket.StatusTryAgainLater, "too slow: connect again and catch up")
		return
	}
	if c.oldest.IsZero() {
		c.oldest = arrived
	}
	c.queue = append(c.queue, frame)
	c.bytes += len(frame)
	c.hold(len(frame))
	wake(c.wake)
}

// wake wakes the goroutine that waits for a channel which has room for one element.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// end makes the writer end the connection with a close frame. It does not wait; only the
// first call counts.
func (c *conn) end(code websocket.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(code, reason)
}

func (c *conn) endLocked(code websocket.StatusCode, reason string) {
	if c.ending {
		return
	}
	c.ending, c.code, c.reason = true, code, reason
	if code == websocket.StatusTryAgainLater {
		c.queue, c.bytes = nil, 0
	}
	wake(c.wake)
	wake(c.taken)
}

func (c *conn) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// write is the writer. Its last frame is the close frame, which ends the reader.
func (c *conn) write() {
	for {
		c.mu.Lock()
		batch, oldest, ending := c.queue, c.oldest, c.ending
		c.queue, c.bytes, c.oldest = nil, 0, time.Time{}
		c.mu.Unlock()
		wake(c.taken)
		if len(batch) > 0 && !c.writeBatch(batch) {
			c.end(websocket.StatusAbnormalClosure, "nothing can be written to it") // wakes the reader, if it waits for room
			c.ws.CloseNow()
			return
		}
		if !oldest.IsZero() {
			c.server.counter.deliveryTime.Observe(c.server.o.Clock().Sub(oldest).Seconds())
		}
		if ending {
			// Close waits for the peer's close frame for seconds, and CloseNow waits for Close.
			t := time.AfterFunc(goodbyeTime, c.drop)
			_ = c.ws.Close(c.code, c.reason)
			t.Stop()
			return
		}
		if len(batch) == 0 {
			<-c.wake
		}
	}
}

// goodbyeTime is how long a peer may take to answer a close frame.
const goodbyeTime = time.Second

// drop closes the network connection, whatever the WebSocket is doing.
func (c *conn) drop() {
	if c.cork != nil {
		c.cork.Close()
		return
	}
	c.ws.CloseNow()
}

// writeBatch writes frames in as few packets as they need.
func (c *conn) writeBatch(batch [][]byte) bool {
	if c.cork != nil && len(batch) > 1 {
		c.cork.Cork()
		defer func() {
			_ = c.cork.SetWriteDeadline(time.Now().Add(c.server.o.WriteTime))
			if err := c.cork.Uncork(); err != nil {
				c.drop()
			}
			_ = c.cork.SetWriteDeadline(time.Time{})
		}()
	}
	for _, frame := range batch {
		if c.writeFrame(frame) != nil {
			return false
		}
	}
	return true
}

// fragment is how much of a frame is written at once.
const fragment = 16 << 10

// writeFrame writes a frame. Each fragment of a large frame has its own WriteTime, so that a
// slow client gets all of it, and pings and pongs go in between.
func (c *conn) writeFrame(frame []byte) error {
	defer c.release(len(frame))
	if len(frame) <= fragment {
		ctx, cancel := context.WithTimeout(context.Background(), c.server.o.WriteTime)
		defer cancel()
		return c.ws.Write(ctx, websocket.MessageBinary, frame)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tooLong := time.AfterFunc(c.server.o.WriteTime, cancel)
	defer tooLong.Stop()
	w, err := c.ws.Writer(ctx, websocket.MessageBinary)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(frame, fragment) {
		if _, err := w.Write(part); err != nil {
			return err
		}
		tooLong.Reset(c.server.o.WriteTime)
	}
	return w.Close()
}

// watch is the goroutine that ends a connection without a login after AuthTime, and one that
// answers no ping. ctx ends it.
func (c *conn) watch(ctx context.Context) {
	o := c.server.o
	login := time.NewTimer(o.AuthTime)
	defer login.Stop()
	ping := time.NewTicker(o.PingInterval)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-login.C:
			c.requireLogin()
		case <-ping.C:
			pong, cancel := context.WithTimeout(ctx, o.PingInterval)
			err := c.ws.Ping(pong)
			cancel()
			if err != nil && ctx.Err() == nil {
				c.ws.CloseNow()
				return
			}
		}
	}
}

// requireLogin ends the connection if it is unauthenticated.
func (c *conn) requireLogin() {
	if c.currentSession() == nil {
		c.end(websocket.StatusPolicyViolation, "no login")
	}
}

// currentSession returns the session of the connection; nil means unauthenticated.
func (c *conn) currentSession() *session {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.session
}
