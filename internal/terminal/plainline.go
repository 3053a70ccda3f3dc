package terminal

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// PlainLine is an InputLine for a terminal without cursor movement: the terminal itself edits
// the line, and nothing moves the cursor. Text that appears meanwhile may land in the middle
// of what is typed.
type PlainLine struct {
	screen io.Writer

	mu      sync.Mutex // guards the fields below
	rest    []byte     // of a line that has not arrived completely
	text    string     // the lines that a backslash continues, and the last one
	entered bool       // text is complete
}

// NewPlainLine makes a PlainLine whose text goes to out.
func NewPlainLine(out io.Writer) *PlainLine { return &PlainLine{screen: out} }

// Start does nothing: the terminal stays in its line mode.
func (p *PlainLine) Start() error { return nil }

// Stop does nothing.
func (p *PlainLine) Stop() {}

// Redraw does nothing.
func (p *PlainLine) Redraw() {}

// Write writes to the terminal.
func (p *PlainLine) Write(b []byte) (int, error) { return p.screen.Write(b) }

// Feed adds what was read from the terminal.
func (p *PlainLine) Feed(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = append(p.rest, b...)
}

// End completes a text that the user has ended with Ctrl-D instead of Enter. The second newline
// ends a text that a backslash continues.
func (p *PlainLine) End() { p.Feed([]byte("\n\n")) }

// Next returns EventEnter if a line is there.
func (p *PlainLine) Next() Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok && len(p.rest) <= MaxDraft {
			return NoEvent
		}
		p.rest = rest
		if p.entered {
			p.text, p.entered = "", false
		}
		p.text += CleanText(strings.TrimSuffix(string(line), "\r"))
		continued, more := continueLine(p.text)
		switch {
		case len(continued) > MaxDraft:
			p.text = ""
			return EventFull
		case !more:
			p.entered = true
			return EventEnter
		}
		p.text = continued
	}
}

// Text returns the text that was entered.
func (p *PlainLine) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

// Done does nothing: the next line begins a new text.
func (p *PlainLine) Done() {}

// SetText does nothing: the terminal has the line, and the text is on the screen.
func (p *PlainLine) SetText(string) {}
