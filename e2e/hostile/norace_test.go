//go:build !race

package hostile

// race reports whether this test and the program have the race detector.
const race = false
