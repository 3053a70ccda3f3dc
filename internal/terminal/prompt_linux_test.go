package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY opens a pseudo-terminal (pty(7)).
func openPTY(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	check(err)
	keyboard = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { keyboard.Close() })
	check(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	check(err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	check(err)
	t.Cleanup(func() { terminal.Close() })
	return keyboard, terminal
}

// question is a prompt that runs on a pseudo-terminal.
type question struct {
	t        *testing.T
	keyboard *os.File
	prompt   *prompt
	cancel   context.CancelCauseFunc
	answer   chan string
	err      error // to be read after answer
}

func newQuestion(t *testing.T, echo bool) *question {
	keyboard, terminal := openPTY(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	q := &question{
		t: t, keyboard: keyboard, cancel: cancel, answer: make(chan string, 1),
		prompt: &prompt{keys: terminal, screen: terminal, fd: descriptor(terminal), question: "Password: ", echo: echo},
	}
	go func() {
		answer, err := q.prompt.ask(ctx)
		q.err = err
		q.answer <- answer
	}()
	q.shows("Password: ")
	return q
}

// shows waits for text on the screen.
func (q *question) shows(want string) {
	q.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(q.keyboard, got); err != nil || string(got) != want {
		q.t.Fatalf("the screen shows %q, not %q: %v", got, want, err)
	}
}

func (q *question) typed(keys string) {
	q.t.Helper()
	if _, err := q.keyboard.WriteString(keys); err != nil {
		q.t.Fatal(err)
	}
}

// echoes reports whether the terminal shows the keys.
func (q *question) echoes() bool {
	q.t.Helper()
	state, err := unix.IoctlGetTermios(q.prompt.fd, getTermios)
	if err != nil {
		q.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func (q *question) ends(want string, wantErr error) {
	q.t.Helper()
	if got := <-q.answer; got != want || !errors.Is(q.err, wantErr) {
		q.t.Errorf("the answer is %q, %v; not %q, %v", got, q.err, want, wantErr)
	}
	if !q.echoes() {
		q.t.Error("the terminal has no echo afterwards")
	}
}

func TestAskHidesAPassword(t *testing.T) {
	q := newQuestion(t, false)
	if q.echoes() {
		t.Error("the terminal shows the password")
	}
	q.typed("secret\r")
	q.shows("\r\n")
	q.ends("secret", nil)
}

func TestAskShowsAnAnswerWithEcho(t *testing.T) {
	q := newQuestion(t, true)
	q.typed("alice\r")
	q.shows("alice\r\n")
	q.ends("alice", nil)
}

func TestAskWithoutAnAnswer(t *testing.T) {
	q := newQuestion(t, false)
	q.typed("\x04") // Ctrl-D
	q.shows("\r\n")
	q.ends("", ErrNoAnswer)
}

func TestInterruptEndsAQuestion(t *testing.T) {
	interrupt := &Interrupt{Signal: os.Interrupt}
	q := newQuestion(t, false)
	q.cancel(interrupt)
	q.shows("\r\n")
	q.ends("", interrupt)
	q.typed("\r") // ends the read that is left
}

// The shell gives the terminal its echo back while the process is stopped.
func TestAskHidesTheInputAgainAfterAStop(t *testing.T) {
	q := newQuestion(t, false)
	state, err := unix.IoctlGetTermios(q.prompt.fd, getTermios)
	if err != nil {
		t.Fatal(err)
	}
	state.Lflag |= unix.ECHO
	if err := unix.IoctlSetTermios(q.prompt.fd, setTermios, state); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	q.shows("Password: ")
	if q.echoes() {
		t.Error("the terminal shows the password")
	}
	q.typed("secret\r")
	q.shows("\r\n")
	q.ends("secret", nil)
}

func TestAskNeedsATerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := (&prompt{keys: null, screen: null, fd: descriptor(null)}).ask(t.Context()); err != ErrNoTerminal {
		t.Errorf("on a device without lines: %v", err)
	}
	if _, _, ok := terminalFiles(strings.NewReader(""), io.Discard); ok {
		t.Error("readers and writers of other kinds are a terminal")
	}
	if _, _, ok := terminalFiles(null, null); ok {
		t.Error("the null device is a terminal")
	}
	_, terminal := openPTY(t)
	if _, _, ok := terminalFiles(terminal, terminal); !ok {
		t.Error("a pseudo-terminal is none")
	}
}
