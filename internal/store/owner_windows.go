package store

import (
	"io/fs"
	"os"
)

const noFollow = 0

func links(fs.FileInfo) uint64 { return 1 }

// Enter does nothing: Windows has no root, and a file gets its rights from its folder.
func Enter(path string) (string, error) { return path, nil }

// NeedsTwoProcesses is false: no command runs for another user.
func NeedsTwoProcesses(path, file string) bool { return false }

// CheckLink does nothing, like Enter.
func CheckLink(path string, file *os.File) error { return nil }
