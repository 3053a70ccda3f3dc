package e2e

import "os"

// buildFlags are the flags that build the programs. If SKARO_TEST_COVER names a folder, each
// program leaves there what it has run.
func buildFlags() []string {
	linked := "-X main.contactsWait=" + deadline.String() + " -X main.completionWait=" + deadline.String()
	folder := os.Getenv("SKARO_TEST_COVER")
	if folder == "" {
		return append([]string{"-ldflags", linked}, raceFlags...)
	}
	linked += " -X github.com/skaroctl/skaroctl/internal/build.coverFolder=" + folder
	return append([]string{"-ldflags", linked, "-tags", "cover", "-cover", "-coverpkg=./cmd/...,./internal/..."}, raceFlags...)
}
