//go:build unix

package terminal

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// makeRaw takes a terminal out of its line mode, without echo and without signals of keys, and
// returns how it was. Unlike term.MakeRaw it leaves the output alone, so that a newline still
// begins a line, in a panic too.
func makeRaw(fd int) (*term.State, error) {
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err == nil {
		state.Oflag |= unix.OPOST | unix.ONLCR
		err = unix.IoctlSetTermios(fd, setTermios, state)
	}
	if err != nil {
		_ = term.Restore(fd, before)
	}
	return before, err
}

// CanSuspend reports whether Ctrl-Z has an effect: there is a shell that could continue the
// process.
func CanSuspend() bool {
	own, err := unix.Getsid(0)
	parent, parentErr := unix.Getsid(os.Getppid())
	return err == nil && parentErr == nil && own == parent
}

// Suspend stops the processes of the job, as the terminal does at Ctrl-Z.
func Suspend() { _ = syscall.Kill(0, syscall.SIGTSTP) }

// InForeground reports whether this process may take the terminal of a file.
func InForeground(f *os.File) bool { return inForeground(descriptor(f)) }

// WatchJob returns channels that receive when the size of the terminal has changed, and when
// the process continues after a stop. stop ends both.
func WatchJob() (resized, continued <-chan os.Signal, stop func()) {
	r, c := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(r, syscall.SIGWINCH)
	signal.Notify(c, syscall.SIGCONT)
	return r, c, func() {
		signal.Stop(r)
		signal.Stop(c)
	}
}
