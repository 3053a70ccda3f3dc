package terminal

// readiness says what a file must be ready for.
type readiness int

const (
	readable readiness = iota
	writable
)

// wouldBlock is always false: no program on Windows can change the streams of another one.
func wouldBlock(error) bool { return false }

// await is never called.
func await(int, readiness) bool { return false }
