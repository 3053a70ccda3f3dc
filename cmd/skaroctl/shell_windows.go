package main

import (
	"os"
	"os/exec"
	"syscall"
)

// shell is a command line for cmd.exe, which reads it by rules of its own: it is
// passed on as it is. The registry has no say: neither commands to run first (/D)
// nor variables in exclamation marks (/V:OFF), which a message may have. It runs in a
// process group of its own, so that the interrupt of a console lets it finish.
func shell(command string) *exec.Cmd {
	cmd := exec.Command("cmd.exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /D /V:OFF /S /C "` + command + `"`, CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	return cmd
}

// endGroup ends a command: a group can't be sent a signal here.
func endGroup(cmd *exec.Cmd, _ os.Signal) { _ = cmd.Process.Kill() }
