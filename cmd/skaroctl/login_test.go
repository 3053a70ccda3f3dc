package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestLoginParse(t *testing.T) {
	testParse(t, newLoginCmd, []parseCase[loginOptions]{
		{name: "nothing"},
		{name: "a login", args: []string{"alice"}, want: loginOptions{login: "alice", loginGiven: true}},
		{name: "an empty login", args: []string{""}, want: loginOptions{loginGiven: true}},
		{
			name: "a file store", args: []string{"alice", "--store", "file", "--password-stdin", "--session-only"},
			want: loginOptions{login: "alice", loginGiven: true, store: "file", sessionOnly: true, password: cli.PasswordOptions{Stdin: true}},
		},
		{
			name: "a token", args: []string{"--print-token", "--password-file", "pw"},
			want: loginOptions{printToken: true, password: cli.PasswordOptions{File: "pw"}},
		},
		{name: "another account", args: []string{"alice", "--replace"}, want: loginOptions{login: "alice", loginGiven: true, replace: true}},
		{name: "a token that replaces", args: []string{"--print-token", "--replace"}, err: "--replace"},
		{name: "two logins", args: []string{"alice", "bob"}, err: "login takes one argument, and got 2"},
		{name: "a token that is also stored", args: []string{"--print-token", "--store", "file"}, err: "--store"},
		{name: "a token and a SID", args: []string{"--print-token", "--session-only"}, err: "--session-only"},
		{name: "two passwords", args: []string{"--password-stdin", "--password-file", "pw"}, err: "--password-file"},
		{name: "an empty store", args: []string{"--store", ""}, err: "--store is empty"},
	})
}

func TestRegisterParse(t *testing.T) {
	testParse(t, newRegisterCmd, []parseCase[registerOptions]{
		{name: "a login", args: []string{"carol"}, want: registerOptions{loginOptions: loginOptions{login: "carol", loginGiven: true}}},
		{
			name: "an invitation", args: []string{"carol", "--invite", "code", "--store", "file"},
			want: registerOptions{loginOptions: loginOptions{login: "carol", loginGiven: true, store: "file"}, invite: "code"},
		},
		{name: "no login", err: "register needs LOGIN"},
		{name: "--session-only", args: []string{"carol", "--session-only"}, err: "unknown flag --session-only"},
	})
}

// homeWith makes a home whose config file has a text, and returns its variables.
func homeWith(t *testing.T, config string) map[string]string {
	t.Helper()
	home := t.TempDir()
	variables := map[string]string{"XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home}
	if err := os.MkdirAll(filepath.Join(home, "skaroctl"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "skaroctl", "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return variables
}

const twoProfiles = `default_profile = "a"
[profiles.a]
server = "ws://127.0.0.1:1/"
login = "alice"
store = "file"
[profiles.b]
server = "ws://127.0.0.1:1/"
login = "bob"
store = "file"
`

// A login that can't succeed fails before a password is asked for.
func TestLoginFailsBeforeThePassword(t *testing.T) {
	for _, c := range []struct {
		name      string
		variables map[string]string
		flags     commonFlags
		o         loginOptions
		err       string
	}{
		{name: "another account", o: loginOptions{login: "carol", loginGiven: true}, err: `the profile "a" is that of alice at ws://127.0.0.1:1/`},
		{name: "another server", flags: commonFlags{server: "wss://h"}, o: loginOptions{login: "alice", loginGiven: true}, err: `the profile "a" is that of alice at ws://127.0.0.1:1/`},
		{name: "a bad variable", variables: map[string]string{"SKAROCTL_STORE": "cloud"}, flags: commonFlags{server: "wss://h/"}, o: loginOptions{login: "alice", loginGiven: true}, err: `SKAROCTL_STORE: there is no credential store "cloud"`},
		{name: "no server", o: loginOptions{login: "alice", loginGiven: true}, err: "no server is known"},
		{name: "another machine", flags: commonFlags{server: "ws://example.org/"}, o: loginOptions{login: "alice", loginGiven: true}, err: "not encrypted"},
		{name: "no such certificates", flags: commonFlags{server: "wss://h/", caFile: "nothing.pem"}, o: loginOptions{login: "alice", loginGiven: true}, err: "--ca-file: "},
		{name: "no such store", flags: commonFlags{server: "wss://h/"}, o: loginOptions{login: "alice", loginGiven: true, store: "cloud"}, err: `no credential store "cloud"`},
		{name: "an empty login", flags: commonFlags{server: "wss://h/"}, o: loginOptions{loginGiven: true, store: "file"}, err: "the login is empty"},
		{name: "a SID for a shared token", flags: commonFlags{profile: "c", server: "ws://127.0.0.1:1/"}, o: loginOptions{login: "alice", loginGiven: true, store: "file", sessionOnly: true}, err: `the profile "a" has the same account`},
	} {
		t.Run(c.name, func(t *testing.T) {
			variables := homeWith(t, twoProfiles)
			maps.Copy(variables, c.variables)
			f := newTestFactory(t, terminal.Streams{}, variables)
			f.flags.server, f.flags.caFile, f.flags.profile = c.flags.server, c.flags.caFile, c.flags.profile
			if c.name == "no server" {
				f.flags.profile = "none"
			}
			err := runLogin(t.Context(), f, &c.o)
			if err == nil || !strings.Contains(err.Error(), c.err) || kindOf(err) != cli.KindUsage {
				t.Errorf("%v", err)
			}
		})
	}
}

// A new account does not take the place of another one's credentials.
func TestRegisterKeepsTheProfileOfAnother(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, homeWith(t, twoProfiles))
	err := runRegister(t.Context(), f, &registerOptions{loginOptions: loginOptions{login: "carol", loginGiven: true}})
	if err == nil || !strings.Contains(err.Error(), `the profile "a" is that of alice`) {
		t.Errorf("%v", err)
	}
}

func TestRegisterHint(t *testing.T) {
	for _, c := range []struct {
		status  string
		invited bool
		want    string
	}{{"403", true, "ask the administrator"}, {"403", false, "--invite"}, {"409", false, "choose another login"}, {"500", false, ""}} {
		got := registerHint(c.status, c.invited)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// A profile keeps its certificates for its own server only.
func TestNewProfileKeepsCertificatesOfTheSameServer(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, nil)
	store, err := account.OpenStore("file", account.Files{})
	if err != nil {
		t.Fatal(err)
	}
	l := loginAttempt{newStore: store}
	l.saved = account.Profile{Server: "wss://h/", CAFile: "/ca.pem"}
	for url, want := range map[string]string{"wss://h/": "/ca.pem", "wss://other/": ""} {
		l.endpoint.URL = url
		if got := l.newProfile(f).CAFile; got != want {
			t.Errorf("%s: %q", url, got)
		}
	}
	l.endpoint.CAFile = "/new.pem"
	f.flags.changed = func(string) bool { return true }
	if got := l.newProfile(f).CAFile; got != "/new.pem" {
		t.Errorf("--ca-file: %q", got)
	}
}
