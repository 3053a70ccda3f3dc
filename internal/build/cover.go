//go:build cover

package build

import "os"

// coverFolder is set by the linker: the folder where the program leaves what it has run. The
// programs of `make cover` find it by themselves, because tests run them with an environment of
// their own.
var coverFolder string

func init() { _ = os.Setenv("GOCOVERDIR", coverFolder) }
