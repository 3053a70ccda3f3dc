//go:build !linux

package e2e

import "github.com/rogpeppe/go-internal/testscript"

// tab needs a pseudo-terminal, which this test opens on Linux only.
func cmdTab(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("this test needs Linux") }

// examples needs a pseudo-terminal, which this test opens on Linux only.
func cmdExamples(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("this test needs Linux") }

// prompted needs a pseudo-terminal, which this test opens on Linux only.
func cmdPrompted(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("this test needs Linux")
}
