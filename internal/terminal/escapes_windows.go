package terminal

import (
	"os"

	"golang.org/x/sys/windows"
)

// followsEscapes reports whether a terminal follows escape sequences. A console does so
// for programs that ask for it, unless it is set to legacy mode. If f is not a console, it
// is a terminal of Cygwin or MSYS, which always does.
func followsEscapes(f *os.File) bool {
	console := windows.Handle(f.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(console, &mode); err != nil {
		return true
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
