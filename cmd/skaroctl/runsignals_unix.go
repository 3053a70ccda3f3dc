//go:build unix

package main

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// relayed are the signals that a command of run gets in addition to those that would end this
// process. SIGTSTP and SIGCONT are not among them: a terminal and a shell send them to the
// whole process group, which is that of the command too.
var relayed = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}

// ends reports whether a signal ends this process by default, and not only the command.
func ends(s os.Signal) bool { return !slices.Contains(relayed, s) }

// signalOf returns the signal that an exit status names, or nil.
func signalOf(status int) os.Signal {
	if s := syscall.Signal(status - statusSignal); s > 0 && unix.SignalName(s) != "" {
		return s
	}
	return nil
}

// endingSignal returns the number and the name of the signal that has ended a command, or 0.
func endingSignal(state *os.ProcessState) (number int, name string) {
	if state == nil {
		return 0, ""
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 0, ""
	}
	name = unix.SignalName(status.Signal())
	if name == "" {
		name = status.Signal().String()
	}
	return int(status.Signal()), name
}

// reachesGroup reports whether a signal comes from a terminal, which sends it to the command
// too. Such a signal can't be told from one that kill(1) sends to this process alone. If the
// process is in the foreground of a terminal, the signal counts as one from the terminal.
func reachesGroup(s os.Signal) bool {
	switch s {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH:
		return inForeground("/dev/tty")
	}
	return false
}

// inForeground reports whether this process has a terminal, which is the file of that name, and is
// in its foreground. A file that is no terminal, as in some containers, has no foreground.
func inForeground(name string) bool {
	tty, err := unix.Open(name, unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// sameFile reports whether two streams are one: the same pipe, terminal or file.
func sameFile(a, b any) bool {
	first, ok := a.(*os.File)
	second, both := b.(*os.File)
	if !ok || !both {
		return false
	}
	one, err := first.Stat()
	two, other := second.Stat()
	return err == nil && other == nil && os.SameFile(one, two)
}
