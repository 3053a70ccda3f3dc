// Package terminal is how both programs deal with the person or the pipe in front of
// them: questions, input, and the signals that end the wait for either.
package terminal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// Interrupt is the cause of a context that a signal ended.
type Interrupt struct{ Signal os.Signal }

func (e *Interrupt) Error() string { return "interrupted (" + e.Signal.String() + ")" }

// Status is the exit status after the signal: 143 for SIGTERM, 130 for SIGINT.
func (e *Interrupt) Status() int {
	if e.Signal == syscall.SIGTERM {
		return 143
	}
	return 130
}

// Interruptible is a context that SIGINT and SIGTERM end, with an *Interrupt as its
// cause. A second signal ends the program at once. also is called when both are
// caught, to catch more. Catching takes a quarter of a millisecond, in which other
// things can be done: caught is closed when it is so.
func Interruptible(parent context.Context, also func()) (ctx context.Context, caught <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	catching, done := make(chan struct{}), make(chan struct{})
	go func() {
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		also()
		close(catching)
		select {
		case s := <-signals:
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			cancel(&Interrupt{s})
		case <-done:
		}
	}()
	return ctx, catching, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// ErrNone is the error of a question where nobody can be asked.
var ErrNone = errors.New("there is no terminal")

// Ask asks a question on the terminal of this process, so that standard input and
// output may be pipes; where there is none, as under su -c, on in and out, if they are
// terminals. The answer is shown while it is typed only with echo. The end of ctx ends
// the question, and gives the terminal its echo back; its cause is the error.
func Ask(ctx context.Context, in io.Reader, out io.Writer, question string, echo bool) (string, error) {
	keys, screen, closeTerminal, err := open()
	if err != nil {
		var isFile, alsoFile bool
		keys, isFile = in.(*os.File)
		screen, alsoFile = out.(*os.File)
		if !isFile || !alsoFile || !term.IsTerminal(int(screen.Fd())) {
			return "", ErrNone
		}
		closeTerminal = func() {}
	}
	defer closeTerminal()
	fd := int(keys.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", ErrNone
	}
	fmt.Fprint(screen, question)
	type answer struct {
		text string
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		if echo {
			text, err := readLine(keys)
			typed <- answer{text, err}
			return
		}
		b, err := term.ReadPassword(fd)
		typed <- answer{string(b), err}
	}()
	select {
	case t := <-typed:
		if !echo {
			fmt.Fprintln(screen)
		}
		if t.err != nil {
			return "", fmt.Errorf("read from the terminal: %w", t.err)
		}
		return t.text, nil
	case <-ctx.Done():
		// The read goes on until the process ends; the terminal must not stay dumb.
		_ = term.Restore(fd, state)
		fmt.Fprintln(screen)
		return "", context.Cause(ctx)
	}
}

// readLine reads one line, byte by byte, so that nothing after it is taken away.
func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := r.Read(b)
		if n == 1 {
			if b[0] == '\n' {
				return string(bytes.TrimSuffix(line, []byte("\r"))), nil
			}
			line = append(line, b[0])
		}
		if err != nil {
			return string(line), err
		}
	}
}
