// Package build says what a program was built from.
package build

import (
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Info is what a program was built from, and for what. Commit and Date are empty if the
// source was not a git repository.
type Info struct {
	Program  string
	Version  string // "dev" if there is none
	Commit   string
	Date     time.Time // of the commit
	Modified bool      // the source had changes beyond the commit
	Go       string
	OS, Arch string
}

// Read returns what the running program was built from. linked is the version that the
// linker has set, for a build from an archive. If it is empty, the version is the one that
// the go command finds: a tag, or what it makes of the commit.
func Read(program, linked string) Info {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		b = &debug.BuildInfo{}
	}
	return read(program, linked, b)
}

func read(program, linked string, b *debug.BuildInfo) Info {
	i := Info{Program: program, Version: linked, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if i.Version == "" && b.Main.Version != "(devel)" {
		i.Version = strings.TrimPrefix(b.Main.Version, "v")
	}
	if i.Version == "" {
		i.Version = "dev"
	}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Commit = s.Value
		case "vcs.time":
			i.Date, _ = time.Parse(time.RFC3339, s.Value)
		case "vcs.modified":
			i.Modified = s.Value == "true"
		}
	}
	return i
}
