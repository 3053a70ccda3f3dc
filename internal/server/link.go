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

// link is a network connection that is counted until it is closed. What it reads is charged to
// its payer, who waits if that takes too much of the server's time.
type link struct {
	net.Conn
	release func() // of sync.OnceFunc
	closed  chan struct{}
	left    atomic.Int64 // bytes that may still be read

	intake *intake // nil lets it read without waiting
	payer  atomic.Int64
	work   work
}

// work is the time that the server takes for what a link has read last.
type work struct {
	mu      sync.Mutex
	payer   int64
	bytes   int
	noted   time.Duration // in the intake
	took    time.Duration
	since   time.Time     // that took does not count yet; zero means that the work rests
	perByte time.Duration // of the bytes before
	slot    bool          // it has one of intake.slots
}

// The time that bytes may take. What takes longer has waited for a processor.
const (
	readTime    = 50 * time.Microsecond  // of any bytes
	perByteTime = 1500 * time.Nanosecond // more for each byte: an empty ping, which is answered, takes that long
	handleTime  = 20 * time.Microsecond  // of a request, without its decoding
	largeRead   = 4 << 10                // more bytes than that are one large frame, and take less
)

// newLink makes a link. release is called once, when it is closed.
func newLink(c net.Conn, release func()) *link {
	l := &link{Conn: c, closed: make(chan struct{})}
	l.left.Store(math.MaxInt64)
	l.work.perByte = perByteTime
	l.release = sync.OnceFunc(func() {
		close(l.closed)
		release()
	})
	return l
}

// limitReads bounds what is read from now on. A read that goes beyond it ends when the link is
// closed.
func (l *link) limitReads(bytes int64) { l.left.Store(bytes) }

func (l *link) Read(b []byte) (int, error) {
	l.settle()
	n, err := l.Conn.Read(b)
	if l.left.Add(-int64(n)) < 0 {
		<-l.closed
	}
	if n > 0 {
		l.begin(n)
	}
	return n, err
}

func (l *link) Close() error {
	err := l.Conn.Close()
	l.release()
	l.rest(0) // no read may follow that would give back the slot
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

// begin waits until the payer may have the server work for bytes that were read.
func (l *link) begin(bytes int) {
	if l.intake == nil {
		return
	}
	w := &l.work
	w.mu.Lock()
	w.payer, w.bytes, w.took = l.payer.Load(), bytes, 0
	w.noted = readTime + time.Duration(min(bytes, largeRead))*w.perByte
	wait := l.intake.begin(w.payer, w.noted)
	w.mu.Unlock()
	if wait > 0 {
		l.wait(wait)
	}
	l.resume()
}

// wait waits for a time, and then for a slot, but not for long: those who work may wait themselves.
func (l *link) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.closed:
		return
	}
	t.Reset(intakeRest)
	select {
	case l.intake.slots <- struct{}{}:
		l.work.mu.Lock()
		l.work.slot = true
		l.work.mu.Unlock()
	case <-t.C:
	case <-l.closed:
	}
	select {
	case <-l.closed: // perhaps before the link had the slot
		l.rest(0)
	default:
	}
}

// settle notes how long the work for the bytes before took.
func (l *link) settle() {
	l.rest(0)
	w := &l.work
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noted == 0 {
		return
	}
	took := min(w.took, readTime+time.Duration(w.bytes)*perByteTime)
	w.perByte = max(0, took-readTime) / time.Duration(w.bytes)
	l.intake.took(w.payer, took-w.noted)
	w.noted = 0
}

// resume counts time as work from now on.
func (l *link) resume() {
	l.work.mu.Lock()
	defer l.work.mu.Unlock()
	l.work.since = time.Now()
}

// rest stops counting time as work, and adds some.
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
