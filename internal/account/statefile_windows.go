package account

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// folderVariables name the folders of our files.
const folderVariables = "AppData and LocalAppData"

// tokenHint is how to get a token. PowerShell before version 6 writes UTF-16.
const tokenHint = "make one in cmd, not in PowerShell, with `skaroctl login LOGIN --server URL --print-token >FILE`"

// noFollow has no flag here.
const noFollow = 0

// private accepts every file: the folder of the user's profile protects it, not its mode.
func private(*os.File, fs.FileInfo) error { return nil }

// ours accepts every file.
func ours(*os.File, fs.FileInfo) error { return nil }

// trusted accepts every file.
func trusted(*os.File, fs.FileInfo) error { return nil }

// oursOnce accepts every file.
func oursOnce(*os.File, fs.FileInfo) error { return nil }

// inUse reports whether a file is open in another program, or was until a moment ago.
func inUse(err error) bool {
	const sharingViolation = syscall.Errno(32) // ERROR_SHARING_VIOLATION
	return errors.Is(err, syscall.ERROR_ACCESS_DENIED) || errors.Is(err, sharingViolation)
}
