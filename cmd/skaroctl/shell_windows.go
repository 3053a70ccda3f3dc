package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
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

// endGroup sends a command and its children Ctrl-Break, which reaches a process group
// where Ctrl-C does not. Where there is no console, and to kill, it ends cmd.exe alone.
func endGroup(cmd *exec.Cmd, s os.Signal) {
	if s != os.Kill && windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(cmd.Process.Pid)) == nil {
		return
	}
	_ = cmd.Process.Kill()
}
