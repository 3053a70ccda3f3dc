package terminal

import (
	"os"

	"golang.org/x/term"
)

// makeRaw takes a console out of its line mode, without echo and without signals of keys, and
// returns how it was.
func makeRaw(fd int) (*term.State, error) { return term.MakeRaw(fd) }

// CanSuspend is always false: nothing stops a process on Windows.
func CanSuspend() bool { return false }

// Suspend does nothing.
func Suspend() {}

// InForeground is always true: Windows has no background processes on a console.
func InForeground(*os.File) bool { return true }

// WatchJob returns nil channels: an Editor notices a new size when it draws.
func WatchJob() (resized, continued <-chan os.Signal, stop func()) { return nil, nil, func() {} }
