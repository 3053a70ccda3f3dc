package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// interrupted CODE PROMPT PROGRAM [ARG…] runs a program on a pseudo-terminal of its
// own, presses Ctrl-C when the prompt is there and the terminal shows nothing of
// what is typed, and asserts the exit status and that the terminal is as it was.
func cmdInterrupted(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 3, "interrupted CODE PROMPT PROGRAM [ARG...]")
	keyboard, terminal := openPTY(ts.Check)
	defer keyboard.Close()
	before := termios(ts, keyboard)
	cmd := command(ts, args[2], args[3:]...)
	cmd.Stdin = strings.NewReader("") // the terminal is the controlling one, and no stream
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	cmd.ExtraFiles = []*os.File{terminal}
	p := spawn(ts, "interrupted", cmd)
	screen := newOutput()
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := keyboard.Read(b)
			_, _ = screen.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	p.await(ts, screen, args[1])
	// The prompt is written just before the terminal goes dumb: there is no event.
	late := time.Now().Add(deadline)
	for termios(ts, keyboard).Lflag&unix.ECHO != 0 {
		if time.Now().After(late) {
			ts.Fatalf("what is typed would be shown")
		}
		time.Sleep(time.Millisecond)
	}
	_, err := keyboard.WriteString("half a pass\x03")
	ts.Check(err)
	cmdCollect(ts, false, []string{"interrupted", args[0]})
	if after := termios(ts, keyboard); after != before {
		ts.Fatalf("the terminal was %+v and is %+v", before, after)
	}
	terminal.Close()
	if strings.Contains(screen.String(), "half") {
		ts.Fatalf("what was typed was shown: %q", screen)
	}
}

func termios(ts *testscript.TestScript, f *os.File) unix.Termios {
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	ts.Check(err)
	return *t
}

// openPTY opens a pseudo-terminal (pty(7)).
func openPTY(check func(error)) (keyboard, terminal *os.File) {
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	check(err)
	check(unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	check(err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	check(err)
	return keyboard, terminal
}
