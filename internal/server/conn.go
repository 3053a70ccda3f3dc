package server

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/cork"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// conn is one connection. Its reader takes one request after the other. Its frames wait in a
// bounded queue for the connection's turn to write; enqueue never waits. While nothing
// arrives and nothing waits, the reader is its only goroutine.
type conn struct {
	server    *Server
	ws        *websocket.Conn
	cork      *cork.Conn
	link      *link
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

	handling  sync.Mutex // held by the reader while it handles a request
	finishing bool       // no other request is handled; guarded by handling

	session  *session       // guarded by Server.mu; nil means unauthenticated
	inFlight chan struct{}  // has an element for each message that is not yet on disk
	sending  sync.WaitGroup // counts the same messages

	mu      sync.Mutex // guards the fields up to reason
	queue   []outgoing
	bytes   int  // in queue
	turn    turn // the newest; it may be over
	writing bool // a writing goroutine has the connection
	ending  bool // nothing more is queued
	code    websocket.StatusCode
	reason  string

	held atomic.Int64 // bytes of the frames that are queued or being written; see unread

	// A writing goroutine has one of the few slots. It gives the slot up if a write to the peer
	// has to wait, even if that is a ping or a pong.
	hasSlot atomic.Bool

	pinger *time.Timer
	taken  chan struct{} // wakes the reader: frames were taken or written, or the connection ends; has room for one
	said   chan struct{} // closed when nothing more is written
	ended  chan struct{} // closed when the connection has ended
}

// outgoing is a frame that waits to be written.
type outgoing struct {
	frame []byte
	user  int64 // to whom it is charged

	arrived time.Time // for a message; zero for anything else
}

func newConn(s *Server, ws *websocket.Conn, k *cork.Conn, peer peer, place *place) *conn {
	c := &conn{
		server: s, ws: ws, cork: k, link: k.Conn.(*link), peer: peer, place: place, challenge: newChallenge(), maxFrame: s.o.MaxUnauthenticatedFrame,
		inFlight: make(chan struct{}, s.o.MaxInFlight), taken: make(chan struct{}, 1), said: make(chan struct{}), ended: make(chan struct{}),
	}
	k.OnWait, k.WriteTime = c.onWait, s.o.WriteTime
	c.incoming.conn = c
	c.link.payer.Store(payerOf(peer.address))
	return c
}

// serve is the reader: it runs the connection until it ends. Server.Close waits for it.
func (c *conn) serve() {
	defer close(c.ended)
	defer c.server.forget(c)
	login := time.AfterFunc(c.server.o.AuthTime, c.requireLogin)
	c.pinger = time.AfterFunc(c.server.o.PingInterval, c.ping)
	c.reply(map[string]any{
		"type": proto.TypeGreeting, "token": c.challenge, "server": "skarod/" + c.server.o.Version, "max_frame": c.server.o.MaxFrame,
		"extensions": []string{proto.ExtHistoryPage, proto.ExtUpdates, proto.ExtNonce, proto.ExtFields},
	})
	err := c.read()
	user := ""
	if x := c.currentSession(); x != nil {
		user = x.user.Login
	}
	c.server.logout(c, saidGoodbye(err))
	c.end(websocket.StatusNormalClosure, "")
	<-c.said
	c.ws.CloseNow()
	login.Stop()
	c.pinger.Stop()
	c.sending.Wait() // confirm uses the connection
	c.releaseAll()
	c.logEnd(user, err)
}

// troubles are the codes with which the server ends a connection because of what its client
// does, or fails to do.
var troubles = []websocket.StatusCode{
	websocket.StatusUnsupportedData, websocket.StatusInvalidFramePayloadData, websocket.StatusPolicyViolation,
	websocket.StatusMessageTooBig, websocket.StatusTryAgainLater,
}

// logEnd logs the end of the connection, with the reason if the server ended it, and with
// the error if it did not end well. What a client did wrong goes to bursts, and into
// every log; the rest only into a log with --verbose.
func (c *conn) logEnd(login string, err error) {
	c.mu.Lock()
	code, reason := c.code, c.reason
	c.mu.Unlock()
	if slices.Contains(troubles, code) && reason != accountChanged && reason != tooManyRefusals {
		c.server.bursts.add(burst{eventConnectionEnded, c.peer.String(), reason}, login)
	}
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

// read reads frames and handles them, until the connection ends. The error is nil if the server
// ended it.
func (c *conn) read() error {
	for {
		c.link.resume()
		frame, ok, err := c.readFrame()
		c.link.rest(0)
		if !ok {
			return err
		}
		if c.isEnding() { // the writer may take a while yet, and the account may be gone
			return nil
		}
		begun := time.Now()
		c.handling.Lock()
		if !c.finishing {
			c.handle(frame)
		}
		c.handling.Unlock()
		c.link.rest(min(time.Since(begun), handleTime)) // the rest is waiting, or has other bounds
		if payer := c.link.payer.Load(); payer > 0 {
			c.server.intake.active(payer)
		}
		runtime.Gosched() // or a client that sends without a pause keeps a processor for 10 ms
		if !c.waitForRoom() {
			return nil
		}
	}
}

// waitForRoom waits until half of the queue is free, and the connection's unread bytes are
// within its share: a client that does not read its answers delays only its own requests. It
// returns false if the connection ends.
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

// enqueue queues a frame that is charged to a user, and never waits. If the queue is full,
// the connection ends: its client can connect again, and catch up.
func (c *conn) enqueue(frame []byte, user int64) { c.enqueuePush(frame, user, time.Time{}) }

// enqueuePush is enqueue for a message that has arrived at a time.
func (c *conn) enqueuePush(frame []byte, user int64, arrived time.Time) {
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
	c.queue = append(c.queue, outgoing{frame, user, arrived})
	c.bytes += len(frame)
	c.hold(len(frame))
	c.askLocked(user, len(frame))
}

// askLocked asks for a turn to write bytes that are charged to a user. If the connection is
// having a turn, takeTurn asks for the next one.
func (c *conn) askLocked(user int64, bytes int) {
	if !c.writing {
		c.turn = c.server.turns.add(c, c.turn, user, bytes)
	}
}

// wake wakes the goroutine that waits for a channel which has room for one element.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// end ends the connection with a close frame, after the frames that are queued. It does not
// wait; only the first call counts.
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
	c.askLocked(nobody, 0)
	wake(c.taken)
}

func (c *conn) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// takeTurn writes what is queued, up to a turn. The last turn ends with the close frame, which
// ends the reader. takeTurn returns false if another goroutine writes instead of the caller.
func (c *conn) takeTurn() bool {
	batch, ending, ok := c.begin()
	if !ok {
		return true
	}
	wake(c.taken)
	written := len(batch) == 0 || c.writeBatch(batch)
	switch {
	case !written:
		c.end(websocket.StatusAbnormalClosure, "nothing can be written to it") // wakes the reader, if it waits for room
		c.ws.CloseNow()
		close(c.said)
	case ending:
		c.giveUpSlot() // a goodbye may take a while
		c.sayGoodbye()
		close(c.said)
	default:
		c.pause()
	}
	if written {
		c.server.observeDelivery(batch)
	}
	return c.hasSlot.Swap(false)
}

// begin begins a turn, with the frames that it writes. ending means that the close frame follows
// them. It returns false if there is nothing to do, because another turn has done it.
func (c *conn) begin() (batch []outgoing, ending, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing || len(c.queue) == 0 && !c.ending {
		return nil, false, false
	}
	c.writing = true
	n, bytes := 0, 0
	for n < len(c.queue) && (n == 0 || bytes+len(c.queue[n].frame) <= turnBytes) {
		bytes += len(c.queue[n].frame)
		n++
	}
	batch, c.queue = c.queue[:n:n], c.queue[n:]
	c.bytes -= bytes
	if len(c.queue) == 0 {
		c.queue = nil
	}
	c.hasSlot.Store(true)
	if c.link.waitsForPeer() { // with a ping or a pong
		c.giveUpSlot()
	}
	return batch, c.ending && c.queue == nil, true
}

// pause ends a turn, and asks for the next one if there is more to write.
func (c *conn) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
	switch {
	case len(c.queue) > 0:
		c.askLocked(c.queue[0].user, min(c.bytes, turnBytes))
	case c.ending:
		c.askLocked(nobody, 0)
	}
}

// onWait is the OnWait of the network connection.
func (c *conn) onWait(waits bool) {
	if !waits {
		c.link.stopWaiting()
		return
	}
	c.link.startWaiting()
	c.giveUpSlot()
}

// giveUpSlot lets another connection write, if this one has a slot.
func (c *conn) giveUpSlot() {
	if c.hasSlot.CompareAndSwap(true, false) {
		c.server.turns.leave()
	}
}

// sayGoodbye sends the close frame.
func (c *conn) sayGoodbye() {
	// Close waits for the peer's close frame for seconds, and CloseNow waits for Close. Close reads
	// what comes before that frame one byte at a time: a flood would keep a processor busy.
	t := time.AfterFunc(goodbyeTime, c.drop)
	c.link.limitReads(goodbyeBytes)
	_ = c.ws.Close(c.code, c.reason)
	t.Stop()
}

// finish ends a connection because the server ends. Requests that have begun are finished and
// answered first; no others are begun.
func (c *conn) finish() {
	if c.currentSession() != nil {
		c.handling.Lock()
		c.finishing = true
		c.handling.Unlock()
		c.sending.Wait()
	}
	c.end(websocket.StatusGoingAway, shuttingDown)
}

const shuttingDown = "the server is shutting down"

// The answer to a close frame.
const (
	goodbyeTime  = time.Second
	goodbyeBytes = 16 << 10 // that are read to find it
)

// drop closes the network connection, whatever the WebSocket is doing.
func (c *conn) drop() { c.cork.Close() }

const (
	turnBytes = 64 << 10 // of the frames of a turn; a larger one has a turn for itself
	fragment  = 16 << 10 // of a frame that is written at once
)

// writeBatch writes frames in as few packets as they need.
func (c *conn) writeBatch(batch []outgoing) bool {
	if len(batch) > 1 || len(batch[0].frame) <= fragment {
		c.cork.Cork()
	}
	for _, x := range batch {
		if c.writeFrame(x.frame) != nil {
			return false
		}
	}
	return c.cork.Uncork() == nil
}

// writeFrame writes a frame: a large one in fragments, so that pings and pongs go in between.
func (c *conn) writeFrame(frame []byte) error {
	defer c.release(len(frame))
	ctx := context.Background() // the network connection bounds the time
	if len(frame) <= fragment {
		return c.ws.Write(ctx, websocket.MessageBinary, frame)
	}
	w, err := c.ws.Writer(ctx, websocket.MessageBinary)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(frame, fragment) {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Close()
}

// ping sends a ping, waits for the answer, and ends the connection if none comes. It has a
// goroutine of its own.
func (c *conn) ping() {
	ctx, cancel := context.WithTimeout(context.Background(), c.server.o.PingInterval)
	defer cancel()
	if c.ws.Ping(ctx) != nil {
		c.ws.CloseNow()
		return
	}
	c.pinger.Reset(c.server.o.PingInterval)
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

// user returns the id of the connection's user, or nobody.
func (c *conn) user() int64 {
	if x := c.currentSession(); x != nil {
		return x.user.ID
	}
	return nobody
}
