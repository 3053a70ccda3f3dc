package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// progress is a bar on the terminal for --lines. A nil *progress is none. It is our own
// because what libraries for it set up costs every start, and a bar is rare.
type progress struct {
	out         io.Writer
	mu          *sync.Mutex // of everything that is written to out
	now         func() time.Time
	total, done int64 // bytes of the input; done counts each recipient's share
	recipients  int64
	drawn       time.Time
}

const (
	barWidth = 30
	// barPause is how long a bar stays as it is: a terminal is slow.
	barPause = 100 * time.Millisecond
	// clearLine takes away what is on the line (ECMA-48, EL).
	clearLine = "\r\x1b[K"
)

// progress makes a bar where standard error is a terminal and the input is a
// file, whose length is known; elsewhere nil.
func (a *app) progress(recipients int) *progress {
	in, ok := a.streams.In.(*os.File)
	if !ok || !a.streams.ErrTerminal || a.streams.Plain || a.streams.OutTerminal || a.flags.quiet || a.flags.verbose {
		return nil
	}
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	a.stderr.bar = &progress{out: a.stderr.w, mu: &a.stderr.mu, now: time.Now, total: info.Size(), recipients: int64(recipients)}
	return a.stderr.bar
}

// add counts bytes of the input that one of the recipients has got.
func (p *progress) add(bytes int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += int64(bytes)
	if now := p.now(); now.Sub(p.drawn) >= barPause {
		p.drawn = now
		_, _ = io.WriteString(p.out, clearLine+p.text())
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

// clear takes the bar away, for a line of text. mu is held.
func (p *progress) clear() {
	if p != nil && !p.drawn.IsZero() {
		_, _ = io.WriteString(p.out, clearLine)
		p.drawn = time.Time{}
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.clear()
	}
}
