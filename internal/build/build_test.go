package build

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestReadPrefersTheLinkedVersion(t *testing.T) {
	settings := []debug.BuildSetting{
		{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "c6e7"},
		{Key: "vcs.time", Value: "2026-11-25T18:49:23Z"}, {Key: "vcs.modified", Value: "true"},
	}
	date := time.Date(2026, 11, 25, 18, 49, 23, 0, time.UTC)
	for _, c := range []struct {
		linked, found string
		settings      []debug.BuildSetting
		want          Info
	}{
		{"", "v1.2.3", settings, Info{Version: "1.2.3", Commit: "c6e7", Date: date, Modified: true}},
		{"1.2.3", "(devel)", settings[:2], Info{Version: "1.2.3", Commit: "c6e7"}},
		{"1.2.3", "v1.2.4-0.20261125184923-c6e7", nil, Info{Version: "1.2.3"}},
		{"", "v0.0.0-20261125184923-c6e7", nil, Info{Version: "0.0.0-20261125184923-c6e7"}},
		{"", "(devel)", nil, Info{Version: "dev"}},
		{"", "", nil, Info{Version: "dev"}},
	} {
		c.want.Program, c.want.Go, c.want.OS, c.want.Arch = "skaroctl", runtime.Version(), runtime.GOOS, runtime.GOARCH
		if got := read("skaroctl", c.linked, &debug.BuildInfo{Main: debug.Module{Version: c.found}, Settings: c.settings}); got != c.want {
			t.Errorf("%q, %q: %+v", c.linked, c.found, got)
		}
	}
}
