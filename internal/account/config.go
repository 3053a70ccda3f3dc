package account

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/BurntSushi/toml"
	"github.com/rogpeppe/go-internal/lockedfile"
)

// Profile is one account of the config file.
type Profile struct {
	Server         string `toml:"server"`                    // the URL, path included
	Login          string `toml:"login"`                     // as the server has it
	Store          string `toml:"store"`                     // keyring or file
	CAFile         string `toml:"ca_file,omitempty"`         // PEM, absolute path
	AllowPlaintext bool   `toml:"allow_plaintext,omitempty"` // ws:// to another machine
}

// Config is the config file.
type Config struct {
	DefaultProfile string             `toml:"default_profile,omitempty"`
	Profiles       map[string]Profile `toml:"profiles"`
}

// LoadConfig reads the config file. A file that does not exist is an empty
// Config; a broken one, or one with a key that nobody knows, is a *FileError.
func LoadConfig(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("read the config file: %w", err)
	}
	return parseConfig(path, b)
}

func parseConfig(path string, b []byte) (Config, error) {
	const advice = "repair the file, or remove it and log in again"
	var c Config
	meta, err := toml.Decode(string(b), &c)
	if err != nil {
		broken := &FileError{Path: path, Err: err, Advice: advice}
		var parse toml.ParseError
		if errors.As(err, &parse) {
			broken.Line, broken.Err = parse.Position.Line, errors.New(parse.Message)
			if parse.Message == "" {
				broken.Err = errors.New(regexp.MustCompile(`^toml: line \d+[^:]*: `).ReplaceAllString(parse.Error(), ""))
			}
		}
		return Config{}, broken
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0]
		return Config{}, &FileError{Path: path, Line: lineOf(b, key[len(key)-1]), Err: fmt.Errorf("nobody knows the key %q", key.String()), Advice: advice}
	}
	for name, p := range c.Profiles {
		if p.Store != "" && p.Store != storeKeyring && p.Store != storeFile {
			return Config{}, &FileError{
				Path: path, Line: lineOf(b, "store"), Err: fmt.Errorf("profile %q has the store %q, not keyring or file", name, p.Store), Advice: advice,
			}
		}
	}
	return c, nil
}

// lineOf is the line of the first assignment of a key, or of a table with that
// name; 0 when it can't be told.
func lineOf(b []byte, key string) int {
	at := regexp.MustCompile(`(?m)^[ \t]*(?:["']?` + regexp.QuoteMeta(key) + `["']?[ \t]*=|\[.*` + regexp.QuoteMeta(key) + `)`).FindIndex(b)
	if at == nil {
		return 0
	}
	return 1 + bytes.Count(b[:at[0]], []byte("\n"))
}

// UpdateConfig changes the config file, under a lock and atomically: its mode is
// 0600, its folder's 0700. A broken file is left untouched, and is an error.
func UpdateConfig(path string, change func(*Config) error) error {
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := LoadConfig(path)
	if err != nil {
		return err
	}
	if err := change(&c); err != nil {
		return err
	}
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.Indent = ""
	if err := e.Encode(c); err != nil {
		return fmt.Errorf("write the config file: %w", err)
	}
	if err := replace(path, b.Bytes()); err != nil {
		return fmt.Errorf("write the config file: %w", err)
	}
	return nil
}

// lock takes the lock that belongs to a file. It is held for a read and a write,
// never while anything is waited for.
func lock(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := lockedfile.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
