// Package terminal connects both programs to the person or the pipe in front of them:
// the standard streams, questions, bounded reads and writes, and the signals that end
// the wait for any of these. It knows nothing of the protocol.
package terminal

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"
)

// Streams are the three standard streams, and whether each is a terminal.
type Streams struct {
	In                                   io.Reader
	Out, Err                             io.Writer
	InTerminal, OutTerminal, ErrTerminal bool

	// Plain reports whether a terminal shows escape sequences instead of following them.
	Plain bool
}

// SystemStreams returns the streams of this process.
func SystemStreams() Streams {
	terminal := func(f *os.File) bool {
		return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd())
	}
	s := Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTerminal: terminal(os.Stdin), OutTerminal: terminal(os.Stdout), ErrTerminal: terminal(os.Stderr),
	}
	s.Plain = s.OutTerminal && !followsEscapes(os.Stdout) || s.ErrTerminal && !followsEscapes(os.Stderr)
	return s
}
