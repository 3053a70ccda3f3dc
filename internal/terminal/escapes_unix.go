//go:build unix

package terminal

import "os"

// followsEscapes reports whether a terminal follows escape sequences. A Unix terminal that
// does not is named in TERM, which the choice of colour reads.
func followsEscapes(*os.File) bool { return true }
