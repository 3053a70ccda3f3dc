//go:build !race

package e2e

// raceFlags builds the programs as this test was built.
var raceFlags []string
