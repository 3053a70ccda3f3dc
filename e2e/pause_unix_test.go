//go:build unix

package e2e

import "syscall"

func init() { signals["STOP"], signals["CONT"] = syscall.SIGSTOP, syscall.SIGCONT }
