package output

import (
	"os"

	"golang.org/x/sys/windows"
)

// followsEscapes reports whether a terminal follows escape sequences. A console does
// so for programs that ask for it, unless it was set to be as it was before Windows
// 10; what is no console is the terminal of Cygwin or MSYS, and does it anyway.
func followsEscapes(f *os.File) bool {
	console := windows.Handle(f.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(console, &mode); err != nil {
		return true
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
