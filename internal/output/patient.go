package output

import (
	"context"
	"io"
	"sync"
	"time"
)

// Patient is a writer that goes on for a while after its context has ended, and then
// gives up: a pipe may have a reader that reads nothing, and a terminal may be stopped.
// What was given up may have been written in part, or may still be.
type Patient struct {
	ctx      context.Context
	w        io.Writer
	patience time.Duration
	told     func()

	mu      sync.Mutex
	giveUp  <-chan time.Time // nil as long as nothing was written after the end of ctx
	givenUp bool
	late    bool
	buf     []byte // what is being written: the caller's is its own again when Write returns
}

// quick is how long a write may take after the end of the context before anybody is told
// that it is waited for: most take no time.
const quick = 100 * time.Millisecond

// NewPatient makes a writer on w that goes on for a time after ctx has ended. told, where
// it is not nil, is called once when that is needed.
func NewPatient(ctx context.Context, w io.Writer, patience time.Duration, told func()) *Patient {
	return &Patient{ctx: ctx, w: w, patience: patience, told: told}
}

// Late reports whether something was still to be written when the context ended.
func (p *Patient) Late() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.late
}

// Write writes to the stream. The error of a write that was given up is the cause of the
// end of the context, and so is that of each one after it.
func (p *Patient) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.givenUp {
		return 0, context.Cause(p.ctx)
	}
	type result struct {
		n   int
		err error
	}
	p.buf = append(p.buf[:0], b...)
	written := make(chan result, 1)
	go func(b []byte) {
		n, err := p.w.Write(b)
		written <- result{n, err}
	}(p.buf)
	select {
	case r := <-written:
		p.late = p.ctx.Err() != nil
		return r.n, r.err
	case <-p.ctx.Done():
	}
	p.late = true
	if p.giveUp == nil {
		p.giveUp = time.After(p.patience)
	}
	slow := time.NewTimer(quick)
	defer slow.Stop()
	for {
		select {
		case r := <-written:
			return r.n, r.err
		case <-slow.C:
			if p.told != nil {
				go p.told() // what it writes to may take nothing either
				p.told = nil
			}
		case <-p.giveUp:
			p.givenUp = true
			return 0, context.Cause(p.ctx)
		}
	}
}
