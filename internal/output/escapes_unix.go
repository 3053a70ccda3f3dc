//go:build unix

package output

import "os"

// followsEscapes reports whether a terminal follows escape sequences. One that does
// not says so in TERM.
func followsEscapes(*os.File) bool { return true }
