package server

import (
	"container/list"
	"context"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// smallFrame is how many bytes of a frame need no room in the budget: a connection costs
// more than that anyway.
const smallFrame = 4 << 10

// smallFrames has buffers of smallFrame bytes. A connection that waits for a frame holds none.
var smallFrames = sync.Pool{New: func() any { return new([smallFrame]byte) }}

// frameBudget bounds the bytes of all frames that have begun and are not complete. If it is
// used up, the connection whose frame began first ends: an honest client needs its room
// only for a short time.
type frameBudget struct {
	limit int

	mu   sync.Mutex
	used int
	open list.List // of *incoming, in the order in which they needed room
}

// incoming is the frame that a connection is reading.
type incoming struct {
	conn *conn

	// frameBudget.mu guards both while the frame is in the list.
	size    int           // bytes of the budget
	element *list.Element // nil means that it is not in the list
}

// grow takes room for more bytes. It reports false if the frame may not grow: it has lost its
// room to another one, or it is the first in line to lose it.
func (b *frameBudget) grow(f *incoming, bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.element == nil {
		if f.size > 0 {
			return false
		}
		f.element = b.open.PushBack(f)
	}
	b.used += bytes
	f.size += bytes
	for b.used > b.limit {
		oldest := b.open.Front().Value.(*incoming)
		b.remove(oldest)
		if oldest == f {
			return false
		}
		oldest.conn.crowdedOut()
	}
	return true
}

// inUse returns how many bytes of the budget are in use.
func (b *frameBudget) inUse() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// done gives back the room of a frame.
func (b *frameBudget) done(f *incoming) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.element != nil {
		b.remove(f)
	}
	f.size = 0
}

// remove takes a frame from the list. frameBudget.mu is held.
func (b *frameBudget) remove(f *incoming) {
	b.open.Remove(f.element)
	f.element = nil
	b.used -= f.size
}

// readFrame waits for a frame and decodes it. If the client may not send it, readFrame ends
// the connection and returns false.
func (c *conn) readFrame() (f proto.Frame, ok bool, err error) {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return f, false, c.unlessEnding(err)
	}
	if c.late == nil {
		c.late = time.AfterFunc(c.server.o.FrameTime, c.tooLate)
	} else {
		c.late.Reset(c.server.o.FrameTime)
	}
	defer c.late.Stop()
	defer c.server.unfinished.done(&c.incoming)
	small := smallFrames.Get().(*[smallFrame]byte)
	defer smallFrames.Put(small)
	b, err := c.readAll(r, small[:0])
	switch {
	case err != nil || b == nil:
		return f, false, c.unlessEnding(err)
	case kind != websocket.MessageBinary:
		c.end(websocket.StatusUnsupportedData, "Skaro frames are binary messages")
		return f, false, nil
	}
	if f, err = proto.Decode(b); err != nil {
		c.end(websocket.StatusInvalidFramePayloadData, "not a Skaro frame")
	}
	return f, err == nil, err
}

// unlessEnding returns the error of a read, and nil if it fails because the server ends the
// connection.
func (c *conn) unlessEnding(err error) error {
	if c.isEnding() {
		return nil
	}
	return err
}

// readAll reads a frame into buf, or into a larger buffer. If the client may not send it,
// readAll ends the connection and returns nil.
func (c *conn) readAll(r io.Reader, buf []byte) ([]byte, error) {
	for {
		n, err := r.Read(buf[len(buf):min(cap(buf), c.maxFrame+1)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > c.maxFrame:
			c.tooLarge()
			return nil, nil
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		case len(buf) < cap(buf):
			continue
		}
		more := min(2*cap(buf), c.maxFrame+1)
		if !c.server.unfinished.grow(&c.incoming, more-c.incoming.size) {
			c.crowdedOut()
			return nil, nil
		}
		buf = append(make([]byte, 0, more), buf...)
	}
}

// tooLate ends the connection because its frame did not become complete in time.
func (c *conn) tooLate() {
	c.end(websocket.StatusPolicyViolation, "the frame took too long: "+c.server.o.limited(frameTime))
}

// crowdedOut ends the connection because the frames of all connections have no room.
func (c *conn) crowdedOut() {
	c.end(websocket.StatusTryAgainLater, "too many unfinished frames: "+c.server.o.limited(maxUnfinishedBytes))
}

// tooLarge ends the connection because of a frame that is larger than it may send.
func (c *conn) tooLarge() {
	name := maxFrame
	if c.maxFrame < c.server.o.MaxFrame {
		name = maxUnauthenticatedFrame
	}
	c.end(websocket.StatusMessageTooBig, "the frame is too large: "+c.server.o.limited(name))
}
