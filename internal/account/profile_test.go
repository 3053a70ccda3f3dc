package account

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestLoadConfig(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Config
	}{
		{"empty", "", Config{Profiles: map[string]Profile{}}},
		{"a comment", "# nothing\n", Config{Profiles: map[string]Profile{}}},
		{"all", "default_profile = 'work'\n[profiles.work]\nserver = 'wss://h/skaro_client/'\nlogin = 'alice'\nstore = 'file'\nca_file = '/ca.pem'\nallow_plaintext = true\n[profiles.\"my home\"]\nlogin='a'",
			Config{DefaultProfile: "work", Profiles: map[string]Profile{
				"work":    {Server: "wss://h/skaro_client/", Login: "alice", Store: "file", CAFile: "/ca.pem", AllowPlaintext: true},
				"my home": {Login: "a"},
			}}},
		{"inline", "profiles = {x = {login = \"a\"}}\n", Config{Profiles: map[string]Profile{"x": {Login: "a"}}}},
		{"dotted, CRLF, byte order mark", "\ufeffprofiles.x.login = \"a\"\r\n", Config{Profiles: map[string]Profile{"x": {Login: "a"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(path, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if got, err := LoadConfig(path); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if got, err := LoadConfig(filepath.Join(t.TempDir(), "none", "config.toml")); err != nil || got.Profiles == nil || len(got.Profiles) != 0 {
		t.Errorf("a missing file: %+v, %v", got, err)
	}
}

func TestBrokenConfigIsNamedAndKept(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		line       int
		what       string
	}{
		{"not TOML", "default_profile = 'x'\n\n<xml>\n", 3, ""},
		{"no quotes", "default_profile = x\n", 1, ""},
		{"twice", "default_profile = 'x'\ndefault_profile = 'y'\n", 2, "already"},
		{"not UTF-8", "default_profile = 'x'\n# \xff\n", 2, ""},
		{"unknown key", "default_profile = 'x'\ncolour = 'red'\n", 2, `there is no key "colour"`},
		{"unknown key of a profile", "[profiles.x]\nlogin = 'a'\n\npassword = 'x'\n", 4, `there is no key "profiles.x.password"`},
		{"unknown table", "\n[server]\nx = 1\n", 2, `there is no key "server"`},
		{"unknown table in a profile", "[profiles.x]\n[profiles.x.login2]\n", 2, `there is no key "profiles.x.login2"`},
		{"too deep", "[profiles.x.login.y]\n", 1, `there is no key "profiles.x.login.y"`},
		{"inline table as login", "[profiles.x]\nlogin = {a = 1}\n", 2, `"profiles.x.login" must be a string in quotes`},
		{"unknown key in another place", "[other.x]\nserver = 'a'\n", 1, `there is no key "other.x"`},
		{"wrong type", "\ndefault_profile = 1\n", 2, `"default_profile" must be a string in quotes`},
		{"wrong type of a profile", "profiles.x = 1\n", 1, `"profiles.x" must be a table`},
		{"wrong type of profiles", "profiles = 1\n", 1, `"profiles" must be a table`},
		{"array of profiles", "[[profiles]]\nlogin = 'a'\n", 1, `"profiles" must be a table`},
		{"array of a profile", "\n[[profiles.x]]\nlogin = 'a'\n", 2, `"profiles.x" must be a table`},
		{"wrong type in a profile", "[profiles.x]\nlogin = 'a'\nallow_plaintext = 'yes'\n", 3, `"profiles.x.allow_plaintext" must be true or false`},
		{"number as login", "[profiles.x]\nlogin = 42\n", 2, `"profiles.x.login" must be a string in quotes`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, loadErr := LoadConfig(path)
			for what, err := range map[string]error{
				"load":   loadErr,
				"update": UpdateConfig(t.Context(), path, func(c *Config) error { t.Error("change was called"); return nil }),
			} {
				var fileErr *Error
				if !errors.As(err, &fileErr) || fileErr.Kind != KindFile || fileErr.Path != path || fileErr.Line != tt.line ||
					!strings.Contains(err.Error(), fmt.Sprintf("%s: line %d: ", path, tt.line)) || !strings.Contains(err.Error(), tt.what) {
					t.Errorf("%s: %v", what, err)
				}
			}
			untouched(t, path, []byte(tt.text))
		})
	}
}

func TestUpdateConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "config.toml")
	work := Profile{Server: "wss://h/skaro_client/", Login: "alice", Store: "keyring"}
	odd := Profile{Login: "ä\"\\\n'''\u2028", CAFile: `C:\ca "x".pem`, AllowPlaintext: true}
	if err := UpdateConfig(t.Context(), path, func(c *Config) error {
		c.DefaultProfile = "work"
		c.Profiles["work"] = work
		c.Profiles["a.b \"c\""] = odd
		c.Profiles[""] = Profile{}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := LoadConfig(path)
	want := Config{DefaultProfile: "work", Profiles: map[string]Profile{"work": work, "a.b \"c\"": odd, "": {}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no")
	if err := UpdateConfig(t.Context(), path, func(c *Config) error { c.DefaultProfile = "x"; return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	untouched(t, path, content)
	if err := UpdateConfig(t.Context(), path, func(c *Config) error { c.Profiles["bad\xff"] = Profile{}; return nil }); err == nil {
		t.Error("a name that is not UTF-8 was written")
	}
	untouched(t, path, content)
	// Without a change, the file stays as the user wrote it.
	content = append([]byte("# mine\n"), content...)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := UpdateConfig(t.Context(), path, func(c *Config) error { c.Profiles["work"] = work; return nil }); err != nil {
		t.Error(err)
	}
	untouched(t, path, content)
	// A change may remove everything.
	if err := UpdateConfig(t.Context(), path, func(c *Config) error { *c = Config{}; return nil }); err != nil {
		t.Error(err)
	}
	if got, err := LoadConfig(path); err != nil || got.DefaultProfile != "" || len(got.Profiles) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConfigFormat(t *testing.T) {
	got, err := encodeConfig(Config{DefaultProfile: "work", Profiles: map[string]Profile{
		"work": {Server: "wss://h/skaro_client/", Login: "alice", Store: "file"},
		"home": {Server: "ws://127.0.0.1:8765/skaro_client/", Login: "bob", Store: "keyring", CAFile: "/ca.pem", AllowPlaintext: true},
	}})
	want := `# Written by skaroctl login, which keeps no comments.

default_profile = 'work'

[profiles]
[profiles.home]
server = 'ws://127.0.0.1:8765/skaro_client/'
login = 'bob'
store = 'keyring'
ca_file = '/ca.pem'
allow_plaintext = true

[profiles.work]
server = 'wss://h/skaro_client/'
login = 'alice'
store = 'file'
`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

// Two logins at the same time both leave their profile.
func TestUpdateConfigInParallel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := UpdateConfig(t.Context(), path, func(c *Config) error {
				c.Profiles[fmt.Sprint(i)] = Profile{Login: "alice"}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c, err := LoadConfig(path); err != nil || len(c.Profiles) != 20 {
		t.Errorf("%d profiles, %v", len(c.Profiles), err)
	}
}

func TestLoadConfigNeedsNoLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	held, err := holdLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held()
	if _, err := LoadConfig(path); err != nil {
		t.Error(err)
	}
}

func FuzzDecodeConfig(f *testing.F) {
	for _, seed := range []string{
		"", "default_profile = 'x'\n[profiles.x]\nserver = 'a'\n", "[profiles.x]\nallow_plaintext = true\nca_file = \"\\u00e4\"",
		"profiles = {x = {login = 'a'}}", "[[profiles]]", "[profiles.\"\"]", "a.b.c = 1", "[profiles.x.y.z]", "profiles.x = [{}]", "\ufeff", "x = {y = [[{z = 1}]]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := decodeConfig("config.toml", content)
		if err != nil {
			var fileErr *Error
			if !errors.As(err, &fileErr) || fileErr.Kind != KindFile || fileErr.Line < 1 || fileErr.Line > 1+bytes.Count(content, []byte("\n")) {
				t.Fatalf("%#v", err)
			}
			return
		}
		again, err := encodeConfig(c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeConfig("config.toml", again); err != nil || !reflect.DeepEqual(back, c) {
			t.Fatalf("%v: %s", err, again)
		}
	})
}
