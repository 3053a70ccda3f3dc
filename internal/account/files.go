package account

import (
	"fmt"
	"path/filepath"
	"runtime"
)

// Files are the absolute paths of what is kept on this machine.
type Files struct {
	Config      string // the config file
	Credentials string // the file of the store "file"
	State       string // the folder of everything else
	Cache       string // the folder of what can be had again; "" where none is known
}

// FindFiles says where our files are. None needs to exist. XDG_CONFIG_HOME and
// XDG_STATE_HOME come first, on every platform, unless they are relative (XDG
// Base Directory Specification 0.8). Else it is ~/.config and ~/.local/state, on
// macOS ~/Library/Application Support, on Windows %AppData% and %LocalAppData%.
// XDG_CACHE_HOME, ~/.cache, ~/Library/Caches and %LocalAppData% are for the cache.
func FindFiles(getenv func(string) string) (Files, error) {
	return findFiles(runtime.GOOS, getenv)
}

func findFiles(goos string, getenv func(string) string) (Files, error) {
	config, state := getenv("XDG_CONFIG_HOME"), getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(config) {
		config = ""
	}
	if !filepath.IsAbs(state) {
		state = ""
	}
	if config == "" || state == "" {
		c, s, err := ownFolders(goos, getenv)
		if err != nil {
			return Files{}, err
		}
		if config == "" {
			config = c
		}
		if state == "" {
			state = s
		}
	}
	state = filepath.Join(state, "skaroctl")
	return Files{
		Config:      filepath.Join(config, "skaroctl", "config.toml"),
		Credentials: filepath.Join(state, "credentials.json"),
		State:       state,
		Cache:       cacheFolder(goos, getenv),
	}, nil
}

// cacheFolder is where the cache is, "" where that is not known: no command fails
// for want of it.
func cacheFolder(goos string, getenv func(string) string) string {
	if folder := getenv("XDG_CACHE_HOME"); filepath.IsAbs(folder) {
		return filepath.Join(folder, "skaroctl")
	}
	base, below := getenv("HOME"), ".cache"
	switch goos {
	case "darwin":
		below = filepath.Join("Library", "Caches")
	case "windows":
		base, below = getenv("LocalAppData"), ""
	}
	if !filepath.IsAbs(base) {
		return ""
	}
	return filepath.Join(base, below, "skaroctl")
}

// ownFolders are the folders of the platform for config and for state.
func ownFolders(goos string, getenv func(string) string) (config, state string, err error) {
	if goos == "windows" {
		config, state = getenv("AppData"), getenv("LocalAppData")
		if config == "" || state == "" {
			return "", "", &Error{Msg: "the config file can't be found: %AppData% or %LocalAppData% is not set", Hint: "set both"}
		}
		return config, state, nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		why := "HOME is not set"
		if home != "" {
			why = fmt.Sprintf("HOME is %q, which is not an absolute path", home)
		}
		return "", "", &Error{
			Msg:  "the config file can't be found: " + why,
			Hint: "set HOME, or both XDG_CONFIG_HOME and XDG_STATE_HOME; with SKAROCTL_SERVER, SKAROCTL_LOGIN and SKAROCTL_TOKEN_FILE no file of ours is needed",
		}
	}
	if goos == "darwin" {
		folder := filepath.Join(home, "Library", "Application Support")
		return folder, folder, nil
	}
	return filepath.Join(home, ".config"), filepath.Join(home, ".local", "state"), nil
}
