package account

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// searching opens a folder whose names we may use, even if we may not list them.
const searching = unix.O_PATH

// overflow is the uid that the kernel shows for users outside of a user namespace.
const overflow = 65534

// outside reports whether a user is outside of the user namespace of this process. In a
// sandbox these are the owners of the system's folders, and not users of the sandbox.
func outside(uid uint32) bool {
	if uid != overflow {
		return false
	}
	content, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range bytes.Lines(content) {
		var first, above, count uint64
		if _, err := fmt.Sscan(string(line), &first, &above, &count); err != nil || first <= overflow && overflow < first+count {
			return false
		}
	}
	return len(content) > 0
}
