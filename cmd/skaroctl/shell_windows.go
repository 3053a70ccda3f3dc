package main

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// shell returns a command line for cmd.exe, which parses it by rules of its own: it is
// passed on as it is. The registry has no say: neither commands to run first (/D) nor
// variables in exclamation marks (/V:OFF), which a message may have. The command runs in
// a process group of its own, so that the interrupt of a console does not end it.
func shell(command string) *exec.Cmd {
	cmd := exec.Command("cmd.exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /D /V:OFF /S /C "` + command + `"`, CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	return cmd
}

// endGroup sends Ctrl-Break to a command and its children; Ctrl-C does not reach a
// process group. To kill, and without a console, it ends cmd.exe alone.
func endGroup(cmd *exec.Cmd, s os.Signal) {
	if s != os.Kill && windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(cmd.Process.Pid)) == nil {
		return
	}
	_ = cmd.Process.Kill()
}
