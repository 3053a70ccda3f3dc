//go:build unix

package terminal

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// catchPipe makes a write to a closed pipe an error. Without it such a write to
// standard output or standard error ends the process on the spot.
func catchPipe() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// ReaderGone reports whether err is the write to a pipe that nobody reads.
func ReaderGone(err error) bool { return errors.Is(err, syscall.EPIPE) }

// open opens the terminal of this process, whatever its streams are.
func open() (in, out *os.File, close func(), err error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	return tty, tty, func() { tty.Close() }, nil
}

// hush makes a terminal show nothing of what is typed.
func hush(fd int) {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return // the read says what is wrong
	}
	state.Lflag &^= unix.ECHO
	state.Lflag |= unix.ICANON | unix.ISIG
	state.Iflag |= unix.ICRNL
	_ = unix.IoctlSetTermios(fd, setTermios, state)
}

// ours tells whether this process has the terminal, and is not in the background:
// there, who changes a terminal is stopped.
func ours(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// readHidden reads a line from a terminal that shows nothing. term.ReadPassword would
// go on reading at Ctrl-D.
func readHidden(keys *os.File) (string, error) { return readLine(keys) }

// continuation tells when the process was stopped, by Ctrl-Z, and goes on. To catch the
// stop itself, and give the shell its echo, would be for good: Go never lets go of
// SIGTSTP. Shells that edit lines see to their terminal themselves.
func continuation() (continued <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCONT)
	return signals, func() { signal.Stop(signals) }
}
