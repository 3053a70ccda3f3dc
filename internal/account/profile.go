package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
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

// UsesKeyring reports whether any profile has its credentials in the keyring.
func (c Config) UsesKeyring() bool {
	for _, p := range c.Profiles {
		if p.Store == "" || p.Store == "keyring" {
			return true
		}
	}
	return false
}

// configKeys are the keys of the config file and the types of their values.
var configKeys = map[string]string{"default_profile": "String", "profiles": "Hash"}

// profileKeys are the keys of a profile and the types of their values.
var profileKeys = map[string]string{
	"server": "String", "login": "String", "store": "String", "ca_file": "String", "allow_plaintext": "Bool",
}

// typeWords are the types of configKeys and profileKeys in words.
var typeWords = map[string]string{"String": "a string in quotes", "Bool": "true or false", "Hash": "a table"}

// LoadConfig reads the config file. A missing file is an empty Config; one that
// is broken, or has a key that does not exist, is a Error of KindFile. Profiles is
// never nil.
func LoadConfig(path string) (Config, error) { return loadConfig(path, anyMode) }

func loadConfig(path string, accept check) (Config, error) {
	content, err := readFile(path, accept)
	if err != nil {
		return Config{}, err
	}
	return decodeConfig(path, content)
}

// configHint is what to do about a config file that is wrong.
const configHint = "correct the line, or move the file away and log in again with `skaroctl login`"

func decodeConfig(path string, content []byte) (Config, error) {
	c := Config{Profiles: map[string]Profile{}}
	text := string(content)
	meta, err := toml.Decode(text, &c)
	var broken toml.ParseError
	if errors.As(err, &broken) {
		line := broken.Position.Line
		if line == 0 { // an escape that the end of the file cuts off
			line = 1 + strings.Count(text, "\n")
		}
		return Config{}, &Error{Kind: KindFile, Path: path, Line: line, Msg: broken.Message, Hint: configHint}
	}
	// The decoder passes over unknown keys and a wrong case, and has no position
	// for a wrong type.
	for _, key := range meta.Keys() {
		var known map[string]string
		want := ""
		switch len(key) {
		case 1:
			known = configKeys
			want = known[key[0]]
		case 2:
			want = "Hash" // a profile, under any name
		case 3:
			known = profileKeys
			want = known[key[2]]
		}
		switch {
		case want == "" || key[0] != "profiles" && len(key) > 1:
			return Config{}, &Error{Kind: KindFile, Path: path, Line: lineOf(text, key), Msg: fmt.Sprintf("there is no key %q", key.String()), Hint: configHint}
		case meta.Type(key...) != want:
			return Config{}, &Error{Kind: KindFile, Path: path, Line: lineOf(text, key), Msg: fmt.Sprintf("%q must be %s", key.String(), typeWords[want]), Hint: configHint}
		}
	}
	if err != nil {
		return Config{}, &Error{Kind: KindFile, Path: path, Err: err}
	}
	return c, nil
}

// lineOf is the line of a key. The decoder tells positions in errors only, so
// the value of the key is made one.
func lineOf(text string, key toml.Key) int {
	var table map[string]toml.Primitive
	meta, err := toml.Decode(text, &table)
	for _, name := range key[:len(key)-1] {
		var inner map[string]toml.Primitive
		err = errors.Join(err, meta.PrimitiveDecode(table[name], &inner))
		table = inner
	}
	if err != nil {
		return 0
	}
	var at toml.ParseError
	errors.As(meta.PrimitiveDecode(table[key[len(key)-1]], &misplaced{}), &at)
	return at.Position.Line
}

// misplaced is the type of a value that should not be there.
type misplaced struct{}

// UnmarshalTOML refuses every value.
func (*misplaced) UnmarshalTOML(any) error { return errors.New("it should not be there") }

// configHead is the start of the config file: the encoder keeps no comments.
const configHead = "# Written by skaroctl login, which keeps no comments.\n\n"

func encodeConfig(c Config) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(configHead)
	e := toml.NewEncoder(&b)
	e.Indent = ""
	if err := e.Encode(c); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// UpdateConfig changes the config file: change gets what is there, its Profiles
// never nil. The new file, mode 0600 in a folder of mode 0700, replaces the old
// one at once, and changes of other processes are not lost. The file stays as it
// is when it is broken, when change returns an error, when nothing changed, and when
// ctx ends before another process lets go of it.
func UpdateConfig(ctx context.Context, path string, change func(*Config) error) error {
	return locked(ctx, path, func(path string) error {
		c, err := loadConfig(path, ours)
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
		content, err := encodeConfig(c)
		if err != nil {
			return &Error{Kind: KindFile, Path: path, Err: fmt.Errorf("the new config can't be written as TOML: %w", err)}
		}
		// What can't be read back would lock its owner out.
		if back, err := decodeConfig(path, content); err != nil || !reflect.DeepEqual(back, c) {
			return &Error{Kind: KindFile, Path: path, Msg: "the new config can't be written: a name in it is not valid text"}
		}
		return replaceFile(path, content, durable)
	})
}
