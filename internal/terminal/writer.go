package terminal

import (
	"context"
	"io"
	"sync"
	"time"
)

// InterruptibleWriter is a writer that an interrupt ends: it writes normally until its
// context ends, and then for a grace period, which begins with the first write that has to
// wait. A pipe may have a reader that reads nothing, and a terminal may be stopped. A write that
// is given up may be written in part.
type InterruptibleWriter struct {
	ctx     context.Context
	w       io.Writer
	grace   time.Duration
	blocked func()

	mu       sync.Mutex       // guards the fields below; a Write holds it
	deadline <-chan time.Time // ends the grace period; nil until a write needs it
	expired  bool             // the grace period is over
	pending  bool
	buf      []byte // a write that was given up still reads it, so it is not the caller's
}

// blockedAfter is how long a write may take after the end of the context before blocked
// is called. Most writes take no time.
const blockedAfter = 100 * time.Millisecond

// NewInterruptibleWriter makes a writer on w. If a write takes long after the end of ctx,
// blocked is called, at most once. It may be nil.
func NewInterruptibleWriter(ctx context.Context, w io.Writer, grace time.Duration, blocked func()) *InterruptibleWriter {
	return &InterruptibleWriter{ctx: ctx, w: blockingWriter(w), grace: grace, blocked: blocked}
}

// PendingAtInterrupt reports whether output was still to be written when the context ended.
func (w *InterruptibleWriter) PendingAtInterrupt() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending
}

// written is what a Write of the stream returned.
type written struct {
	n   int
	err error
}

// Write writes to the stream. If the grace period ends first, the error is the cause of
// the context's end, and every later Write returns it too.
func (w *InterruptibleWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.expired {
		return 0, context.Cause(w.ctx)
	}
	w.buf = append(w.buf[:0], b...)
	done := make(chan written, 1)
	go func(b []byte) {
		n, err := w.w.Write(b)
		done <- written{n, err}
	}(w.buf)
	select {
	case r := <-done:
		w.pending = w.ctx.Err() != nil
		return r.n, r.err
	case <-w.ctx.Done():
		w.pending = true
		return w.finish(done)
	}
}

// finish waits for a write for the rest of the grace period.
func (w *InterruptibleWriter) finish(done <-chan written) (int, error) {
	if w.deadline == nil {
		w.deadline = time.After(w.grace)
	}
	slow := time.NewTimer(blockedAfter)
	defer slow.Stop()
	for {
		select {
		case r := <-done:
			return r.n, r.err
		case <-slow.C:
			if w.blocked != nil {
				go w.blocked() // it may write to a stream that is blocked too
				w.blocked = nil
			}
		case <-w.deadline:
			w.expired = true
			return 0, context.Cause(w.ctx)
		}
	}
}
