package terminal

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
	"golang.org/x/term"
)

// catchPipe does nothing: there is no signal.
func catchPipe() {}

// ReaderGone reports whether err is the write to a pipe that nobody reads: one that
// is closed, was closed in the middle of the write, or was taken away by its server.
func ReaderGone(err error) bool {
	return errors.Is(err, windows.ERROR_NO_DATA) || errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_PIPE_NOT_CONNECTED)
}

// open opens the console of this process, whatever its streams are.
func open() (in, out *os.File, close func(), err error) {
	if in, err = os.OpenFile("CONIN$", os.O_RDWR, 0); err != nil {
		return nil, nil, nil, err
	}
	if out, err = os.OpenFile("CONOUT$", os.O_RDWR, 0); err != nil {
		in.Close()
		return nil, nil, nil, err
	}
	return in, out, func() { in.Close(); out.Close() }, nil
}

// hush does nothing: readHidden sees to the echo.
func hush(int) {}

// ours is true: there is no background.
func ours(int) bool { return true }

// readHidden reads a line from a console that shows nothing. Ctrl-Z ends it.
func readHidden(keys *os.File) (string, error) {
	line, err := term.ReadPassword(descriptor(keys))
	return string(line), err
}

// continuation never comes: nothing stops a process here.
func continuation() (continued <-chan os.Signal, stop func()) { return nil, func() {} }
