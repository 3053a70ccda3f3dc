//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// shell returns a command line for the shell. It runs in a process group of its own, so
// that the interrupt of a terminal does not end it.
func shell(command string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// endGroup sends a signal to a command and to its children.
func endGroup(cmd *exec.Cmd, s os.Signal) {
	_ = syscall.Kill(-cmd.Process.Pid, s.(syscall.Signal)) // it may have just ended
}
