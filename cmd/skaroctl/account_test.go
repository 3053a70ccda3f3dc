package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// A shell that runs a hint runs skaroctl and nothing else, whatever the login is.
func TestLoginCommand(t *testing.T) {
	bob := account.Profile{Server: "ws://h/", Login: "$(id)"}
	quoted := "skaroctl login '$(id)' --server 'ws://h/?a&b' --profile 'my work'"
	if runtime.GOOS == "windows" {
		quoted = `skaroctl login ... --server "ws://h/?a&b" --profile "my work"`
	}
	for want, at := range map[string]Account{
		"skaroctl login": {profile: "default", saved: bob, login: bob.Login, endpoint: session.Endpoint{URL: bob.Server}},
		quoted: {
			profile: "my work", saved: bob, login: bob.Login, endpoint: session.Endpoint{URL: "ws://h/?a&b"},
		},
		"skaroctl login LOGIN --server URL": {profile: "default"},
	} {
		if got := at.loginCommand(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A flag counts before the environment, and that before the profile. What a profile
// permits, it permits for its own server.
func TestResolve(t *testing.T) {
	p := profiles{config: account.Config{DefaultProfile: "home", Profiles: map[string]account.Profile{
		"home": {Server: "wss://home/", Login: "alice", CAFile: "/home.pem"},
		"work": {Server: "ws://work/", Login: "bob", AllowPlaintext: true},
	}}}
	type want struct {
		profile, login, url, ca string
		plaintext               bool
	}
	for _, c := range []struct {
		name  string
		flags commonFlags
		login string // SKAROCTL_LOGIN
		want  want
	}{
		{name: "the default profile", want: want{"home", "alice", "wss://home/", "/home.pem", false}},
		{name: "another profile", flags: commonFlags{profile: "work"}, want: want{"work", "bob", "ws://work/", "", true}},
		{name: "no such profile", flags: commonFlags{profile: "none"}, want: want{profile: "none"}},
		{name: "another server", flags: commonFlags{server: "wss://other/"}, want: want{"home", "alice", "wss://other/", "", false}},
		{name: "another server in plain text", flags: commonFlags{server: "ws://other/", allowPlaintext: true}, want: want{"home", "alice", "ws://other/", "", true}},
		{name: "the same server", flags: commonFlags{profile: "work", server: "ws://work/"}, want: want{"work", "bob", "ws://work/", "", true}},
		{name: "certificates", flags: commonFlags{caFile: "/new.pem"}, want: want{"home", "alice", "wss://home/", "/new.pem", false}},
		{name: "a login", login: "carol", want: want{"home", "carol", "wss://home/", "/home.pem", false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			acct, err := resolve(p, c.flags, func(name string) string { return map[string]string{"SKAROCTL_LOGIN": c.login}[name] }, nil)
			got := want{acct.profile, acct.login, acct.endpoint.URL, filepath.ToSlash(strings.TrimPrefix(acct.endpoint.CAFile, filepath.VolumeName(acct.endpoint.CAFile))), acct.endpoint.AllowPlaintext}
			if err != nil || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
			if acct.endpoint.Trace != nil || (acct.endpoint.ReadCA != nil) != (c.want.ca != "") {
				t.Errorf("a trace: %v, certificates: %v", acct.endpoint.Trace != nil, acct.endpoint.ReadCA != nil)
			}
		})
	}
}

// An error says which part of the login is missing.
func TestNeedLogin(t *testing.T) {
	full := account.Profile{Server: "ws://127.0.0.1/", Login: "alice"}
	env := &account.Environment{Source: "SKAROCTL_TOKEN"}
	at := session.Endpoint{URL: full.Server}
	for says, acct := range map[string]Account{
		"":                                       {saved: full, login: "alice", endpoint: at},
		"nothing says whose it is":               {env: env, endpoint: at},
		"nothing says for which server":          {env: env, login: "alice"},
		"lacks its login or its server":          {profile: "p", saved: account.Profile{Server: full.Server}, endpoint: at},
		`not logged in: there is no profile "p"`: {profile: "p"},
	} {
		err := acct.needLogin()
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || kindOf(err) != cli.KindAuth || hintOf(err) == "") {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// A skaroctl that --exec runs is that of the same account.
func TestEnviron(t *testing.T) {
	acct := Account{profile: "p", saved: account.Profile{Server: "ws://a/"}, endpoint: session.Endpoint{URL: "ws://a/"}}
	if got := acct.environ(); !slices.Equal(got, []string{"SKAROCTL_PROFILE=p"}) {
		t.Errorf("%q", got)
	}
	acct.endpoint.URL = "ws://b/"
	if got := acct.environ(); !slices.Equal(got, []string{"SKAROCTL_PROFILE=p", "SKAROCTL_SERVER=ws://b/"}) {
		t.Errorf("%q", got)
	}
}

// If a store can't be read any more, the credentials from before are still good.
func TestCredentialSourceKeepsWhatItHad(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, homeWith(t, twoProfiles))
	acct, err := f.ResolveProfile()
	if err != nil {
		t.Fatal(err)
	}
	source := acct.credentialSource()
	if _, err := source.read(t.Context()); kindOf(err) != cli.KindAuth || !strings.Contains(err.Error(), "the file store has no credentials for alice") {
		t.Errorf("an empty store: %v", err)
	}
	storeToken(t, f, acct.key(), "pw")
	first, err := source.read(t.Context())
	if err != nil || first.Login != "alice" || first.Token.IsZero() || first.SID != "" {
		t.Fatalf("%+v, %v", first, err)
	}
	if err := os.WriteFile(acct.files.Credentials, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := source.read(t.Context()); err != nil || again != first {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := acct.credentialSource().read(t.Context()); err == nil {
		t.Error("a damaged store is read")
	}
}
