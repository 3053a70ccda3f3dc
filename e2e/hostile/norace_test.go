//go:build !race

package hostile

// race says that this test and the program have the race detector.
const race = false
