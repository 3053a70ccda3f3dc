package main

import (
	"maps"
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

// A login that can't succeed fails before a password is asked for.
func TestLoginFailsBeforeThePassword(t *testing.T) {
	for _, c := range []struct {
		name      string
		variables map[string]string
		flags     commonFlags
		o         loginOptions
		err       string
	}{
		{name: "another account", o: loginOptions{login: "carol", loginGiven: true}, err: `the profile "a" belongs to alice at ws://127.0.0.1:1/`},
		{name: "another server", flags: commonFlags{server: "wss://h"}, o: loginOptions{login: "alice", loginGiven: true}, err: `the profile "a" belongs to alice at ws://127.0.0.1:1/`},
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

// The first profile is the default, and no other login takes that from it.
func TestLoginMakesOnlyTheFirstProfileTheDefault(t *testing.T) {
	for _, c := range []struct {
		name, config, want string
	}{
		{"the first", "", "new"},
		{"a second", twoProfiles, "a"},
		{"beside the usual one", "[profiles.default]\nserver = 'ws://h/'\n", "default"},
	} {
		f := newTestFactory(t, terminal.Streams{}, homeWith(t, c.config))
		p, err := f.Profiles()
		if err != nil {
			t.Fatal(err)
		}
		l := loginAttempt{Account: Account{profiles: p, profile: "new"}, options: &loginOptions{}}
		isDefault, err := l.saveProfile(t.Context(), account.Profile{Server: "ws://h/", Login: "carol"})
		if err != nil || isDefault != (c.want == "new") {
			t.Errorf("%s: %v, %v", c.name, isDefault, err)
		}
		if config, err := account.LoadConfig(p.files.Config); err != nil || (profiles{config: config}).defaultName() != c.want {
			t.Errorf("%s: %+v, %v", c.name, config, err)
		}
	}
}
