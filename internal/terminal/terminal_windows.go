package terminal

import (
	"os"

	"golang.org/x/term"
)

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
