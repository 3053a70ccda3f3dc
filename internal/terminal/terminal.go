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
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Interrupt is the cause of a context that a signal ended.
type Interrupt struct {
	Signal os.Signal

	again chan os.Signal
}

func (e *Interrupt) Error() string { return "interrupted (" + e.Signal.String() + ")" }

// Name is the signal's name, like SIGTERM.
func (e *Interrupt) Name() string {
	for name, s := range map[string]os.Signal{"SIGHUP": syscall.SIGHUP, "SIGINT": os.Interrupt, "SIGQUIT": syscall.SIGQUIT, "SIGTERM": syscall.SIGTERM} {
		if s == e.Signal {
			return name
		}
	}
	return e.Signal.String()
}

// Again is where the next signals go while somebody waits for them here. Where nobody
// does, the next one ends the program at once.
func (e *Interrupt) Again() <-chan os.Signal { return e.again }

// Status is the exit status after the signal, as a shell has it: 130 for SIGINT.
func (e *Interrupt) Status() int {
	number, _ := e.Signal.(syscall.Signal)
	return 128 + int(number)
}

// oneInterrupt is how long after a signal others count as the same one: timeout(1)
// sends its signal to the process and then to the group, and programs like make and npm
// pass on what the terminal has sent to everybody.
const oneInterrupt = 200 * time.Millisecond

// Interruptible is a context that SIGINT, SIGTERM, SIGHUP and SIGQUIT end, with an
// *Interrupt as its cause. A SIGHUP that was ignored at the start, by nohup(1), stays
// so. Where the reader of a pipe goes away, the write is an error (ReaderGone), and does
// not end the process. Catching takes a quarter of a millisecond, in which other things
// can be done: caught is closed when it is so.
func Interruptible(parent context.Context) (ctx context.Context, caught <-chan struct{}, stop func()) {
	taken := new(atomic.Bool) // SIGHUP, by Hangups
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, hangupKey{}, taken))
	signals := make(chan os.Signal, 2)
	catching, done := make(chan struct{}), make(chan struct{})
	go func() {
		ending := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT}
		if !signal.Ignored(syscall.SIGHUP) {
			ending = append(ending, syscall.SIGHUP)
		}
		signal.Notify(signals, ending...)
		catchPipe()
		close(catching)
		follow(signals, done, taken, func(i *Interrupt) { cancel(i) }, os.Exit)
	}()
	return ctx, catching, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// follow tells of the first signal, and gives the others to who waits for them; where
// nobody does, it ends the program.
func follow(signals <-chan os.Signal, done <-chan struct{}, hangupTaken *atomic.Bool, interrupt func(*Interrupt), end func(status int)) {
	var first *Interrupt
	var same <-chan time.Time // not nil as long as others are the same one
	for {
		select {
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP && hangupTaken.Load():
			case first == nil:
				first = &Interrupt{s, make(chan os.Signal)}
				same = time.After(oneInterrupt)
				interrupt(first)
			case same == nil:
				select {
				case first.again <- s:
					same = time.After(oneInterrupt)
				default:
					end((&Interrupt{Signal: s}).Status())
				}
			}
		case <-same:
			same = nil
		case <-done:
			return
		}
	}
}

var (
	// ErrNone is the error of a question where nobody can be asked.
	ErrNone = errors.New("there is no terminal")
	// ErrNothing is the error of a question that was not answered: Ctrl-D, or the end of
	// the terminal.
	ErrNothing = errors.New("the input ended without an answer")
)

// Ask asks a question on the terminal of this process, so that standard input and
// output may be pipes; where there is none, as under su -c, on in and out, if they are
// terminals. The answer is shown while it is typed only with echo. The end of ctx ends
// the question; its cause is the error. The terminal has its echo back in every case.
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
	fd := descriptor(keys)
	state, err := term.GetState(fd)
	if err != nil {
		return "", ErrNone
	}
	read := readLine
	if !echo {
		// Before anything can be typed, and not by the goroutine that reads: it might come
		// to it when ctx has ended, and the terminal is no longer looked after.
		hush(fd)
		read = readHidden
	}
	defer func() {
		if ours(fd) {
			_ = term.Restore(fd, state)
		}
		if err != nil || !echo {
			fmt.Fprintln(screen)
		}
	}()
	continued, stop := continuation() // before anybody can press Ctrl-Z
	defer stop()
	fmt.Fprint(screen, question)
	type answer struct {
		text string
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		text, err := read(keys)
		typed <- answer{text, err}
	}()
	for {
		select {
		case t := <-typed:
			switch {
			case ctx.Err() != nil: // what ended it may have ended the terminal
				err = context.Cause(ctx)
			case errors.Is(t.err, io.EOF):
				err = ErrNothing
			case t.err != nil:
				err = fmt.Errorf("read from the terminal: %w", t.err)
			}
			return t.text, err
		case <-ctx.Done():
			// The read goes on until the process ends.
			err = context.Cause(ctx)
			return "", err
		case <-continued:
			// The shell that had the terminal meanwhile has left it with its echo.
			if !echo && ours(fd) {
				hush(fd)
			}
			fmt.Fprint(screen, question)
		}
	}
}

// descriptor is that of a file. Fd would make its reads block the process, which may
// be stopped for one in the background when it is about to end.
func descriptor(f *os.File) (fd int) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}

// readLine reads one line, byte by byte, so that nothing after it is taken away.
func readLine(keys *os.File) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := keys.Read(b)
		if n == 1 {
			if b[0] == '\n' {
				return string(bytes.TrimSuffix(line, []byte("\r"))), nil
			}
			line = append(line, b[0])
		}
		if err != nil {
			return "", err
		}
	}
}
