package account

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestFindFiles(t *testing.T) {
	for _, tt := range []struct {
		name, goos    string
		env           map[string]string
		config, state string
		err           string
	}{
		{"linux", "linux", map[string]string{"HOME": "/home/a"}, "/home/a/.config", "/home/a/.local/state", ""},
		{"freebsd", "freebsd", map[string]string{"HOME": "/home/a"}, "/home/a/.config", "/home/a/.local/state", ""},
		{"XDG", "linux", map[string]string{"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}, "/c", "/s", ""},
		{"XDG in part", "linux", map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/s"}, "/home/a/.config", "/s", ""},
		{"relative XDG", "linux", map[string]string{"HOME": "/home/a", "XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "./s"}, "/home/a/.config", "/home/a/.local/state", ""},
		{"macOS", "darwin", map[string]string{"HOME": "/Users/a"}, "/Users/a/Library/Application Support", "/Users/a/Library/Application Support", ""},
		{"macOS with XDG", "darwin", map[string]string{"HOME": "/Users/a", "XDG_CONFIG_HOME": "/c"}, "/c", "/Users/a/Library/Application Support", ""},
		{"Windows", "windows", map[string]string{"AppData": `/roaming`, "LocalAppData": `/local`}, "/roaming", "/local", ""},
		{"Windows without", "windows", map[string]string{"AppData": `/roaming`}, "", "", "LocalAppData"},
		{"no HOME", "linux", nil, "", "", "HOME is not set"},
		{"no HOME, XDG in part", "linux", map[string]string{"XDG_CONFIG_HOME": "/c"}, "", "", "HOME is not set"},
		{"relative HOME", "darwin", map[string]string{"HOME": "me"}, "", "", `HOME is "me"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !filepath.IsAbs("/") {
				t.Skip("SKIPPED: the paths of this table are for Unix")
			}
			got, err := findFiles(tt.goos, func(name string) string { return tt.env[name] })
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || hintOf(err) == "" {
					t.Fatalf("error %v, hint %q", err, hintOf(err))
				}
				return
			}
			got.Cache = "" // see TestCacheFolder
			want := Files{Config: tt.config + "/skaroctl/config.toml", Credentials: tt.state + "/skaroctl/credentials.json", State: tt.state + "/skaroctl"}
			if err != nil || got != want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestCacheFolder(t *testing.T) {
	for _, tt := range []struct{ goos, name, value, want string }{
		{"linux", "XDG_CACHE_HOME", "/c", "/c/skaroctl"},
		{"linux", "XDG_CACHE_HOME", "c", ""},
		{"linux", "HOME", "/home/a", "/home/a/.cache/skaroctl"},
		{"linux", "HOME", "me", ""},
		{"darwin", "HOME", "/Users/a", "/Users/a/Library/Caches/skaroctl"},
		{"windows", "LocalAppData", "/local", "/local/skaroctl"},
	} {
		if !filepath.IsAbs("/") {
			t.Skip("SKIPPED: the paths of this table are for Unix")
		}
		getenv := func(name string) string { return map[string]string{tt.name: tt.value}[name] }
		if got := cacheFolder(tt.goos, getenv); got != tt.want {
			t.Errorf("%s, %s=%s: %q", tt.goos, tt.name, tt.value, got)
		}
	}
}
