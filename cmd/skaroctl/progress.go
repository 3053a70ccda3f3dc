package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress is a bar on the terminal for --lines and --null. A nil *progress means none. A library
// would slow every start, for a bar that is rare.
type progress struct {
	stderr      *stderr // whose lock guards the fields below
	now         func() time.Time
	total, done int64 // bytes of the input; done counts each recipient's share
	recipients  int64
	drawn       time.Time // zero if the bar is not on the terminal
}

const (
	barWidth = 30
	// barPause is the time between two updates of a bar: a terminal is slow.
	barPause = 100 * time.Millisecond
	// clearLine clears the line (ECMA-48, EL).
	clearLine = "\r\x1b[K"
)

// showProgress shows a bar if standard error is a terminal and the input is a file, whose
// length is known. Else it returns nil.
func (o *sendOptions) showProgress(f *Factory, recipients int) *progress {
	in, ok := f.streams.In.(*os.File)
	if !o.lines && !o.null || !ok || !f.streams.ErrTerminal || f.streams.Plain || f.streams.OutTerminal || f.flags.quiet || f.flags.verbose {
		return nil
	}
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	p := &progress{stderr: f.stderr, now: time.Now, total: info.Size(), recipients: int64(recipients)}
	f.stderr.show(p)
	return p
}

// add counts bytes of the input that are confirmed for one of the recipients.
func (p *progress) add(bytes int) {
	if p == nil {
		return
	}
	p.stderr.mu.Lock()
	defer p.stderr.mu.Unlock()
	p.done += int64(bytes)
	if now := p.now(); now.Sub(p.drawn) >= barPause {
		p.drawn = now
		_, _ = io.WriteString(p.stderr.w, clearLine+p.text())
	}
}

func (p *progress) text() string {
	const mega = 1e6
	done := min(p.done/p.recipients, p.total)
	part := float64(done) / float64(max(p.total, 1))
	full := int(part * barWidth)
	return fmt.Sprintf("sending [%s%s] %3.0f %%  %.1f of %.1f MB", strings.Repeat("#", full), strings.Repeat(" ", barWidth-full),
		100*part, float64(done)/mega, float64(p.total)/mega)
}

// clear removes the bar, so that a line of text can be written. The caller holds the lock.
func (p *progress) clear() {
	if p != nil && !p.drawn.IsZero() {
		_, _ = io.WriteString(p.stderr.w, clearLine)
		p.drawn = time.Time{}
	}
}

// end removes the bar for good.
func (p *progress) end() {
	if p != nil {
		p.stderr.mu.Lock()
		defer p.stderr.mu.Unlock()
		p.clear()
	}
}
