package terminal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

var (
	// ErrNoTerminal means that there is no terminal to ask a question on.
	ErrNoTerminal = errors.New("there is no terminal")
	// ErrNoAnswer means that the input ended without an answer: Ctrl-D, or the end of
	// the terminal.
	ErrNoAnswer = errors.New("the input ended without an answer")
	// ErrMismatch means that a new password was typed twice and differed, at every attempt.
	ErrMismatch = errors.New("the two passwords are not the same")
)

// Ask asks a question on the terminal of this process, so that standard input and output
// may be pipes. If there is none, as under su -c, it uses in and out if they are
// terminals. The typed answer is visible only with echo. The end of ctx ends the question.
func Ask(ctx context.Context, in io.Reader, out io.Writer, question string, echo bool) (string, error) {
	keys, screen, closeTerminal, err := openTerminal()
	if err == nil {
		defer closeTerminal()
	} else {
		var ok bool
		if keys, screen, ok = terminalFiles(in, out); !ok {
			return "", ErrNoTerminal
		}
	}
	p := &prompt{keys: keys, screen: screen, fd: descriptor(keys), question: question, echo: echo}
	return p.ask(ctx)
}

// terminalFiles returns in and out as files, if they are terminals.
func terminalFiles(in io.Reader, out io.Writer) (keys, screen *os.File, ok bool) {
	keys, isFile := in.(*os.File)
	screen, isFileToo := out.(*os.File)
	return keys, screen, isFile && isFileToo && term.IsTerminal(int(screen.Fd()))
}

// prompt is one question on a terminal.
type prompt struct {
	keys, screen *os.File
	fd           int // of keys
	question     string
	echo         bool
}

// ask returns the answer. Afterwards the terminal has its echo back, unless a shell has the
// terminal meanwhile.
func (p *prompt) ask(ctx context.Context) (answer string, err error) {
	before, err := term.GetState(p.fd)
	if err != nil {
		return "", ErrNoTerminal
	}
	read := readLine
	if !p.echo {
		// Not in the goroutine that reads: if ctx ended first, that goroutine might hide the
		// input afterwards, and nothing would restore the terminal.
		hideInput(p.fd)
		read = readHidden
	}
	stop := onContinue(p.repeat) // before Ctrl-Z can be pressed
	fmt.Fprint(blockingWriter(p.screen), p.question)
	answer, err = Await(ctx, func() (string, error) { return read(p.keys) })
	stop()
	if inForeground(p.fd) {
		_ = term.Restore(p.fd, before)
	}
	if err != nil || !p.echo {
		fmt.Fprintln(p.screen)
	}
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return "", ErrNoAnswer
	}
	return "", fmt.Errorf("read from the terminal: %w", err)
}

// repeat asks again after the process was stopped: the shell that had the terminal
// meanwhile has left it with its echo.
func (p *prompt) repeat() {
	if !p.echo && inForeground(p.fd) {
		hideInput(p.fd)
	}
	fmt.Fprint(p.screen, p.question)
}

// descriptor returns the descriptor of a file. File.Fd would make the file blocking. If this
// process is in the background, a blocked read of the terminal can stop it while it ends.
func descriptor(f *os.File) (fd int) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}

// readLine reads one line, byte by byte, so that it takes nothing after the line.
func readLine(keys *os.File) (string, error) {
	in := BlockingReader(keys)
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := in.Read(b)
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

// attempts is how often AskTwice asks for a new password.
const attempts = 3

// AskTwice asks for a new password and for its repetition until both are the same; after
// three attempts it returns ErrMismatch. An empty password needs no repetition.
func AskTwice(ask func(question string) (string, error), question string) (string, error) {
	first := question
	for range attempts {
		password, err := ask(first)
		if err != nil || password == "" {
			return password, err
		}
		again, err := ask("Repeat the password: ")
		if err != nil {
			return "", err
		}
		if again == password {
			return password, nil
		}
		first = "These are not the same: try again.\n" + question
	}
	return "", ErrMismatch
}
