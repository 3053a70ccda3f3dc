package terminal

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// editorOn starts an Editor on a pseudo-terminal, and returns what its keyboard reads.
func editorOn(t *testing.T) (e *Editor, terminal *os.File, screen *bufio.Reader) {
	t.Helper()
	keyboard, terminal := openPTY(t)
	e = NewEditor(terminal, terminal, terminal, "bob", escaped)
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	return e, terminal, bufio.NewReader(keyboard)
}

func modes(t *testing.T, terminal *os.File) unix.Termios {
	t.Helper()
	state, err := unix.IoctlGetTermios(descriptor(terminal), getTermios)
	if err != nil {
		t.Fatal(err)
	}
	return *state
}

// readUntil reads what the terminal shows up to a text.
func readUntil(t *testing.T, screen *bufio.Reader, text string) {
	t.Helper()
	var shown strings.Builder
	for !strings.Contains(shown.String(), text) {
		b, err := screen.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, &shown)
		}
		shown.WriteByte(b)
	}
}

// While a person writes, a newline still begins a line: the output is as it was.
func TestEditorTakesTheInputOnly(t *testing.T) {
	_, terminal := openPTY(t)
	before := modes(t, terminal)
	e := NewEditor(terminal, terminal, terminal, "bob", escaped)
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	during := modes(t, terminal)
	if during.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || during.Oflag != before.Oflag {
		t.Errorf("the terminal is %+v, and was %+v", during, before)
	}
	if err := e.Start(); err != nil { // as after a shell has had it
		t.Fatal(err)
	}
	e.Stop()
	if after := modes(t, terminal); after != before {
		t.Errorf("the terminal is %+v, and was %+v", after, before)
	}
}

func TestPanicGivesTheTerminalBack(t *testing.T) {
	e, terminal, screen := editorOn(t)
	func() {
		defer func() {
			if r := recover(); r != "a bug" {
				t.Errorf("the panic is %v", r)
			}
		}()
		defer RestoreAtPanic()
		panic("a bug")
	}()
	readUntil(t, screen, pasteModeOff)
	if state := modes(t, terminal); state.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != unix.ICANON|unix.ECHO|unix.ISIG {
		t.Errorf("the terminal is %+v", state)
	}
	e.Stop()
}
