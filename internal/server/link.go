package server

import (
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// link is a network connection that is counted until it is closed. The server's work on what it
// reads is charged to its payer.
type link struct {
	net.Conn
	release func() // of sync.OnceFunc
	closed  chan struct{}
	left    atomic.Int64 // bytes that may still be read

	intake   *intake // nil lets it read without waiting
	payer    atomic.Int64
	upgraded atomic.Bool // to a WebSocket, which reads through plain
	work     work

	// waiting is closed when the write that waits until the peer reads has ended; nil means that none
	// waits. A pong would wait behind that write, so the reader has no slot meanwhile.
	waiting atomic.Pointer[chan struct{}]
}

// plain is the connection of a WebSocket: what a link reads, without its TLS.
type plain struct {
	net.Conn
	link *link
}

// Read charges for the bytes that it hands over, not for those that TLS reads: one TLS record may
// have thousands of frames.
func (p plain) Read(b []byte) (int, error) { return p.link.account(p.Conn.Read, b) }

// work is how long the server has worked on the bytes of the last read.
type work struct {
	mu       sync.Mutex
	fresh    int           // how many more bytes may be read without waiting for a share
	payer    int64         // of the last read
	bytes    int           // of the last read; 0 means that the work is settled
	noted    time.Duration // what the payer was charged in advance
	took     time.Duration // until since
	since    time.Time     // zero means that the clock is stopped
	perByte  time.Duration // measured for the read before: the estimate for the next one
	owes     bool          // the work needs a slot
	patience time.Duration // how much longer it may wait for a slot
	slot     bool          // it has a slot
}

// The most time that is charged for work. Work that takes longer has waited for a processor.
const (
	readTime    = 50 * time.Microsecond  // of any bytes
	perByteTime = 1500 * time.Nanosecond // more for each byte: an empty ping, which is answered, takes that long
	handleTime  = 20 * time.Microsecond  // of a request, without its decoding

	// accountTime is charged for each read, because the clock does not run for the system call and for
	// the accounting. Otherwise TLS records of one byte each would cost the payer hardly anything.
	accountTime = time.Microsecond

	mostNoted = 1 << 10 // bytes for which the payer is charged in advance, and the rest afterwards

	// These bytes do not wait for a share, so that a login does not wait for other clients of its
	// address.
	freshBytes = 4 << 10 // of a new connection: TLS and HTTP
	freshFrame = 512     // of a new WebSocket: the login
)

// newLink makes a link. release is called once, when it is closed.
func newLink(c net.Conn, release func()) *link {
	l := &link{Conn: c, closed: make(chan struct{})}
	l.left.Store(math.MaxInt64)
	l.work.fresh, l.work.perByte = freshBytes, perByteTime
	l.release = sync.OnceFunc(func() {
		close(l.closed)
		release()
	})
	return l
}

// limitReads bounds what is read from now on. A read that goes beyond it returns when the link is
// closed.
func (l *link) limitReads(bytes int64) { l.left.Store(bytes) }

func (l *link) Read(b []byte) (int, error) {
	if l.upgraded.Load() {
		return l.raw(b)
	}
	return l.account(l.raw, b)
}

// raw reads from the network. The clock is stopped while it waits for the peer.
func (l *link) raw(b []byte) (int, error) {
	l.rest(0)
	n, err := l.Conn.Read(b)
	if l.left.Add(-int64(n)) < 0 {
		<-l.closed
	}
	l.startClock()
	return n, err
}

// upgrade returns the connection of the WebSocket that a link becomes. c is the link, or its TLS.
func (l *link) upgrade(c net.Conn) plain {
	l.upgraded.Store(true)
	l.work.mu.Lock()
	defer l.work.mu.Unlock()
	l.work.fresh = freshFrame
	return plain{c, l}
}

// account reads, and waits until the server may work on what was read. The time that TLS takes
// counts as work, because a TLS record may have a single byte.
func (l *link) account(read func([]byte) (int, error), b []byte) (int, error) {
	l.settle()
	b = l.onlyFresh(b)
	l.startClock()
	n, err := read(b)
	l.rest(0)
	if n > 0 && l.intake != nil {
		l.await(n)
	}
	return n, err
}

// onlyFresh shortens b to the bytes that need not wait for a share, if any are left: a login must not
// wait for the message that follows it.
func (l *link) onlyFresh(b []byte) []byte {
	l.work.mu.Lock()
	defer l.work.mu.Unlock()
	if fresh := l.work.fresh; fresh > 0 {
		return b[:min(len(b), fresh)]
	}
	return b
}

// Write gives up the slot of a link that is not a WebSocket, because net/http may wait after an
// answer.
func (l *link) Write(b []byte) (int, error) {
	if !l.upgraded.Load() {
		l.giveUpSlot()
	}
	return l.Conn.Write(b)
}

func (l *link) Close() error {
	err := l.Conn.Close()
	l.release()
	l.settle() // if no other read follows
	return err
}

// SyscallConn lets cork.Conn write without waiting.
func (l *link) SyscallConn() (syscall.RawConn, error) {
	s, ok := l.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return s.SyscallConn()
}

// await waits until the server may work on bytes that were read.
func (l *link) await(bytes int) {
	if wait := l.note(bytes); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-l.closed:
		}
	}
	l.resume()
}

// note charges the payer for bytes in advance, and returns how long to wait before the work.
func (l *link) note(bytes int) (wait time.Duration) {
	w := &l.work
	w.mu.Lock()
	defer w.mu.Unlock()
	w.payer, w.bytes, w.patience = l.payer.Load(), bytes, intakeRest
	w.took += accountTime
	w.noted, wait, w.owes = l.intake.note(w.payer, readTime+time.Duration(min(bytes, mostNoted))*w.perByte)
	if w.fresh > 0 {
		w.fresh = max(0, w.fresh-bytes)
		return 0
	}
	return wait
}

// settle replaces what was noted for the last read with the time that its work took.
func (l *link) settle() {
	l.rest(0)
	w := &l.work
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bytes == 0 {
		return
	}
	took := min(w.took, readTime+time.Duration(w.bytes)*perByteTime)
	w.perByte = max(0, took-readTime) / time.Duration(w.bytes)
	l.intake.correct(w.payer, took-w.noted)
	w.bytes, w.took = 0, 0
}

// resume starts the clock. If the payer owes something, it first waits for a slot, and goes on
// without one when the patience is over: a link that has a slot may be waiting for its peer.
func (l *link) resume() {
	w := &l.work
	w.mu.Lock()
	needs, patience := w.owes && !w.slot, w.patience
	w.mu.Unlock()
	begun := time.Now()
	got := needs && l.awaitSlot(patience)
	w.mu.Lock()
	if got && w.slot { // another goroutine was faster
		<-l.intake.slots
	}
	w.slot = w.slot || got
	w.since = time.Now()
	if needs {
		w.patience = patience - w.since.Sub(begun)
		w.owes = got && w.patience > 0
	}
	w.mu.Unlock()
	if l.waitsForPeer() || l.isClosed() { // perhaps since before the link had the slot
		l.giveUpSlot()
	}
}

func (l *link) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// startWaiting notes that a write waits until the peer reads.
func (l *link) startWaiting() {
	ended := make(chan struct{})
	l.waiting.Store(&ended)
	l.giveUpSlot() // the reader may be writing a pong
}

// stopWaiting notes that the write has ended.
func (l *link) stopWaiting() { close(*l.waiting.Swap(nil)) }

// waitsForPeer reports whether a write waits until the peer reads.
func (l *link) waitsForPeer() bool { return l.waiting.Load() != nil }

// awaitSlot waits for a slot, for a time at most, and reports whether it got one. It gets none
// while a write waits for the peer, so that a peer can't avoid the wait by not reading.
func (l *link) awaitSlot(most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	for w := l.waiting.Load(); w != nil; w = l.waiting.Load() {
		select {
		case <-*w:
		case <-t.C:
			return false
		case <-l.closed:
			return false
		}
	}
	select {
	case l.intake.slots <- struct{}{}:
		return true
	case <-t.C:
	case <-l.closed:
	}
	return false
}

func (l *link) startClock() {
	l.work.mu.Lock()
	defer l.work.mu.Unlock()
	l.work.since = time.Now()
}

// rest gives back the slot, stops the clock, and adds more to the time that it counted.
func (l *link) rest(more time.Duration) {
	w := &l.work
	w.mu.Lock()
	defer w.mu.Unlock()
	l.giveUpSlotLocked()
	if w.took += more; !w.since.IsZero() {
		w.took += time.Since(w.since)
		w.since = time.Time{}
	}
}

// giveUpSlot gives back the slot, if the link has one.
func (l *link) giveUpSlot() {
	l.work.mu.Lock()
	defer l.work.mu.Unlock()
	l.giveUpSlotLocked()
}

// giveUpSlotLocked is giveUpSlot while work.mu is held.
func (l *link) giveUpSlotLocked() {
	if l.work.slot {
		<-l.intake.slots
		l.work.slot = false
	}
}
