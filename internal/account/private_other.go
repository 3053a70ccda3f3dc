//go:build !unix

package account

import "io/fs"

// folderVariables say where our files are.
const folderVariables = "AppData or LocalAppData"

// Here a mode says nothing about who may read a file: the folder of the user's
// profile is what keeps it private.
func private(string, fs.FileInfo) error { return nil }

func ours(string, fs.FileInfo) error { return nil }
