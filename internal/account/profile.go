package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Profile is one account of the config file.
type Profile struct {
	Server         string `toml:"server,omitempty"`          // ws:// or wss:// URL
	Login          string `toml:"login,omitempty"`           //
	Store          string `toml:"store,omitempty"`           // "keyring" or "file"
	CAFile         string `toml:"ca_file,omitempty"`         // extra root certificates, PEM
	AllowPlaintext bool   `toml:"allow_plaintext,omitempty"` // ws:// to a host that is not loopback
}

// Config is the config file.
type Config struct {
	DefaultProfile string             `toml:"default_profile,omitempty"`
	Profiles       map[string]Profile `toml:"profiles,omitempty"`
}

// LoadConfig reads the config file. A missing file is an empty Config; one that is broken,
// or has an unknown key, is an Error of KindFile. One of another user, who could choose our
// server, is an Error of KindForeign. Profiles is never nil.
func LoadConfig(path string) (Config, error) {
	content, err := readFile(path, trusted)
	if err != nil {
		return Config{}, err
	}
	return decodeConfig(path, content)
}

func decodeConfig(path string, content []byte) (Config, error) {
	c := Config{Profiles: map[string]Profile{}}
	content = bytes.TrimPrefix(content, []byte("\ufeff")) // some editors on Windows write it
	if err := toml.NewDecoder(bytes.NewReader(content)).DisallowUnknownFields().Decode(&c); err != nil {
		return Config{}, describeTOML(path, err)
	}
	return c, nil
}

// describeTOML says what is wrong in the config file, and at which line. The decoder's own
// words name Go types if a value has the wrong type.
func describeTOML(path string, err error) error {
	e := &Error{Kind: KindFile, Path: path, Err: err, Hint: "correct the line, or move the file away and log in again with `skaroctl login`"}
	noKey := func(key toml.Key) string { return fmt.Sprintf("there is no key %q", strings.Join(key, ".")) }
	var unknown *toml.StrictMissingError
	var broken *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		first := &unknown.Errors[0]
		e.Line, _ = first.Position()
		e.Msg = noKey(first.Key())
	case errors.As(err, &broken):
		e.Line, _ = broken.Position()
		e.Msg = strings.TrimPrefix(broken.Error(), "toml: ")
		if !strings.HasPrefix(e.Msg, "cannot decode ") && !strings.HasPrefix(e.Msg, "cannot store ") {
			break
		}
		if e.Msg = noKey(broken.Key()); len(broken.Key()) <= 3 {
			e.Msg = fmt.Sprintf("%q must be %s", strings.Join(broken.Key(), "."), valueOf(broken.Key()))
		}
	}
	return e
}

// valueOf says what the value of a key of the config file is.
func valueOf(key toml.Key) string {
	switch {
	case len(key) == 2, key[len(key)-1] == "profiles":
		return "a table"
	case key[len(key)-1] == "allow_plaintext":
		return "true or false"
	}
	return "a string in quotes"
}

// configHead is the start of the config file: the encoder keeps no comments.
const configHead = "# Written by skaroctl login, which keeps no comments.\n\n"

func encodeConfig(c Config) ([]byte, error) {
	content, err := toml.Marshal(c)
	return append([]byte(configHead), content...), err
}

// UpdateConfig changes the config file under its lock: change gets the current content, with
// Profiles never nil. The file stays as it is if it is broken, if change returns an error, if
// nothing changed, or if ctx ends before the lock is free.
func UpdateConfig(ctx context.Context, path string, change func(*Config) error) error {
	return locked(ctx, path, func(f *stateFile) error {
		content, err := f.read(ours)
		if err != nil {
			return err
		}
		c, err := decodeConfig(f.path(), content)
		if err != nil {
			return err
		}
		old := Config{DefaultProfile: c.DefaultProfile, Profiles: maps.Clone(c.Profiles)}
		if err := change(&c); err != nil {
			return err
		}
		if c.Profiles == nil {
			c.Profiles = map[string]Profile{}
		}
		if reflect.DeepEqual(c, old) {
			return nil
		}
		if content, err = encodeConfig(c); err != nil {
			return &Error{Kind: KindFile, Path: f.path(), Err: fmt.Errorf("the new config can't be written as TOML: %w", err)}
		}
		// A file that can't be read back would lock its owner out.
		if back, err := decodeConfig(f.path(), content); err != nil || !reflect.DeepEqual(back, c) {
			return &Error{Kind: KindFile, Path: f.path(), Msg: "the new config can't be written: a name in it is not valid text"}
		}
		return f.replace(content, durable)
	})
}
