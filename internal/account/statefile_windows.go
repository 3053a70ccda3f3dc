package account

import (
	"errors"
	"io/fs"
	"syscall"
)

// folderVariables name the folders of our files.
const folderVariables = "AppData or LocalAppData"

// tokenHint is how to get a token. PowerShell before version 6 writes UTF-16.
const tokenHint = "make one in cmd, not in PowerShell, with `skaroctl login LOGIN --server URL --print-token >FILE`"

// withoutWaiting is no flag: here no pipe has a name in a folder.
const withoutWaiting = 0

// private accepts every file: its mode does not protect it, but the
// folder of the user's profile does.
func private(string, fs.FileInfo) error { return nil }

// ours accepts every file.
func ours(string, fs.FileInfo) error { return nil }

// syncFolder does nothing: a folder can't be synced here.
func syncFolder(string) error { return nil }

// inUse reports whether a file is open in another program, or was until a moment ago.
func inUse(err error) bool {
	const sharingViolation = syscall.Errno(32) // ERROR_SHARING_VIOLATION
	return errors.Is(err, syscall.ERROR_ACCESS_DENIED) || errors.Is(err, sharingViolation)
}
