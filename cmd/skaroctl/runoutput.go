package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

// afterEnd is how long run waits, after the end of a command, for the output of processes
// that the command has left behind. What the command itself has written is passed on, however
// long its reader takes.
const afterEnd = 2 * time.Second

// pipeRoom is more than what a pipe holds, in bytes: after so much output, everything that
// the command itself wrote has arrived.
const pipeRoom = 1 << 20

// passages pass the output of a command on. A nil passages means that the command has our
// own streams.
type passages struct {
	list    []*passage
	theirs  []*os.File // the sides of the pipes that the command writes to
	tail    *tail
	over    chan struct{} // closed when the command has ended
	running sync.WaitGroup
}

// newPassages sets the output of a command that has not been started. If both streams are the
// same file, the command gets one pipe for both, so that the order of its output stays.
func newPassages(f *Factory, cmd *exec.Cmd, lines int) (*passages, error) {
	p := &passages{tail: &tail{most: lines}, over: make(chan struct{})}
	out, err := p.add(f.out)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = out, out
	if sameFile(f.streams.Out, f.streams.Err) {
		return p, nil
	}
	errs, err := p.add(f.stderr.w)
	if err != nil {
		p.closeTheirs()
		_ = p.finish()
		return nil, err
	}
	cmd.Stderr = errs
	return p, nil
}

// add makes a passage to a stream, and returns the side of the pipe that the command writes to.
func (p *passages) add(to io.Writer) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	pass := &passage{from: r, to: to, keep: &tailLine{tail: p.tail}, over: p.over, wait: afterEnd}
	p.list, p.theirs = append(p.list, pass), append(p.theirs, w)
	p.running.Go(func() { pass.err = pass.run() })
	return w, nil
}

// closeTheirs closes our copies of what the command writes to.
func (p *passages) closeTheirs() {
	if p == nil {
		return
	}
	for _, w := range p.theirs {
		w.Close()
	}
}

// finish waits until the output of a command that has ended is passed on. A reader that has
// gone is not an error: the command got the same answer from its pipe.
func (p *passages) finish() error {
	if p == nil {
		return nil
	}
	close(p.over)
	p.running.Wait()
	var errs []error
	for _, pass := range p.list {
		pass.keep.last()
		if !terminal.ReaderGone(pass.err) {
			errs = append(errs, pass.err)
		}
	}
	return errors.Join(errs...)
}

// lines returns the last lines of the output.
func (p *passages) lines() []string {
	if p == nil {
		return nil
	}
	return p.tail.lines
}

// passage passes one stream of a command on, as it comes, and keeps its end.
type passage struct {
	from io.ReadCloser
	to   io.Writer
	keep *tailLine
	over <-chan struct{} // closed when the command has ended
	wait time.Duration   // what is left of the wait for output after that
	err  error

	ended time.Time // of the command; zero while it runs
	after int       // bytes that came after that
}

// passBuffer is the size of each of the two buffers of a passage, in bytes: one is written
// while the other one is filled.
const passBuffer = 32 << 10

// run passes the stream on until it ends, or until the command has ended and its output is
// passed on. A write that fails closes the pipe, so that the command notices.
func (p *passage) run() error {
	chunks, stop := make(chan []byte), make(chan struct{})
	defer p.from.Close()
	defer close(stop)
	go p.read(chunks, stop)
	for {
		chunk, more := p.next(chunks)
		if !more {
			return nil
		}
		p.keep.add(chunk)
		if _, err := p.to.Write(chunk); err != nil {
			return err
		}
	}
}

// read reads the stream until it ends or is closed.
func (p *passage) read(chunks chan<- []byte, stop <-chan struct{}) {
	defer close(chunks)
	var buffers [2][passBuffer]byte
	for i := 0; ; i = 1 - i {
		n, err := p.from.Read(buffers[i][:])
		if n > 0 {
			select {
			case chunks <- buffers[i][:n]:
			case <-stop:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// next returns the next part of the stream. more is false at its end, or if what comes can't
// be from the command itself.
func (p *passage) next(chunks <-chan []byte) (chunk []byte, more bool) {
	if p.ended.IsZero() {
		select {
		case chunk, more = <-chunks:
			return chunk, more
		case <-p.over:
			p.ended = time.Now()
		}
	}
	if p.after > pipeRoom && time.Since(p.ended) > afterEnd {
		return nil, false
	}
	start := time.Now()
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	select {
	case chunk, more = <-chunks:
		p.wait -= time.Since(start)
		p.after += len(chunk)
		return chunk, more
	case <-timer.C:
		return nil, false
	}
}

// The most that is kept and sent of a command's output, in bytes: of a line, and of all
// lines together.
const (
	maxTailLine = 4 << 10
	maxTail     = 64 << 10
)

// tail has the last lines of a command's output, of both streams.
type tail struct {
	most  int // lines
	mu    sync.Mutex
	lines []string
	bytes int
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines, t.bytes = append(t.lines, line), t.bytes+len(line)+1
	for len(t.lines) > t.most || t.bytes > maxTail {
		t.bytes -= len(t.lines[0]) + 1
		t.lines = t.lines[1:]
	}
}

// tailLine cuts one stream into lines for a tail. A carriage return begins the line again, as
// it does at a terminal: only the last state of a progress bar is kept.
type tailLine struct {
	tail   *tail
	line   []byte
	cut    bool // the line is longer
	begins bool // after a carriage return, the next byte begins the line again
}

// add takes a part of the stream.
func (l *tailLine) add(b []byte) {
	b = l.skip(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			l.extend(b)
			return
		}
		l.extend(b[:i])
		l.end()
		b = b[i+1:]
	}
}

// skip returns what is left of b without the lines that can't be among the last ones: output
// may be long, and only a few lines of it are kept.
func (l *tailLine) skip(b []byte) []byte {
	end := len(b)
	for range l.tail.most + 1 {
		if end = bytes.LastIndexByte(b[:end], '\n'); end < 0 {
			return b
		}
	}
	l.reset()
	return b[end+1:]
}

// extend adds to the line.
func (l *tailLine) extend(b []byte) {
	text := bytes.TrimRight(b, "\r")
	if l.begins && len(text) > 0 {
		l.reset()
	}
	if i := bytes.LastIndexByte(text, '\r'); i >= 0 {
		l.reset()
		text = text[i+1:]
	}
	l.begins = l.begins || len(b) > 0 && b[len(b)-1] == '\r'
	room := maxTailLine - len(l.line)
	l.cut = l.cut || len(text) > room
	l.line = append(l.line, text[:min(room, len(text))]...)
}

// last ends the line after the last newline, unless it is empty.
func (l *tailLine) last() {
	if len(l.line) > 0 {
		l.end()
	}
}

// end ends a line.
func (l *tailLine) end() {
	line := l.line
	if l.cut {
		line = terminal.WholeRunes(line)
	}
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	if l.cut {
		text += "…"
	}
	l.tail.add(text)
	l.reset()
}

func (l *tailLine) reset() { l.line, l.cut, l.begins = l.line[:0], false, false }
