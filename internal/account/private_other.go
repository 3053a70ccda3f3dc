//go:build !unix

package account

import "io/fs"

// folderVariables say where our files are.
const folderVariables = "AppData or LocalAppData"

// tokenAdvice is how to get a token. PowerShell before version 6 writes UTF-16.
const tokenAdvice = "make one in cmd, not in PowerShell, with `skaroctl login LOGIN --server URL --print-token >FILE`"

// Here a mode says nothing about who may read a file: the folder of the user's
// profile is what keeps it private.
func private(string, fs.FileInfo) error { return nil }

func ours(string, fs.FileInfo) error { return nil }
