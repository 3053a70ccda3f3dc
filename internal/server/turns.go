package server

import (
	"runtime"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/fair"
)

// turns lets a few connections write at once, in turn by the user to whom the frames are
// charged: the sender of a pushed message, or the user who gets a reply. So the pushes of one
// user's messages delay those of another user by one turn, however many they are.
//
// A frame is in the queue of its connection before the connection is in the turns: a connection's
// frames keep the order of conn.enqueue, whatever the turns are. A connection may be in the turns
// of several users; the first turn writes what is queued for the others too.
type turns struct {
	took func(user int64, took time.Duration) // is told how long each turn took

	mu    sync.Mutex
	queue *fair.Queue[*conn]
	free  int                     // how many more may write at once
	room  map[int64]chan struct{} // closed when a user for whom a reader waits has room again
}

// The cost of writing, in bytes.
const (
	writeCost    = 1 << 10  // of a write, in addition to its bytes
	writeTurn    = 16 << 10 // of a user's turn
	maxUnwritten = 4 << 20  // of all that waits; a user with more than a share of it has to wait before sending more
)

// nobody is the user to whom greetings and close frames are charged.
const nobody = 0

// newTurns leaves one processor for everything but writing.
func newTurns(took func(user int64, took time.Duration)) *turns {
	return &turns{took: took, queue: fair.NewQueue[*conn](writeTurn), free: max(1, runtime.GOMAXPROCS(0)-1), room: map[int64]chan struct{}{}}
}

// turn is a turn that a connection waits for, has, or had.
type turn = *fair.Item[*conn]

// add gives a connection one of a user's turns, for a frame in its queue. If last, the newest turn
// of the connection, is the same user's and has not begun, the frame is written in that turn.
func (t *turns) add(c *conn, last turn, user int64, bytes int) turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last != nil && last.User == user && t.queue.Grow(last, bytes) {
		return last
	}
	x := t.queue.Push(user, writeCost+bytes, c)
	if t.free > 0 {
		t.free--
		go t.work()
	}
	return x
}

// admit waits while a user has more than a share of what is to be written, and reports whether
// it did.
func (t *turns) admit(user int64) (waited bool) {
	for ; ; waited = true {
		t.mu.Lock()
		if t.queue.CostOf(user) <= t.queue.Share(maxUnwritten) {
			t.mu.Unlock()
			return waited
		}
		room := t.room[user]
		if room == nil {
			room = make(chan struct{})
			t.room[user] = room
		}
		t.mu.Unlock()
		<-room
	}
}

// work is a writing goroutine. It lets one connection after the other write. If the peer of one
// does not read, another goroutine takes over, and this one ends after the write. It yields after
// each: otherwise it would keep a processor for 10 ms, and the confirmations of a commit would
// wait. That lowers the 99th percentile of the delay beside a flooder by a third.
func (t *turns) work() {
	for x := t.next(); x != nil; x = t.next() {
		begun := time.Now()
		if !x.Value.takeTurn() {
			return
		}
		if x.User != nobody {
			t.took(x.User, time.Since(begun))
		}
		runtime.Gosched()
	}
}

// next returns the next turn. If there is none, it returns nil, and the caller ends.
func (t *turns) next() turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.queue.Pop()
	if x == nil {
		t.free++
		return nil
	}
	if room := t.room[x.User]; room != nil && t.queue.CostOf(x.User) <= t.queue.Share(maxUnwritten)/2 {
		close(room)
		delete(t.room, x.User)
	}
	return x
}

// leave lets another connection write instead of the caller's.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queue.Len() == 0 {
		t.free++
		return
	}
	go t.work()
}
