//go:build !linux

package e2e

import "github.com/rogpeppe/go-internal/testscript"

// interrupted needs a pseudo-terminal, which this test opens on Linux only.
func cmdInterrupted(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("this test needs Linux")
}
