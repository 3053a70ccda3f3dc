package terminal

// readiness says what a file must be ready for.
type readiness int

const (
	readable readiness = iota
	writable
)

// wouldBlock is always false: no program on Windows can change the streams of another one.
func wouldBlock(error) bool { return false }

// awaitReady is never called.
func awaitReady(int, readiness) bool { return false }
