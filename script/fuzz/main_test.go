package main

import "testing"

func TestOnlyALateEndIsNoFailure(t *testing.T) {
	for out, want := range map[string]bool{
		"--- FAIL: FuzzX (5.00s)\n    context deadline exceeded\nFAIL\n":                                   true,
		"--- FAIL: FuzzX (5.00s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:1: bad\nFAIL\n":           false,
		"--- FAIL: FuzzX (5.00s)\n    context deadline exceeded\n        x_test.go:1: bad\nFAIL\nexit 1\n": false,
		"panic: bad\n": false,
		"":             false,
	} {
		if onlyLate(out) != want {
			t.Errorf("%q: %v", out, !want)
		}
	}
}

// Every package that has targets on the wire or in a file is found.
func TestFindTargetsFindsEveryPackage(t *testing.T) {
	targets, err := findTargets("../..")
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]bool{}
	for _, t := range targets {
		dirs[t.dir] = true
	}
	if len(targets) < 15 || len(dirs) < 7 {
		t.Errorf("only %d targets in %d packages", len(targets), len(dirs))
	}
}

func TestLastFiguresAreThoseOfTheEnd(t *testing.T) {
	if got := lastFigures("fuzz: elapsed: 0s, execs: 1\nfuzz: elapsed: 5s, execs: 9\nPASS\n"); got != "5s, execs: 9" {
		t.Error(got)
	}
}
