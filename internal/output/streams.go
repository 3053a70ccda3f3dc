package output

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"
)

// Streams are the three standard streams, and whether each is a terminal. Plain is
// a terminal that shows escape sequences instead of following them.
type Streams struct {
	In                                   io.Reader
	Out, Err                             io.Writer
	InTerminal, OutTerminal, ErrTerminal bool
	Plain                                bool
}

// SystemStreams are the streams of this process.
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

// UseColour decides about colour on a stream: mode is auto, always or never; auto
// means that the stream is a terminal that is not plain or dumb, and follows NO_COLOR,
// CLICOLOR and CLICOLOR_FORCE (no-color.org, bixense.com/clicolors).
func UseColour(mode string, terminal bool, getenv func(string) string) bool {
	switch {
	case mode == "always":
		return true
	case mode == "never" || getenv("NO_COLOR") != "":
		return false
	case getenv("CLICOLOR_FORCE") != "" && getenv("CLICOLOR_FORCE") != "0":
		return true
	}
	return terminal && getenv("CLICOLOR") != "0" && getenv("TERM") != "dumb"
}
