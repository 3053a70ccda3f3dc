package terminal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/term"
)

// Event is what a person has done at an input line.
type Event int

// The events of an input line.
const (
	NoEvent        Event = iota
	EventEnter           // the text is complete: Text returns it, and Done takes it away
	EventInterrupt       // Ctrl-C at an empty line
	EventEnd             // Ctrl-D at an empty line
	EventSuspend         // Ctrl-Z
	EventFull            // there was no room for some text
)

// InputLine is a line at the bottom of a terminal in which a person writes, while other text
// appears above it. Write writes such text, of whole lines. Any goroutine may use it.
type InputLine interface {
	io.Writer
	// Start takes the terminal, and Stop gives it back as it was. Start may be called again
	// after Stop, or after a shell has used the terminal.
	Start() error
	Stop()
	// Feed adds what was read from the terminal. Next returns the next event, or NoEvent if
	// there is none yet.
	Feed([]byte)
	Next() Event
	// End says that the terminal has ended, so that nothing else is to be fed.
	End()
	// Text returns the text that is written, and Done keeps it for the Up key and clears the
	// line. SetText sets it.
	Text() string
	Done()
	SetText(string)
	// Redraw shows the line again, after the size of the terminal has changed.
	Redraw()
}

// Editor is an InputLine with the keys of a shell. It shows one row: the part of the text
// around the cursor, so that a long text costs a slow line no more than a short one, and a
// screen reader reads only what changes.
type Editor struct {
	keys   *os.File
	out    io.Writer
	width  func() int // of the terminal, in columns
	safe   func(string) string
	prompt []cell // without the column after it

	mu      sync.Mutex // guards the fields below
	before  *term.State
	parser  keyParser
	draft   draft
	view    view
	full    bool // text was refused: further text is refused too, until another key
	started bool

	// What the terminal shows: a row, the number of its cells before the cursor, and the width
	// of the terminal then. A nil row means none.
	row        []cell
	cursor     int
	drawnWidth int
}

// NewEditor makes an Editor of the terminal whose input is keys and whose output is screen. The
// caller gives what it reads from keys to Feed. The Editor writes to out, which leads to screen.
// safe makes text of a person safe to show on one line.
func NewEditor(keys, screen *os.File, out io.Writer, prompt string, safe func(string) string) *Editor {
	width := func() int {
		w, _, err := term.GetSize(descriptor(screen))
		if err != nil || w <= 0 {
			return defaultWidth
		}
		return w
	}
	return newEditor(keys, out, width, prompt, safe)
}

// defaultWidth is the width of a terminal that does not report one.
const defaultWidth = 80

func newEditor(keys *os.File, out io.Writer, width func() int, prompt string, safe func(string) string) *Editor {
	e := &Editor{keys: keys, out: out, width: width, safe: safe, view: view{safe: safe}}
	e.prompt, _ = e.view.fitting(prompt+">", maxPrompt)
	return e
}

// maxPrompt is the longest prompt, in columns.
const maxPrompt = 40

// Sequences that a terminal follows (ECMA-48, and xterm's modes).
const (
	pasteModeOn, pasteModeOff = "\x1b[?2004h", "\x1b[?2004l"
	wrapOn, wrapOff           = "\x1b[?7h", "\x1b[?7l"
	clearRight, clearBelow    = "\x1b[K", "\x1b[J"
	clearScreen               = "\x1b[H\x1b[2J"
)

// Start takes the terminal out of its line mode, and shows the line.
func (e *Editor) Start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	state, err := makeRaw(descriptor(e.keys))
	if err != nil {
		return err
	}
	if e.before == nil {
		e.before = state
	}
	e.started = true
	taken.Store(e)
	e.send(pasteModeOn + e.redrawSequence())
	return nil
}

// Stop gives the terminal back. An empty line goes away, and any other stays to be seen.
func (e *Editor) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.started {
		return
	}
	e.started = false
	taken.Store(nil)
	end := e.eraseSequence()
	if text := e.draft.text(); text != "" {
		row, _ := e.layout()
		end += textOf(row) + "\n"
	}
	fd := descriptor(e.keys)
	if inForeground(fd) {
		_ = term.Restore(fd, e.before) // first: a write may be blocked
		e.send(end + pasteModeOff)
	}
}

// taken is the Editor that has the terminal of this process, for RestoreAtPanic alone.
var taken atomic.Pointer[Editor]

// RestoreAtPanic gives the terminal back if its goroutine panics: that ends the process, and no
// other goroutine would do it. Defer it.
func RestoreAtPanic() {
	if r := recover(); r != nil {
		if e := taken.Load(); e != nil {
			_ = term.Restore(descriptor(e.keys), e.before)
			_, _ = io.WriteString(e.out, pasteModeOff+"\n")
		}
		panic(r)
	}
}

// Feed adds what was read from the terminal.
func (e *Editor) Feed(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.parser.feed(b)
}

// End does nothing: Ctrl-D does not end a text, so what is written when the terminal goes away is
// not complete.
func (e *Editor) End() {}

// Next handles keys up to the next event, and shows what they have changed.
func (e *Editor) Next() Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	event := NoEvent
	for event == NoEvent {
		k, ok := e.parser.next()
		if !ok {
			break
		}
		event = e.press(k)
	}
	e.draw()
	return event
}

// press does what a key does.
func (e *Editor) press(k key) Event {
	if k.code != keyText {
		e.full = false
	}
	empty := e.draft.text() == ""
	switch k.code {
	case keyText:
		if !e.full && !e.draft.insert(k.text) {
			e.full = true
			return EventFull
		}
	case keyEnter:
		if continued, ok := continueLine(e.draft.text()); ok {
			e.draft.set(continued)
			return NoEvent
		}
		return EventEnter
	case keyInterrupt:
		if empty {
			return EventInterrupt
		}
		e.draft.clear()
	case keyEndOfInput:
		if empty {
			return EventEnd
		}
		e.draft.press(k.code)
	case keySuspend:
		return EventSuspend
	case keyClearScreen:
		e.send(clearScreen)
		e.row = nil
	default:
		e.draft.press(k.code)
	}
	return NoEvent
}

// continueLine returns a text that ends with a backslash with a newline in its place.
func continueLine(text string) (string, bool) {
	text, ok := strings.CutSuffix(text, `\`)
	return text + "\n", ok
}

// Text returns the text that is written.
func (e *Editor) Text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.draft.text()
}

// Done keeps the text for the Up key, and clears the line.
func (e *Editor) Done() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.draft.enter()
	e.draw()
}

// SetText sets the text.
func (e *Editor) SetText(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.draft.set(text)
	e.draw()
}

// Redraw shows the line in the new size of the terminal.
func (e *Editor) Redraw() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		e.send(e.eraseSequence() + e.redrawSequence())
	}
}

// Write writes lines of text above the line.
func (e *Editor) Write(lines []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.started {
		return e.out.Write(lines)
	}
	text := e.eraseSequence() + string(lines)
	if !bytes.HasSuffix(lines, []byte("\n")) {
		text += "\n"
	}
	if _, err := io.WriteString(e.out, text+e.redrawSequence()); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// send writes to the terminal. If that fails, so does the next Write.
func (e *Editor) send(s string) {
	if s != "" {
		_, _ = io.WriteString(e.out, s)
	}
}

// layout returns the row to be shown, and the number of its cells before the cursor. The last
// column stays free: terminals differ in what they do after it.
func (e *Editor) layout() (row []cell, cursor int) {
	room := max(e.width(), 1) - 1
	prompt := e.prompt
	if widthOf(prompt) > room/2 {
		prompt = prompt[len(prompt)-1:] // ">"
	}
	room = max(room-widthOf(prompt)-2, 1) // a column on both sides for what is not shown
	cells, cursor, more := e.view.cells(&e.draft, room)
	left := cell{" ", 1, true}
	if e.view.start > 0 {
		left.text = "<"
	}
	row = append(append(row, prompt...), left)
	cursor += len(row)
	row = append(row, cells...)
	if more {
		row = append(row, cell{">", 1, true})
	}
	return row, cursor
}

// draw shows what has changed.
func (e *Editor) draw() {
	if !e.started {
		return
	}
	old, at := e.row, e.cursor
	if old == nil || e.width() != e.drawnWidth {
		e.send(e.eraseSequence() + e.redrawSequence())
		return
	}
	row, cursor := e.layout()
	same := 0
	for same < min(len(old), len(row)) && old[same] == row[same] {
		same++
	}
	if !plainCells(old) || !plainCells(row) {
		if same < max(len(old), len(row)) || cursor != at {
			e.send(e.redrawSequence())
		}
		return
	}
	var b strings.Builder
	column := widthOf(old[:at])
	if same < max(len(old), len(row)) {
		b.WriteString(moveSequence(column, widthOf(row[:same])) + textOf(row[same:]))
		column = widthOf(row)
		if widthOf(old) > column {
			b.WriteString(clearRight)
		}
	}
	b.WriteString(moveSequence(column, widthOf(row[:cursor])))
	e.send(b.String())
	e.row, e.cursor = row, cursor
}

// redrawSequence returns what shows the whole row, from its first column. What is before the
// cursor is written last, so that the cursor ends up right after it, however wide the
// terminal thinks it is. Nothing wraps.
func (e *Editor) redrawSequence() string {
	e.row, e.cursor = e.layout()
	e.drawnWidth = e.width()
	row := textOf(e.row)
	return wrapOff + "\r" + row + clearRight + "\r" + textOf(e.row[:e.cursor]) + wrapOn
}

// eraseSequence returns what takes the row away, and leaves the cursor where it began. Most
// terminals wrap the row when they become narrower: then it takes several rows.
func (e *Editor) eraseSequence() string {
	if e.row == nil {
		return ""
	}
	up := ""
	if rows := widthOf(e.row[:e.cursor]) / max(e.width(), 1); rows > 0 && e.width() < e.drawnWidth {
		up = fmt.Sprintf("\x1b[%dA", rows)
	}
	e.row = nil
	return "\r" + up + clearBelow
}

// moveSequence returns what moves the cursor from one column to another.
func moveSequence(from, to int) string {
	switch {
	case to < from:
		return fmt.Sprintf("\x1b[%dD", from-to)
	case to > from:
		return fmt.Sprintf("\x1b[%dC", to-from)
	}
	return ""
}
