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
}

// plain is the connection of a WebSocket: a link without TLS.
type plain struct {
	net.Conn
	link *link
}

// Read reads a small piece: a TLS record may have thousands of frames.
func (p plain) Read(b []byte) (int, error) { return p.link.account(p.Conn.Read, b) }

// work is how long the server has worked on the bytes of the last read.
type work struct {
	mu      sync.Mutex
	fresh   int           // bytes that need not wait for a share any more
	payer   int64         // of the last read
	bytes   int           // of it; 0 means that the work is settled
	noted   time.Duration // in advance, in the intake
	took    time.Duration // until since
	since   time.Time     // zero means that the work rests
	perByte time.Duration // measured for the read before: the estimate for the next one
	owes    bool          // it may work only with a slot
	slot    bool          // it has one
}

// The time that bytes may take. What takes longer has waited for a processor.
const (
	readTime    = 50 * time.Microsecond  // of any bytes
	perByteTime = 1500 * time.Nanosecond // more for each byte: an empty ping, which is answered, takes that long
	handleTime  = 20 * time.Microsecond  // of a request, without its decoding

	mostNoted  = 16 << 10 // bytes for which time is noted in advance: a TLS record
	freshBytes = 4 << 10  // of a new connection that wait for no share: enough for a login with TLS
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

func (l *link) raw(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.left.Add(-int64(n)) < 0 {
		<-l.closed
	}
	return n, err
}

// account reads, and waits until the server may work on what was read.
func (l *link) account(read func([]byte) (int, error), b []byte) (int, error) {
	l.settle()
	n, err := read(b)
	if n > 0 && l.intake != nil {
		l.begin(n)
	}
	return n, err
}

func (l *link) Close() error {
	err := l.Conn.Close()
	l.release()
	l.settle() // no read may follow that does it
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

// begin waits until the server may work on bytes that were read.
func (l *link) begin(bytes int) {
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

// note notes the work on bytes in advance, and returns how long to wait before it.
func (l *link) note(bytes int) (wait time.Duration) {
	w := &l.work
	w.mu.Lock()
	defer w.mu.Unlock()
	w.payer, w.bytes, w.took = l.payer.Load(), bytes, 0
	w.noted, wait, w.owes = l.intake.begin(w.payer, readTime+time.Duration(min(bytes, mostNoted))*w.perByte)
	if w.fresh -= bytes; w.fresh >= 0 {
		return 0
	}
	w.fresh = 0
	return wait
}

// settle corrects what was noted for the last read.
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
	l.intake.took(w.payer, took-w.noted)
	w.bytes = 0
}

// resume counts time as work from now on. If the payer owes something, it waits for a slot first,
// but not for long: a link that has one may itself have to wait.
func (l *link) resume() {
	w := &l.work
	w.mu.Lock()
	needs := w.owes && !w.slot
	w.mu.Unlock()
	got := needs && l.awaitSlot()
	w.mu.Lock()
	if got && w.slot { // another goroutine was faster
		<-l.intake.slots
	}
	w.slot = w.slot || got
	w.since = time.Now()
	w.mu.Unlock()
	select {
	case <-l.closed: // perhaps before it had the slot
		l.rest(0)
	default:
	}
}

// awaitSlot waits for a slot, and reports whether it has one.
func (l *link) awaitSlot() bool {
	select {
	case l.intake.slots <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(intakeRest)
	defer t.Stop()
	select {
	case l.intake.slots <- struct{}{}:
		return true
	case <-t.C:
	case <-l.closed:
	}
	return false
}

// rest gives back the slot, counts no more time as work, and adds some.
func (l *link) rest(more time.Duration) {
	w := &l.work
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.took += more; !w.since.IsZero() {
		w.took += time.Since(w.since)
		w.since = time.Time{}
	}
	if w.slot {
		<-l.intake.slots
		w.slot = false
	}
}
