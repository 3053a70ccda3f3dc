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

// ReaderGone reports whether err comes from a write to a pipe that has no reader.
func ReaderGone(err error) bool { return errors.Is(err, syscall.EPIPE) }

// openTerminal opens the terminal of this process, whatever its streams are.
func openTerminal() (keys, screen *os.File, close func(), err error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	return tty, tty, func() { tty.Close() }, nil
}

// hideInput turns off the echo of a terminal.
func hideInput(fd int) {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return // the read reports what is wrong
	}
	state.Lflag &^= unix.ECHO
	state.Lflag |= unix.ICANON | unix.ISIG
	state.Iflag |= unix.ICRNL
	_ = unix.IoctlSetTermios(fd, setTermios, state)
}

// inForeground reports whether this process may change the terminal. A process in the
// background is stopped if it tries.
func inForeground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// readHidden reads a line from a terminal that hides the input. term.ReadPassword would
// keep reading after Ctrl-D.
func readHidden(keys *os.File) (string, error) { return readLine(keys) }

// onContinue calls repeat whenever the process continues after Ctrl-Z, until stop. It can't
// catch the stop itself, to give the shell its echo: Go never restores the default action of
// SIGTSTP. Shells that edit lines restore the terminal themselves.
func onContinue(repeat func()) (stop func()) {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-continued:
				repeat()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(continued)
		close(done)
		<-ended
	}
}
