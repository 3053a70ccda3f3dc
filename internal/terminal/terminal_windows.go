package terminal

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
	"golang.org/x/term"
)

// catchPipe does nothing: there is no SIGPIPE on Windows.
func catchPipe() {}

// ReaderGone reports whether err comes from a write to a pipe that has no reader: the
// pipe is closed, was closed during the write, or its server disconnected it.
func ReaderGone(err error) bool {
	return errors.Is(err, windows.ERROR_NO_DATA) || errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_PIPE_NOT_CONNECTED)
}

// openTerminal opens the console of this process, whatever its streams are.
func openTerminal() (keys, screen *os.File, close func(), err error) {
	if keys, err = os.OpenFile("CONIN$", os.O_RDWR, 0); err != nil {
		return nil, nil, nil, err
	}
	if screen, err = os.OpenFile("CONOUT$", os.O_RDWR, 0); err != nil {
		keys.Close()
		return nil, nil, nil, err
	}
	return keys, screen, func() { keys.Close(); screen.Close() }, nil
}

// hideInput does nothing: readHidden turns the echo off.
func hideInput(int) {}

// inForeground is always true: Windows has no background processes on a console.
func inForeground(int) bool { return true }

// readHidden reads a line from a console that hides the input. Ctrl-Z ends it.
func readHidden(keys *os.File) (string, error) {
	line, err := term.ReadPassword(descriptor(keys))
	return string(line), err
}

// onContinue never calls repeat: nothing stops a process on Windows.
func onContinue(func()) (stop func()) { return func() {} }
