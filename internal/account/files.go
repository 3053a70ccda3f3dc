package account

import (
	"fmt"
	"path/filepath"
	"runtime"
)

// Files are the absolute paths of what skaroctl keeps on this machine.
type Files struct {
	Config      string // the config file
	Credentials string // the file of the store "file"
	State       string // the folder of everything else
	Cache       string // the folder of what can be fetched again; "" if there is none
}

// FindFiles returns the paths of the files, which need not exist. XDG_CONFIG_HOME,
// XDG_STATE_HOME and XDG_CACHE_HOME count on every platform, unless they are relative (XDG
// Base Directory Specification 0.8). Without them, the platform has its own folders.
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

// noState is the error of a command that needs Files.State.
func noState(msg string) error {
	return &Error{Msg: msg, Hint: "set HOME, or both XDG_CONFIG_HOME and XDG_STATE_HOME"}
}

// cacheFolder returns the folder of the cache, or "" if there is none: no command needs it.
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

// ownFolders returns the platform's own folders for config and for state.
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
			Hint: "set HOME, or both XDG_CONFIG_HOME and XDG_STATE_HOME; with SKAROCTL_SERVER, SKAROCTL_LOGIN and SKAROCTL_TOKEN_FILE, no such file is needed",
		}
	}
	if goos == "darwin" {
		folder := filepath.Join(home, "Library", "Application Support")
		return folder, folder, nil
	}
	return filepath.Join(home, ".config"), filepath.Join(home, ".local", "state"), nil
}
