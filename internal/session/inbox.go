package session

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// inbox is the queue of pushes between the goroutine that reads a connection and the
// listener. While it is full the reader waits, so that the server stops sending.
type inbox struct {
	queue chan queued
	bytes atomic.Int64  // in queue
	room  chan struct{} // holds an element if bytes has fallen since the reader looked

	mu       sync.Mutex
	backfill *backfill // guarded by mu; nil means that every push is queued
}

// Bounds of an inbox: its pushes, and their bytes, which the last push may exceed.
const (
	inboxSize  = 1024
	inboxBytes = 4 << 20
)

// queued is a push in an inbox, and its size in bytes.
type queued struct {
	proto.Frame
	size int64
}

// backfill is the range of ids that the inbox leaves out while updates are fetched,
// because the updates will contain them. Zero means that nothing was left out.
type backfill struct{ lowest, highest int64 }

func newInbox() *inbox {
	return &inbox{queue: make(chan queued, inboxSize), room: make(chan struct{}, 1)}
}

// push queues a push, and waits for room if there is none, but not after closing is
// closed. The reader calls it.
func (b *inbox) push(f proto.Frame, closing <-chan struct{}) {
	if f.Type() == proto.TypeShowMessage && b.leavesOut(f) {
		return
	}
	select {
	case <-closing:
		return // even if there is room: no push may follow one that was left out
	default:
	}
	q := queued{Frame: f, size: int64(f.Size())}
	for b.bytes.Load() > inboxBytes {
		select {
		case <-b.room:
		case <-closing:
			return
		}
	}
	b.bytes.Add(q.size)
	select {
	case b.queue <- q:
	case <-closing:
	}
}

// take returns the frame of an element that the listener has received from queue.
func (b *inbox) take(q queued) proto.Frame {
	if b.bytes.Add(-q.size) <= inboxBytes {
		select {
		case b.room <- struct{}{}:
		default:
		}
	}
	return q.Frame
}

// beginBackfill makes the inbox leave out messages with an id, until endBackfill.
func (b *inbox) beginBackfill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backfill = &backfill{}
}

// endBackfill makes the inbox queue messages again, and reports whether it did. It does not
// if a message that was left out is newer than position, the last one that was fetched.
// lowest is the lowest id that was left out, or zero.
func (b *inbox) endBackfill(position int64) (done bool, lowest int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if lowest = b.backfill.lowest; b.backfill.highest > position {
		return false, lowest
	}
	b.backfill = nil
	return true, lowest
}

// leavesOut reports whether a message is left to the backfill, and notes its id.
func (b *inbox) leavesOut(f proto.Frame) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.backfill == nil {
		return false
	}
	id := proto.ParseMessage(f).ID
	if id == 0 || id > maxID {
		return false
	}
	b.backfill.highest = max(b.backfill.highest, id)
	if b.backfill.lowest == 0 || id < b.backfill.lowest {
		b.backfill.lowest = id
	}
	return true
}

// held are messages that wait until the listener can deliver them.
type held struct {
	messages []proto.Message
	size     int // of the messages, as sizeOf counts
}

// Bounds of what a catch-up holds back. When they are reached, messages that the history will
// have are dropped; otherwise the connection is no longer read, so that the server waits.
const (
	heldMost   = 1 << 12 // messages, and names of dialogs
	heldBytes  = 4 << 20 // messages; the last one may exceed it
	namesBytes = 1 << 20 // names of dialogs; the last one may exceed it
)

// full reports whether there is no room for another message.
func (h *held) full() bool { return len(h.messages) >= heldMost || h.size >= heldBytes }

// add adds a message. The caller checks full first.
func (h *held) add(m proto.Message) {
	h.messages = append(h.messages, m)
	h.size += sizeOf(m)
}

// flush passes the messages to deliver, and forgets them.
func (h *held) flush(ctx context.Context, deliver func(proto.Message) error) error {
	for i, m := range h.messages {
		if ctx.Err() != nil {
			h.messages = h.messages[i:]
			return context.Cause(ctx)
		}
		if err := deliver(m); err != nil {
			h.messages = h.messages[i+1:]
			return err
		}
	}
	*h = held{}
	return nil
}

// sizeOf estimates the memory that a message takes, in bytes.
func sizeOf(m proto.Message) int {
	const overhead = 256 // of the struct, and of its place in a list
	return overhead + len(m.From) + len(m.Conference) + len(m.To) + len(m.Body) + len(m.Fields) + m.Date.Size() + m.Extra.Size()
}
